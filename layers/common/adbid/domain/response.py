"""What a bid's cell is expected to do: click-through, conversion, revenue and cost, from its evidence.

Evidence is the array [rows, levels, half-lives, measures] of decayed sums of `decay.HALF_LIVES_DAYS` and
`decay.MEASURES` over the cells of `context.LEVELS`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.posterior import ROOT_ALPHA, ROOT_BETA, chain

Array = NDArray[np.float64]

TARGETS: dict[str, tuple[str, str]] = {
    "ctr": ("clicks", "impressions"),
    "cvr": ("conversions", "clicks"),
    "revenue": ("revenue", "impressions"),
    "cost": ("cost", "impressions"),
}
"""Each rate as (what is counted, per what). cvr is conversions per click: real logs have rows above 1."""

MINIMUM_EXPOSURE = 1.0
"""With fewer decayed impressions in the whole system than this, money rates are unknown."""

MINIMUM_REVENUE = 1e-6
"""With less decayed revenue in the whole system than this, the smallest amount there is, revenue is unknown:
it comes long after the first impressions, and until then is not expected to be nothing."""

_SUCCESS = np.array([MEASURES.index(success) for success, _ in TARGETS.values()])
_TRIAL = np.array([MEASURES.index(trial) for _, trial in TARGETS.values()])
_MONEY = np.array([success in ("revenue", "cost") for success, _ in TARGETS.values()])
_ROOT = np.where(_MONEY, 0.0, ROOT_ALPHA / (ROOT_ALPHA + ROOT_BETA))
_ROOT_STRENGTH = np.where(_MONEY, 0.0, ROOT_ALPHA + ROOT_BETA)


@dataclass(frozen=True)
class ResponseParameters:
    """What learning found: one half-life per target, and one prior strength per target and level.

    half_lives: days, each one of `HALF_LIVES_DAYS`, by target. strengths: trials (clicks for cvr, otherwise
    impressions), by target, one per level below "global" in the order of `LEVELS[1:]`.
    """

    half_lives: dict[str, float]
    strengths: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for target in TARGETS:
            if self.half_lives.get(target) not in HALF_LIVES_DAYS:
                raise ValueError(f"half_lives[{target!r}] must be one of {HALF_LIVES_DAYS}")
            strengths = self.strengths.get(target, ())
            if len(strengths) != len(LEVELS) - 1 or not all(0 < k < 1e12 for k in strengths):
                raise ValueError(f"strengths[{target!r}] must be {len(LEVELS) - 1} positive numbers")

    @cached_property
    def half_life_index(self) -> NDArray[np.intp]:
        """[targets]: where each target's half-life stands in `HALF_LIVES_DAYS`."""
        return np.array([HALF_LIVES_DAYS.index(self.half_lives[target]) for target in TARGETS])

    @cached_property
    def strength_array(self) -> Array:
        """[targets, levels], the root prior's strength first."""
        learned = np.array([self.strengths[target] for target in TARGETS])
        return np.concatenate([_ROOT_STRENGTH[:, None], learned], axis=1)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {"half_lives": self.half_lives, "strengths": {t: list(k) for t, k in self.strengths.items()}}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ResponseParameters":
        """Raises ValueError or KeyError when `value` isn't what `to_json` writes for these levels."""
        return cls(dict(value["half_lives"]), {t: tuple(k) for t, k in value["strengths"].items()})


@dataclass(frozen=True)
class OperatorPriors:
    """Click-through priors set by people: [levels, rows], strength 0 where there is none."""

    clicks: Array
    impressions: Array


@dataclass(frozen=True)
class Response:
    """Rates per row, and at every level: [targets, levels, rows]; money rates NaN where unknown."""

    levels: Array

    def _finest(self, target: int) -> Array:
        rates: Array = self.levels[target, -1]
        return rates

    @property
    def ctr(self) -> Array:
        return self._finest(0)

    @property
    def cvr(self) -> Array:
        """Conversions per click."""
        return self._finest(1)

    @property
    def revenue(self) -> Array:
        """Revenue per impression."""
        return self._finest(2)

    @property
    def cost(self) -> Array:
        """Cost per impression."""
        return self._finest(3)


def respond(
    evidence: Array, parameters: ResponseParameters, priors: OperatorPriors | None = None
) -> Response:
    """The rates of each row. `evidence`: [rows, levels, half-lives, measures]."""
    half_life = parameters.half_life_index
    successes = np.ascontiguousarray(evidence[:, :, half_life, _SUCCESS].transpose(2, 1, 0))
    trials = np.ascontiguousarray(evidence[:, :, half_life, _TRIAL].transpose(2, 1, 0))
    strengths = parameters.strength_array
    if priors is not None:
        # A prior set by people replaces what is known above it: its mean, its strength, and it doesn't decay.
        # Added as evidence with the parent's strength taken away, it needs no second formula.
        given = priors.impressions > 0
        strengths = np.repeat(strengths[:, :, None], successes.shape[2], axis=2)
        strengths[0] = np.where(given, 0.0, strengths[0])
        successes[0] += priors.clicks
        trials[0] += priors.impressions
    levels = chain(successes, trials, strengths, _ROOT)
    unknown = trials[2:, 0] < MINIMUM_EXPOSURE
    unknown[0] |= successes[2, 0] < MINIMUM_REVENUE
    if unknown.any():
        np.copyto(levels[2:], np.nan, where=unknown[:, None])
    return Response(levels)
