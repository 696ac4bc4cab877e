"""How sure a predicted ROAS is: credible intervals, and the probability of missing a target.

Revenue is a compound Poisson sum: N payments of varying size. Matched by its first two moments (as Tweedie
models are: Jørgensen & Paes de Souza, "Fitting Tweedie's compound Poisson model to insurance claims data",
Scand. Actuarial J. 1994), its rate has a Gamma posterior with the chain's mean and a shape of

    effective payments / (1 + v),    v = the payments' squared coefficient of variation,

because Var(ΣX) / E(ΣX)² = (1 + v) / E(N). Decayed counts enter as they are: a discounted sum is the
posterior count of a model that forgets at that rate (West & Harrison, *Bayesian Forecasting and Dynamic
Models*, 2nd ed., ch. 6.3 and 10.8), and it errs on the wide side. Cost is taken as known: it is a price.
"""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adbid.domain.posterior import own

if TYPE_CHECKING:
    from statistics import NormalDist

Array = NDArray[np.float64]

PAYMENT_VARIATION = 1.0
"""v where payments' sizes aren't known: as of an exponential distribution."""

SMALLEST_SHAPE = 0.3
"""Below, the approximation ends; there most of a Gamma's mass lies at 0, and its far tail hardly moves."""

_FEW = 8
_NOTHING = 1e-100  # what has decayed to less would overflow as a divisor


@cache
def standard_normal() -> "NormalDist":
    from statistics import NormalDist  # which brings fractions along, and a score seldom needs it

    return NormalDist()


def effective_payments(
    payments: Array, exposure: Array, strengths: Array, present: NDArray[np.bool_]
) -> Array:
    """How many payments the rate of the finest level rests on, its own and those the levels above lend it.

    payments, exposure (decayed paying events and impressions): sums [levels, rows], of which each level
    counts what finer ones don't (`posterior.own`); strengths: [levels], in impressions, of what is known
    above (the root's is ignored: nothing is above); present: [levels, rows], False where a row skips the
    level. Returns [rows].

    A level's prior is as uncertain as its parent (1 / parent's payments) and as levels differ from their
    parents (1 / payments that the strength is worth): relative variances of factors add up.
    """
    if payments.shape[1] <= _FEW:
        rows = zip(payments.T.tolist(), exposure.T.tolist(), present.T.tolist(), strict=True)
        known = strengths.tolist()
        return np.array([_effective_payments_of(paid, shown, known, here) for paid, shown, here in rows])
    payments, exposure = own(payments), own(exposure)
    total: Array = payments[0].astype(np.float64)
    rate = _ratio(payments[0], exposure[0])
    for level in (1 + np.flatnonzero(present[1:].any(axis=1))).tolist():
        lent = strengths[level] * rate
        prior = _ratio(total * lent, total + lent)
        total = np.where(present[level], prior + payments[level], total)
        rate = np.where(present[level], (payments[level] + lent) / (exposure[level] + strengths[level]), rate)
    return total


def _effective_payments_of(
    payments: list[float], exposure: list[float], strengths: list[float], present: list[bool]
) -> float:
    """The same for one row, to the bit: a few rows are done before arrays get going."""
    payments, exposure = _own_of(payments), _own_of(exposure)
    total = payments[0]
    rate = payments[0] / exposure[0] if exposure[0] > _NOTHING else 0.0
    for level in range(1, len(payments)):
        if present[level]:
            lent = strengths[level] * rate
            both = total + lent
            total = (total * lent / both if both > _NOTHING else 0.0) + payments[level]
            rate = (payments[level] + lent) / (exposure[level] + strengths[level])
    return total


def _own_of(sums: list[float]) -> list[float]:
    """`posterior.own` of one row."""
    left, finer = [0.0] * len(sums), 0.0
    for level in range(len(sums) - 1, -1, -1):
        left[level] = max(sums[level] - finer, 0.0)
        finer = max(sums[level], finer)
    return left


def gamma_shape(payments: ArrayLike, variation: float = PAYMENT_VARIATION) -> Array:
    """The shape of the revenue rate's Gamma posterior that rests on so many effective payments."""
    shape: Array = np.asarray(payments, dtype=np.float64) / (1.0 + variation)
    return shape


def credible_interval(mean: ArrayLike, shape: ArrayLike, level: float = 0.9) -> tuple[Array, Array]:
    """The central interval that holds a Gamma variable of this mean and shape with probability `level`.

    Quantiles by Wilson & Hilferty ("The distribution of chi-square", PNAS 17, 1931): within 3 % of the mean
    for shapes of 1 and up, 0.3 % of 5 and up. Shapes below SMALLEST_SHAPE count as that; without a positive
    shape nothing is known, which is 0 to infinity. NaN where the mean is NaN.
    Raises ValueError unless 0 < level < 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie between 0 and 1")
    z = standard_normal().inv_cdf((1.0 + level) / 2.0)
    mean, shape = np.asarray(mean, dtype=np.float64), np.asarray(shape, dtype=np.float64)
    known = shape > 0.0
    safe = np.maximum(shape, SMALLEST_SHAPE)
    centre, spread = 1.0 - 1.0 / (9.0 * safe), z / (3.0 * np.sqrt(safe))
    low = mean * np.maximum(centre - spread, 0.0) ** 3
    high = mean * np.maximum(centre + spread, 0.0) ** 3
    unknown = np.where(np.isnan(mean), np.nan, np.inf)
    return np.where(known, low, np.where(np.isnan(mean), np.nan, 0.0)), np.where(known, high, unknown)


def probability_below(target: ArrayLike, mean: ArrayLike, shape: ArrayLike) -> Array:
    """P(X < target) of a Gamma variable of this mean and shape: e.g. that ROAS is under its target.

    NaN where nothing is known: a mean that is NaN or not positive, or a shape that isn't positive.
    """
    target, mean, shape = (np.asarray(a, dtype=np.float64) for a in (target, mean, shape))
    target, mean, shape = np.broadcast_arrays(target, mean, shape)
    known = (mean > 0.0) & (shape > 0.0)
    safe = np.maximum(shape, SMALLEST_SHAPE)
    ratio = np.maximum(target, 0.0) / np.where(known, mean, 1.0)
    z = 3.0 * np.sqrt(safe) * (np.cbrt(ratio) - (1.0 - 1.0 / (9.0 * safe)))
    cdf = np.vectorize(standard_normal().cdf, otypes=[np.float64])
    below = np.where(ratio > 0.0, cdf(z), 0.0)
    return np.where(known, below, np.nan)


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > _NOTHING)
