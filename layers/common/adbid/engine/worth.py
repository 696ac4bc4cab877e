"""What an impression at a place is expected to bring and to cost, where there is no bid."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np

from adbid.data.hot import HotStore, Place
from adbid.domain.errors import Unavailable
from adbid.domain.quality import apply_quality_factors
from adbid.engine.rows import rows_of
from adbid.ml.model import Model

_PLACES_AT_ONCE = 1_000


def worth_of(
    places: Sequence[Place],
    store: HotStore,
    models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
    now: datetime,
) -> Mapping[Place, tuple[float, float]]:
    """Revenue and cost per impression of each place as the current model expects them, 0 where unknown.

    `models` as in `ScoringEngine`. Raises Unavailable where the sums in Redis can't be had.
    """
    distinct = list(dict.fromkeys(places))
    worth: dict[Place, tuple[float, float]] = {}
    for start in range(0, len(distinct), _PLACES_AT_ONCE):
        some = distinct[start : start + _PLACES_AT_ONCE]
        hot = store.read(some, now)
        if hot.evidence is None:
            raise Unavailable("counters_unavailable", "The sums in Redis cannot be had right now.")
        model, _ = models(hot.model)
        prediction = model.predict(rows_of(some, [""] * len(some), hot, now), hot.evidence, hot.priors)
        revenue = prediction.revenue
        if revenue is None:
            revenue = apply_quality_factors(prediction.response.revenue, prediction.quality)
        cost = prediction.response.cost
        pairs = zip(np.nan_to_num(revenue).tolist(), np.nan_to_num(cost).tolist(), strict=True)
        worth.update(zip(some, pairs, strict=True))
    return worth
