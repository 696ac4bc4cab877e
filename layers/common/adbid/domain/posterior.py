"""Response rates from little data: a chain of posteriors, each level's mean the next one's prior.

The Beta–binomial chain (rates that are proportions) and the Gamma–Poisson chain (money per impression,
conversions per click) share one formula: (successes + k · parent) / (trials + k), where k is the prior's
strength in trials (Gelman et al., *Bayesian Data Analysis*, 3rd ed., ch. 2 and 5).
"""

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


def chain(successes: Array, trials: Array, strengths: Array, root: Array) -> Array:
    """Posterior means down a hierarchy, coarse to fine.

    successes, trials: [targets, levels, rows]; strengths: [targets, levels] or [targets, levels, rows],
    the weight in trials of what is known above; root: [targets], the mean above the first level.
    Returns [targets, levels, rows]. A level without evidence passes its parent's mean on unchanged.
    """
    strengths = strengths[..., None] if strengths.ndim == 2 else strengths
    totals = trials + strengths
    known = trials > 0
    divisors = np.where(known, totals, 1.0)
    means = np.empty_like(successes)
    parent: Array = np.broadcast_to(root[:, None], (successes.shape[0], successes.shape[2]))
    for level in range(successes.shape[1]):
        mean = (successes[:, level] + strengths[:, level] * parent) / divisors[:, level]
        parent = np.where(known[:, level], mean, parent)
        means[:, level] = parent
    return means
