"""The feature schema: what the revenue model sees of a bid, the same in training and in serving.

Ids of any number (brands, slots, campaigns, …) enter as what is known of them: the posteriors of their
cells, and the *lifts* of their values. So a new brand or slot works from its first minute: its posterior is
its parent's, and an unseen value has no lift.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.response import TARGETS, Response

Array = NDArray[np.float64]

CATEGORIES = ("device_type", "creative_type", "os", "pricing_model")
"""Few-valued dimensions, as small integer codes of a vocabulary kept in the artefact; NaN where unseen."""

LIFTED = LEVELS[1:]
"""The dimensions whose single values have lifts, across all cells they occur in."""

HOURS_PER_BUCKET = 3

_SHORT, _LONG = 0, len(HALF_LIVES_DAYS) - 1
_REVENUE = list(TARGETS).index("revenue")
_OTHERS = [index for index in range(len(TARGETS)) if index != _REVENUE]
_IMPRESSIONS = MEASURES.index("impressions")
_COUNTED = [LEVELS.index(level) for level in ("global", "brand", "slot", "campaign_id", "country", "os")]
_TINY = 1e-12

FEATURES: tuple[str, ...] = (
    "placement_score",
    "partner_quality",
    "hour_bucket",
    "day_of_week",
    *CATEGORIES,
    *(f"log_{target}" for target in TARGETS),
    *(f"log_revenue_{level}_to_cell" for level in LEVELS[:-1]),
    *(f"revenue_drift_{level}" for level in LEVELS),
    *(f"{list(TARGETS)[index]}_drift" for index in _OTHERS),
    *(
        f"log_impressions_{days:g}d_{LEVELS[level]}"
        for days in (HALF_LIVES_DAYS[_SHORT], HALF_LIVES_DAYS[_LONG])
        for level in _COUNTED
    ),
    *(f"lift_{dimension}" for dimension in LIFTED),
    *(f"residual_lift_{dimension}" for dimension in LIFTED),
)
"""Names of the columns, in order.

log_<target>: the current rate of the bid's cell. log_revenue_<level>_to_cell: the level's current revenue
rate over the cell's. <target>_drift: current over long-run rate. lift_<dimension>: revenue per impression of
the value alone over the mean's. residual_lift_<dimension>: its revenue over what its cells were expected to
bring, so what it does across cells that their posteriors don't know. All in natural logs.
"""

CATEGORICAL_FEATURES = CATEGORIES

SCHEMA_HASH = hashlib.sha256(
    json.dumps([2, FEATURES, LEVELS, HALF_LIVES_DAYS, MEASURES, HOURS_PER_BUCKET]).encode()
).hexdigest()[:16]
"""Names this schema: a model trained on another one must not be evaluated on these columns."""


@dataclass(frozen=True)
class Vocabulary:
    """What training learned about single values. categories: the values in order of their codes.

    lifts: by dimension and value, (lift, residual lift), in logs.
    """

    categories: Mapping[str, Sequence[str]]
    lifts: Mapping[str, Mapping[str, tuple[float, float]]]
    _codes: Mapping[str, Mapping[str, float]] = field(init=False, repr=False, compare=False)
    _lines: Mapping[str, Mapping[str, int]] = field(init=False, repr=False, compare=False)
    _table: Array = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        missing = set(CATEGORIES) - set(self.categories) | set(LIFTED) - set(self.lifts)
        if missing:
            raise ValueError(f"the vocabulary lacks {', '.join(sorted(missing))}")
        codes = {
            name: {value: float(code) for code, value in enumerate(values)}
            for name, values in self.categories.items()
        }
        table = [_NO_LIFT]
        lines: dict[str, dict[str, int]] = {}
        for name, lifts in self.lifts.items():
            lines[name] = {value: line for line, value in enumerate(lifts, start=len(table))}
            table.extend(lifts.values())
        object.__setattr__(self, "_codes", codes)
        object.__setattr__(self, "_lines", lines)
        object.__setattr__(self, "_table", np.array(table, dtype=np.float64).T)

    def codes_of(self, columns: Mapping[str, Sequence[str]]) -> Array:
        """[len(CATEGORIES), n]: the codes of the categories' values, NaN where unseen."""
        found = []
        for name in CATEGORIES:
            get = self._codes[name].get
            found.append([get(value, _UNSEEN) for value in columns[name]])
        return np.array(found, dtype=np.float64)

    def lifts_of(self, columns: Mapping[str, Sequence[str]]) -> Array:
        """[2, len(LIFTED), n]: lift and residual lift of the dimensions' values, 0 where unseen."""
        found = []
        for name in LIFTED:
            get = self._lines[name].get
            found.append([get(value, 0) for value in columns[name]])
        lifts: Array = self._table.take(np.array(found, dtype=np.intp), axis=1)
        return lifts

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        lifts = {name: {v: list(pair) for v, pair in table.items()} for name, table in self.lifts.items()}
        return {
            "categories": {name: list(values) for name, values in self.categories.items()},
            "lifts": lifts,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Vocabulary":
        """Raises ValueError, TypeError or KeyError when `value` isn't what `to_json` writes."""
        categories = {name: tuple(values) for name, values in value["categories"].items()}
        lifts = {
            name: {v: (float(pair[0]), float(pair[1])) for v, pair in table.items()}
            for name, table in value["lifts"].items()
        }
        return cls(categories, lifts)


_NO_LIFT = (0.0, 0.0)
_UNSEEN = float("nan")

EMPTY_VOCABULARY = Vocabulary(dict.fromkeys(CATEGORIES, ()), {name: {} for name in LIFTED})
"""Of a system that has seen nothing."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a row's features are made of besides its evidence. All float64, [n] or as said; NaN is unknown.

    hour: 0 to 23, UTC. day_of_week: 0 is Monday, UTC. categories: [len(CATEGORIES), n] codes.
    lifts: [2, len(LIFTED), n], lift and residual lift.
    """

    placement_score: Array
    partner_quality: Array
    hour: Array
    day_of_week: Array
    categories: Array
    lifts: Array


def encode(
    vocabulary: Vocabulary,
    columns: Mapping[str, Sequence[str]],
    *,
    placement_score: Array,
    partner_quality: Array,
    hour: Array | float,
    day_of_week: Array | float,
) -> Inputs:
    """Inputs of rows given as strings: `columns` holds `LIFTED` and "pricing_model", "" where absent."""
    rows = len(placement_score)
    return Inputs(
        placement_score=placement_score,
        partner_quality=partner_quality,
        hour=np.broadcast_to(np.asarray(hour, dtype=np.float64), (rows,)),
        day_of_week=np.broadcast_to(np.asarray(day_of_week, dtype=np.float64), (rows,)),
        categories=vocabulary.codes_of(columns),
        lifts=vocabulary.lifts_of(columns),
    )


def feature_matrix(inputs: Inputs, evidence: Array, base: Response, current: Response) -> Array:
    """[n, len(FEATURES)], column by column in memory. `evidence` [n, levels, half-lives, measures] as of the
    rows' time; `base` and `current` the long-run and the current rates made of it. Unknown rates are NaN."""
    rows = len(evidence)
    matrix = np.empty((len(FEATURES), rows))
    matrix[0] = inputs.placement_score
    matrix[1] = inputs.partner_quality
    np.floor_divide(inputs.hour, HOURS_PER_BUCKET, out=matrix[2])
    matrix[3] = inputs.day_of_week
    matrix[CODES] = inputs.categories
    logs = np.log(np.maximum(current.levels[_REVENUE], _TINY))  # maximum() lets NaN through
    np.log(np.maximum(current.levels[:, -1], _TINY), out=matrix[_RATES])
    np.subtract(logs[:-1], logs[-1], out=matrix[_TO_CELL])
    np.subtract(logs, np.log(np.maximum(base.levels[_REVENUE], _TINY)), out=matrix[_DRIFTS])
    long_run = np.log(np.maximum(base.levels[_OTHERS, -1], _TINY))
    np.subtract(matrix[_RATES][_OTHERS], long_run, out=matrix[_OTHER_DRIFTS])
    counts = matrix[_COUNTS].reshape(2, len(_COUNTED), rows)
    for place, half_life in enumerate((_SHORT, _LONG)):
        np.log1p(evidence[:, _COUNTED, half_life, _IMPRESSIONS].T, out=counts[place])
    matrix[LIFTS] = inputs.lifts.reshape(-1, rows)
    return matrix.T


def drop_unit(features: Array, current: Response) -> None:
    """Makes `features` what trees of several currencies see: an amount over what everything in the row's
    currency brings, or costs, per impression."""
    for target in ("revenue", "cost"):
        everything = current.levels[list(TARGETS).index(target), 0]
        features[:, FEATURES.index(f"log_{target}")] -= np.log(np.maximum(everything, _TINY))


def _columns(first: str, last: str) -> slice:
    return slice(FEATURES.index(first), FEATURES.index(last) + 1)


VALUES = (*LIFTED, *(name for name in CATEGORIES if name not in LIFTED))
"""The dimensions whose values codes and lifts are looked up by."""

CODES = _columns(CATEGORIES[0], CATEGORIES[-1])
_RATES = _columns("log_ctr", "log_cost")
_TO_CELL = _columns(f"log_revenue_{LEVELS[0]}_to_cell", f"log_revenue_{LEVELS[-2]}_to_cell")
_DRIFTS = _columns(f"revenue_drift_{LEVELS[0]}", f"revenue_drift_{LEVELS[-1]}")
_OTHER_DRIFTS = slice(_DRIFTS.stop, _DRIFTS.stop + len(_OTHERS))
_COUNTS = slice(_OTHER_DRIFTS.stop, _OTHER_DRIFTS.stop + 2 * len(_COUNTED))
LIFTS = slice(_COUNTS.stop, len(FEATURES))
