"""A brand's strategy: a multiplier on its score, above 0."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def portfolio_score(revenue: Array, cost: Array, lambda_: Array, weight: Array) -> Array:
    """weight · (revenue − λ · cost) per impression: value to the portfolio at the brands' dual prices.

    The weight (1 + ν) keeps the order between brands right when ROAS constraints bind.
    """
    return weight * (revenue - lambda_ * cost)


def apply_brand_strategy(value: Array, multiplier: Array) -> Array:
    """`value` [rows] times the multiplier of each row's brand, as read from its strategy.

    Raises ValueError on a multiplier that isn't above 0: it would turn the ranking round.
    """
    if np.any(multiplier <= 0):
        raise ValueError("a strategy's multiplier must be above 0")
    return value * multiplier
