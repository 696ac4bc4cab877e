"""Is a brand under its target? A matter of probability: with too little data nobody can tell."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from adbid.domain.interval import PAYMENT_VARIATION, gamma_shape, probability_below

Array = NDArray[np.float64]
Standings = NDArray[np.int8]

MINIMUM_CONVERSIONS = 20.0
BELOW_AT = 0.9
"""P(ROAS < target) from which a brand is below its target."""

RECOVERED_AT = 0.5
"""P(ROAS < target) down to which a brand that was below stays so, or it would switch with every sale."""


class Standing(IntEnum):
    """A brand's ROAS against its target."""

    UNKNOWN = 0
    ON_TARGET = 1
    BELOW = 2


def probability_under_target(
    revenue: Array, cost: Array, conversions: Array, target: Array, variation: float = PAYMENT_VARIATION
) -> Array:
    """[brands]: P(ROAS < target) over the trailing window; NaN where too little happened to say.

    `variation`: the payments' squared coefficient of variation. A brand that spent and converted enough but
    earned nothing is under its target for certain.
    """
    enough = (conversions >= MINIMUM_CONVERSIONS) & (cost > 0.0) & (target > 0.0)
    roas = np.divide(revenue, cost, out=np.zeros_like(cost), where=enough)
    below = probability_below(target, roas, gamma_shape(conversions, variation))
    return np.where(enough, np.where(roas > 0.0, below, 1.0), np.nan)


def standing(probability: Array, before: Standings) -> Standings:
    """[brands], as `Standing`, from P(ROAS < target) and where the brand stood before."""
    was_below = before == Standing.BELOW
    bound = np.where(was_below, RECOVERED_AT, BELOW_AT)
    known = ~np.isnan(probability)
    below = np.greater_equal(probability, bound, where=known, out=np.zeros_like(known))
    found = np.where(below, Standing.BELOW, Standing.ON_TARGET)
    return np.where(known, found, Standing.UNKNOWN).astype(np.int8)
