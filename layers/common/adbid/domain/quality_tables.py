"""The learned quality lift: five small tables, one per part, whose values multiply.

log lift of a row = share · (placement + partner + device + creative + hour), where share = k / (k + n) falls
as the cell's own evidence n (decayed impressions) grows: what the parts have in common with other cells
matters as long as the cell hasn't shown its own rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.quality import PARTS, Quality

Array = NDArray[np.float64]

SCORE_BINS = 10
"""Scores from 0 to 1 are told apart in steps of a tenth."""

HOURS = 24


def score_bins(scores: Array) -> NDArray[np.intp]:
    """[n]: the bin of each score from 0 to 1, `SCORE_BINS` where it is unknown (NaN)."""
    bins = np.minimum(scores * SCORE_BINS, SCORE_BINS - 1)  # which lets NaN through
    np.maximum(bins, 0.0, out=bins)
    bins[np.isnan(bins)] = SCORE_BINS
    return bins.astype(np.intp)


def hour_bins(hours: Array) -> NDArray[np.intp]:
    """[n]: the hour, `HOURS` where it is unknown (NaN)."""
    bins = hours.copy()
    bins[np.isnan(bins)] = HOURS
    return bins.astype(np.intp)


@dataclass(frozen=True)
class QualityTables:
    """Log lifts. placement, partner: by tenth of the score; hour: by UTC hour; device, creative: by value.

    strength: k, in impressions. What isn't in a table has no lift.
    """

    placement: Sequence[float]
    partner: Sequence[float]
    device: Mapping[str, float]
    creative: Mapping[str, float]
    hour: Sequence[float]
    strength: float
    _arrays: tuple[Array, Array, Array] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lengths = (len(self.placement), len(self.partner), len(self.hour))
        if lengths != (SCORE_BINS, SCORE_BINS, HOURS):
            raise ValueError(
                f"placement, partner and hour must have {SCORE_BINS}, {SCORE_BINS} and {HOURS} values"
            )
        if not self.strength > 0:
            raise ValueError("strength must be positive")
        padded = tuple(np.array([*table, 0.0]) for table in (self.placement, self.partner, self.hour))
        if not all(np.isfinite(a).all() for a in padded):
            raise ValueError("a log lift is not finite")
        object.__setattr__(self, "_arrays", padded)

    def values_of(self, device_type: Sequence[str], creative_type: Sequence[str]) -> Array:
        """[2, n]: the log lifts of devices and creatives."""
        device, creative = self.device.get, self.creative.get
        return np.array(
            [
                [device(value, 0.0) for value in device_type],
                [creative(value, 0.0) for value in creative_type],
            ]
        )

    def quality(
        self,
        *,
        placement_score: Array,
        partner_quality: Array,
        values: Array,
        hour: Array,
        impressions: Array,
    ) -> Quality:
        """The lift of each row. `values`: `values_of` its device and creative. `impressions` [n]: the decayed
        impressions of the row's own cell. `hour`: [n], or [1] for all of them."""
        placement, partner, hours = self._arrays
        logs = np.empty((len(PARTS), len(impressions)))
        logs[0] = placement.take(score_bins(placement_score))
        logs[1] = partner.take(score_bins(partner_quality))
        logs[2:4] = values
        logs[4] = hours.take(hour_bins(hour))
        logs *= self.strength / (self.strength + impressions)
        return Quality(np.exp(logs, out=logs).T)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {
            "placement": list(self.placement),
            "partner": list(self.partner),
            "device": dict(self.device),
            "creative": dict(self.creative),
            "hour": list(self.hour),
            "strength": self.strength,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "QualityTables":
        """Raises ValueError, TypeError or KeyError when `value` isn't what `to_json` writes."""
        return cls(
            placement=tuple(float(v) for v in value["placement"]),
            partner=tuple(float(v) for v in value["partner"]),
            device={k: float(v) for k, v in value["device"].items()},
            creative={k: float(v) for k, v in value["creative"].items()},
            hour=tuple(float(v) for v in value["hour"]),
            strength=float(value["strength"]),
        )
