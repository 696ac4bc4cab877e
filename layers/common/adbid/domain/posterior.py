"""Response rates from little data: a chain of posteriors, each level's mean the next one's prior.

The Beta–binomial chain (rates that are proportions) and the Gamma–Poisson chain (money per impression,
conversions per click) share one formula: (successes + k · parent) / (trials + k), where k is the prior's
strength in trials (Gelman et al., *Bayesian Data Analysis*, 3rd ed., ch. 2 and 5).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROOT_ALPHA = 3.0
ROOT_BETA = 97.0
"""The prior of a system without data: 3 %, worth 100 trials."""


def beta_posterior(
    *,
    successes: float | Array,
    trials: float | Array,
    alpha: float | Array = ROOT_ALPHA,
    beta: float | Array = ROOT_BETA,
) -> float | Array:
    """Mean of the Beta posterior: (successes + alpha) / (trials + alpha + beta).

    Scalars or arrays that broadcast. Raises ValueError on negative counts or a prior that isn't positive.
    """
    if np.any(np.less(successes, 0)) or np.any(np.less(trials, 0)):
        raise ValueError("successes and trials must not be negative")
    if np.any(np.less(alpha, 0)) or np.any(np.less(beta, 0)) or np.any(np.less_equal(np.add(alpha, beta), 0)):
        raise ValueError("alpha and beta must not be negative, and not both zero")
    return (successes + alpha) / (trials + alpha + beta)


def own(sums: Array) -> Array:
    """What is known at each level beyond its finer ones: sums [levels, ...], coarse to fine, each less the
    next finer level's.

    A cell's events are in the sums of every cell above it. Left out there, each event counts once along the
    way down, and what is expected of a cell comes from others alone. Levels that a row skips, with sums of 0,
    are looked past. Never negative: sums that should cancel differ by rounding.
    """
    left = np.empty_like(sums)
    finer = left[-1] = sums[-1]
    for level in range(len(sums) - 2, -1, -1):
        np.subtract(sums[level], finer, out=left[level])
        finer = np.maximum(sums[level], finer)
    return np.maximum(left, 0.0, out=left)


def prior_variances(strengths: Array, trials: Array) -> Array:
    """How much levels differ from their parents: 1 / strengths, 0 where a row skips the level.

    strengths: [levels, ...], the root's first; trials: the sums [levels, ..., rows], 0 where skipped.
    """
    variances: Array = (trials > 0) * (1.0 / strengths[..., None])
    variances[0] = 1.0 / strengths[0, ..., None]
    return variances


def update(
    mean: Array, variance: Array, successes: Array, trials: Array, out: Array | None = None
) -> tuple[Array, Array]:
    """Mean (in `out`, where given) and variance after evidence. Variances are in units of one trial's:
    1 / variance is k, the trials that the mean is worth. The answer is (successes + k · mean) / (trials + k),
    worth trials + k.
    """
    growth = variance * trials
    growth += 1.0
    updated: Array = np.multiply(variance, successes, out=out)
    updated += mean
    updated /= growth
    return updated, np.divide(variance, growth, out=growth)


def chain(
    successes: Array,
    trials: Array,
    variances: Array,
    root: Array,
    informed: Sequence[bool] | None = None,
    out: Array | None = None,
) -> tuple[Array, Array]:
    """Posterior means down a hierarchy, coarse to fine, and the variance of what each level expected.

    successes, trials: each level's `own`; variances: `prior_variances`; all [levels, ..., rows].
    root: [..., rows], the mean above the first level. informed: at which levels there is any evidence at all
    (default: all). Returns means (in `out`, where given) and prior variances, [levels, ..., rows].

    What is known above is worth k trials, with 1 / k = 1 / strength + 1 / (trials that the parent's own mean
    is worth): variances add up on the way down, so a parent known from five impressions lends no more than
    five. It is the Kalman filter of a random walk from level to level. A level without evidence passes its
    parent's mean on unchanged.
    """
    means, expected = np.empty_like(successes) if out is None else out, np.empty_like(successes)
    mean, variance = root, np.zeros_like(root)
    for level in range(len(successes)):
        variance = np.add(variance, variances[level], out=expected[level])
        if informed is None or informed[level]:
            mean, variance = update(mean, variance, successes[level], trials[level], out=means[level])
        else:
            means[level] = mean
    return means, expected
