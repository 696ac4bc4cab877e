"""Forgetting: evidence halves in weight with every half-life that passes.

Sums are *forward-decayed* (Cormode et al., "Forward Decay", ICDE 2009): an event at time t enters a
sum with weight 2^((t − landmark) / half_life), a weight that never changes, so nothing is rewritten as
time passes and a reversal subtracts exactly what was added. Reading at time `now` divides by
2^((now − landmark) / half_life).
"""

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HALF_LIVES_DAYS = (1.0, 3.0, 7.0, 30.0)
"""Every cell keeps its sums at each of these; learning picks one per target."""

MEASURES = ("impressions", "clicks", "conversions", "cost", "revenue")
"""What is summed per cell, in this order; cost and revenue in units of the brand's currency."""

QUARTER = timedelta(minutes=15)

LANDMARK_LIFETIME = timedelta(days=400)
"""After this long a landmark is renewed: 2^400 is far from overflow, and smaller weights stay exact."""

_DAY_SECONDS = 86_400.0
_HALF_LIVES = np.array(HALF_LIVES_DAYS)


def quarter_hour(at: datetime) -> datetime:
    """The start of the quarter hour `at` falls in. `at` must be aware; the answer is UTC."""
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def age_days(earlier: datetime, later: datetime) -> float:
    """Days from `earlier` to `later`, as the exponent of a weight counts them."""
    return (later - earlier).total_seconds() / _DAY_SECONDS


def weights(days: float | Array) -> Array:
    """2^(days / half_life) for each of `HALF_LIVES_DAYS`, as a last axis of length H.

    Positive days are weights to add with (event − landmark), negative ones what remains of evidence
    that is so many days old.
    """
    exponent: Array = np.asarray(days, dtype=np.float64)[..., None] / _HALF_LIVES
    return np.exp2(exponent)
