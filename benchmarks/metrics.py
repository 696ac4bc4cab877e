"""How good predicted rates are, weighted by what they are rates of."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ECE_BINS = 10
_TINY = 1e-12


@dataclass(frozen=True)
class Scores:
    """d2: deviance explained, of the null model's. wmae: exposure-weighted mean absolute error over the mean.

    calibration: predicted over observed total. ece: expected calibration error over the mean, in
    `ECE_BINS` bins of equal exposure by predicted rate.
    """

    d2: float
    wmae: float
    calibration: float
    ece: float

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 6) for name, value in asdict(self).items()}


def evaluate(outcome: Array, exposure: Array, rate: Array, null_rate: float, *, binomial: bool) -> Scores:
    """Scores of predicted `rate`s of `outcome` per `exposure`, all [rows]. Rows without exposure don't count.

    Poisson deviance, or binomial for a proportion; the null model predicts `null_rate` everywhere.
    """
    shown = exposure > 0
    outcome, exposure, rate = outcome[shown], exposure[shown], rate[shown]
    if not outcome.sum() > 0:
        raise ValueError("nothing happened in the test days")
    measure = binomial_deviance if binomial else poisson_deviance
    null = np.full(len(rate), null_rate)
    expected = rate * exposure
    return Scores(
        d2=1.0 - measure(outcome, exposure, rate) / measure(outcome, exposure, null),
        wmae=float(np.abs(outcome - expected).sum() / outcome.sum()),
        calibration=float(expected.sum() / outcome.sum()),
        ece=calibration_error(outcome, exposure, rate),
    )


def poisson_deviance(outcome: Array, exposure: Array, rate: Array) -> float:
    """2 Σ y log(y / μ) − (y − μ), μ = rate · exposure."""
    expected = np.maximum(rate, _TINY) * exposure
    return float(2.0 * np.sum(_xlogy(outcome, outcome / expected) - outcome + expected))


def binomial_deviance(outcome: Array, exposure: Array, rate: Array) -> float:
    """2 Σ y log(y / μ) + (n − y) log((n − y) / (n − μ)), μ = rate · n."""
    expected = np.clip(rate, _TINY, 1.0 - _TINY) * exposure
    failed = exposure - outcome
    losses = _xlogy(outcome, outcome / expected) + _xlogy(failed, failed / (exposure - expected))
    return float(2.0 * np.sum(losses))


def reliability(
    outcome: Array, exposure: Array, rate: Array, bins: int = ECE_BINS
) -> tuple[Array, Array, Array]:
    """Per bin of equal exposure, by predicted rate: mean predicted rate, observed rate, share of exposure."""
    order = np.argsort(rate, kind="stable")
    middle = (np.cumsum(exposure[order]) - exposure[order] / 2.0) / exposure.sum()
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.minimum((middle * bins).astype(np.intp), bins - 1)
    shown = np.bincount(place, exposure, minlength=bins)
    filled = shown > 0
    predicted = np.bincount(place, rate * exposure, minlength=bins)[filled] / shown[filled]
    observed = np.bincount(place, outcome, minlength=bins)[filled] / shown[filled]
    return predicted, observed, shown[filled] / exposure.sum()


def calibration_error(outcome: Array, exposure: Array, rate: Array) -> float:
    """Mean distance of predicted and observed rate over the bins, over the mean rate."""
    predicted, observed, share = reliability(outcome, exposure, rate)
    return float(share @ np.abs(predicted - observed) / (outcome.sum() / exposure.sum()))


def _xlogy(x: Array, ratio: Array) -> Array:
    result: Array = np.zeros_like(x)
    positive = x > 0
    result[positive] = x[positive] * np.log(ratio[positive])
    return result
