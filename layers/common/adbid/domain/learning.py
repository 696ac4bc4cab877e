"""How fast to forget and how much to trust what is known above: learned by predicting the past in order.

Every row of a log is predicted from what was known before it. The half-life and the strengths that predict
best are the empirical-Bayes choice: the prequential likelihood is the marginal likelihood, factorised in
time (Dawid, "The Prequential Approach", JRSS A 147, 1984; Robbins 1956; Gelman et al., BDA3, ch. 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import DriftParameters, expectation
from adbid.domain.posterior import ROOT_ALPHA, ROOT_BETA
from adbid.domain.replay import Log, replay
from adbid.domain.response import MINIMUM_EXPOSURE, TARGETS, ResponseParameters

Array = NDArray[np.float64]

BASE_HALF_LIFE = max(HALF_LIVES_DAYS)
"""Days: the tempo of the long-run chain; the recent one's is learned from the shorter ones."""

SAMPLE_ROWS = 80_000
"""Of more rows than this a sample is learned from, drawn in proportion to exposure."""

BURN_IN_SHARE = 0.25
"""The first part of the time steps only fills the sums."""

BASE_WIDTH = np.log(10.0)
DRIFT_WIDTH = np.log(3.0)
HALF_LIFE_WIDTH = np.log(1.2)
"""How far learning strays from the defaults without evidence: standard deviations, in logs.

Narrow for what follows the market: a calm past argues for slow forgetting, until the day it ends. On both
logs measured (docs/prediction.md) freely learned half-lives predicted later days worse than these.
"""

_STEPS = (np.log(8.0), np.log(3.0), np.log(1.5))
_BOUNDS = (np.log(0.1), np.log(1e7))
_TINY = 1e-12


@dataclass(frozen=True)
class LearnedParameters:
    """The long-run chain's parameters and the recent chain's."""

    response: ResponseParameters
    drift: DriftParameters

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {"response": self.response.to_json(), "drift": self.drift.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "LearnedParameters":
        """Raises ValueError or KeyError when `value` isn't what `to_json` writes."""
        return cls(ResponseParameters.from_json(value["response"]), DriftParameters.from_json(value["drift"]))


DEFAULT_PARAMETERS = ResponseParameters(
    half_lives=dict.fromkeys(TARGETS, BASE_HALF_LIFE),
    strengths={
        # vertical, brand, partner, slot, device_type, creative_type, campaign_id, country, os
        "ctr": (1000.0, 1000.0, 300.0, 300.0, 300.0, 300.0, 300.0, 1000.0, 1000.0),
        "cvr": (100.0, 100.0, 30.0, 100.0, 100.0, 100.0, 30.0, 300.0, 300.0),
        "revenue": (1000.0, 300.0, 100.0, 300.0, 1000.0, 100.0, 10.0, 3000.0, 1000.0),
        "cost": (1000.0, 300.0, 30.0, 30.0, 100.0, 30.0, 10.0, 300.0, 300.0),
    },
)
"""The long-run chain of a system that has learned nothing yet; in trials, by target."""

DEFAULT_DRIFT = DriftParameters(
    half_lives={target: min(HALF_LIVES_DAYS) for target in TARGETS},
    strengths={
        target: (trials,) * len(LEVELS)
        for target, trials in {"ctr": 10_000.0, "cvr": 300.0, "revenue": 10_000.0, "cost": 3_000.0}.items()
    },
)
"""The recent chain of a system that has learned nothing yet."""

DEFAULTS = LearnedParameters(DEFAULT_PARAMETERS, DEFAULT_DRIFT)


@dataclass(frozen=True)
class _Observed:
    """What one target is learned from. successes, trials: [half-lives, levels, rows]; the rest [rows]."""

    successes: Array
    trials: Array
    outcome: Array
    exposure: Array
    weight: Array
    root: float
    root_strength: float
    binomial: bool

    def deviance(self, mean: Array) -> float:
        """Weighted Poisson or binomial deviance of the rows, given their predicted rates."""
        expected = np.maximum(mean, _TINY) * self.exposure
        loss = _xlogy(self.outcome, self.outcome / expected)
        if self.binomial:
            failed, kept = self.exposure - self.outcome, np.maximum(self.exposure - expected, _TINY)
            loss += _xlogy(failed, failed / kept)
        else:
            loss += expected - self.outcome
        return float(2.0 * np.dot(self.weight, loss))

    def dispersion(self, mean: Array) -> float:
        """Pearson's estimate: how many times more the rows vary than counts would. Takes away units too."""
        expected = np.maximum(mean * self.exposure, _TINY)
        share = self.weight / self.weight.sum()
        return max(float(np.dot(share, (self.outcome - expected) ** 2 / expected)), _TINY)


@dataclass(frozen=True)
class _Chain:
    """One chain over the observed rows, as a function of its strengths.

    successes, trials: [levels, rows]; above: [rows], the mean over the first level; base: the long-run means
    [rows] by level, for the recent chain.
    """

    successes: Array
    trials: Array
    above: Array
    base: Sequence[Array] | None = None

    def means(self, logs: Array, level: int = 0, parent: Array | None = None) -> list[Array]:
        """Posterior means from `level` down: `posterior.chain`, or with a base `drift.drift_chain`."""
        found = []
        mean = self.above if parent is None else parent
        for below in range(level, len(LEVELS)):
            strength, trials = np.exp(logs[below]), self.trials[below]
            if self.base and below:
                expected = expectation(mean, self.base[below - 1], self.base[below])
            else:
                expected = mean
            known = trials > 0
            totals = np.where(known, trials + strength, 1.0)
            mean = np.where(known, (self.successes[below] + strength * expected) / totals, expected)
            found.append(mean)
        return found

    def descend(
        self, observed: _Observed, start: Array, free: list[int], scale: float, width: float
    ) -> tuple[Array, float]:
        """Log strengths with the least deviance / scale and penalty: coordinate descent in log steps."""
        logs, means = start.copy(), self.means(start)
        best = observed.deviance(means[-1]) / scale
        levels = [level for level in free if np.any(self.trials[level] > 0)]
        for step in _STEPS:
            for level in levels * 2:
                for move in (step, -step):
                    while True:
                        trial = logs.copy()
                        trial[level] += move
                        if not _BOUNDS[0] <= trial[level] <= _BOUNDS[1]:
                            break
                        below = self.means(trial, level, means[level - 1] if level else None)
                        penalty = float(np.sum(((trial[free] - start[free]) / width) ** 2))
                        loss = observed.deviance(below[-1]) / scale + penalty
                        if loss >= best - 1e-9:
                            break
                        best, logs = loss, trial
                        means[level:] = below
        return logs, best


def learn(
    log: Log, defaults: LearnedParameters = DEFAULTS, *, sample_rows: int = SAMPLE_ROWS
) -> LearnedParameters:
    """The strengths of both chains and the half-life of the recent one that predict `log` best, in order.

    Deterministic. Where the log says little or nothing the defaults stay: strengths are drawn towards them
    with log-normal priors of these widths, measured against the log's own dispersion.
    """
    base = dict(defaults.response.strengths)
    half_lives, recent = dict(defaults.drift.half_lives), dict(defaults.drift.strengths)
    for target, observed in _observe(log, sample_rows).items():
        base[target], means = _fit_base(observed, base[target], defaults.response.half_lives[target])
        half_lives[target], recent[target] = _fit_drift(observed, means, half_lives[target], recent[target])
    response = ResponseParameters(dict(defaults.response.half_lives), base)
    return LearnedParameters(response, DriftParameters(half_lives, recent))


def _fit_base(
    observed: _Observed, strengths: tuple[float, ...], half_life: float
) -> tuple[tuple[float, ...], list[Array]]:
    """The long-run chain's strengths, and its means at every level."""
    index = HALF_LIVES_DAYS.index(half_life)
    successes, trials = observed.successes[index], observed.trials[index]
    above = np.full(len(observed.outcome), observed.root)
    chain = _Chain(successes, trials, above)
    with np.errstate(divide="ignore"):
        start = np.log([observed.root_strength, *strengths])
    scale = observed.dispersion(chain.means(start)[-1])
    logs, _ = chain.descend(observed, start, list(range(1, len(LEVELS))), scale, BASE_WIDTH)
    return _rounded(logs[1:]), chain.means(logs)


def _fit_drift(
    observed: _Observed, base: list[Array], half_life: float, strengths: tuple[float, ...]
) -> tuple[float, tuple[float, ...]]:
    """The recent chain's half-life and strengths, over the long-run means `base`."""
    start = np.log(strengths)

    def chain(days: float) -> _Chain:
        index = HALF_LIVES_DAYS.index(days)
        return _Chain(observed.successes[index], observed.trials[index], base[0], base)

    scale = observed.dispersion(chain(half_life).means(start)[-1])
    found = []
    for days in HALF_LIVES_DAYS:
        if days < BASE_HALF_LIFE:
            logs, loss = chain(days).descend(observed, start, list(range(len(LEVELS))), scale, DRIFT_WIDTH)
            found.append((loss + float(np.log(days / half_life) / HALF_LIFE_WIDTH) ** 2, days, logs))
    _, days, logs = min(found, key=lambda candidate: candidate[0])
    return days, _rounded(logs)


def _rounded(logs: Array) -> tuple[float, ...]:
    return tuple(float(f"{strength:.4g}") for strength in np.exp(logs))


def _observe(log: Log, sample_rows: int) -> dict[str, _Observed]:
    """Replays the log and keeps, for a sample of the rows after the burn-in, evidence and outcome."""
    steps = log.steps()
    if len(steps) < 2:
        return {}
    first = steps[max(1, int(BURN_IN_SHARE * len(steps)))].start
    samples = {
        trial: systematic_sample(log.measures[:, MEASURES.index(trial)], first, sample_rows)
        for trial in ("impressions", "clicks")
    }
    wanted = np.unique(np.concatenate([rows for rows, _ in samples.values()]))
    kept = []
    for step in replay(log):
        begin, end = np.searchsorted(wanted, [step.rows.start, step.rows.stop])
        kept.append(step.evidence[wanted[begin:end] - step.rows.start])
    evidence = np.concatenate(kept).transpose(3, 2, 1, 0)  # [measures, half-lives, levels, rows]
    observed = {}
    for name, (success, trial) in TARGETS.items():
        rows, weight = samples[trial]
        place = np.searchsorted(wanted, rows)
        money = success in ("cost", "revenue")
        successes = evidence[MEASURES.index(success)][..., place]
        trials = evidence[MEASURES.index(trial)][..., place]
        known = trials[:, 0].min(axis=0) >= (MINIMUM_EXPOSURE if money else 0.0)
        outcome = log.measures[rows, MEASURES.index(success)][known]
        if not outcome.sum() > 0:
            continue  # nothing of it ever happened: the defaults stay
        observed[name] = _Observed(
            successes=np.ascontiguousarray(successes[..., known]),
            trials=np.ascontiguousarray(trials[..., known]),
            outcome=outcome,
            exposure=log.measures[rows, MEASURES.index(trial)][known],
            weight=weight[known],
            root=0.0 if money else ROOT_ALPHA / (ROOT_ALPHA + ROOT_BETA),
            root_strength=0.0 if money else ROOT_ALPHA + ROOT_BETA,
            binomial=name == "ctr",
        )
    return observed


def systematic_sample(exposure: Array, first: int, size: int) -> tuple[NDArray[np.intp], Array]:
    """Row numbers from `first` on with exposure, and their weights: all of them, or about `size`.

    Systematic sampling in proportion to exposure: evenly spaced ticks on the cumulated exposure, so that
    weighted sums are unbiased and nothing is random (Madow 1949).
    """
    rows = first + np.flatnonzero(exposure[first:] > 0)
    if len(rows) <= size:
        return rows, np.ones(len(rows))
    ends = np.cumsum(exposure[rows])
    tick = ends[-1] / size
    ticks = np.minimum(np.searchsorted(ends, (np.arange(size) + 0.5) * tick), len(rows) - 1)
    drawn, times = np.unique(ticks, return_counts=True)
    chosen = rows[drawn]
    return chosen, times * tick / exposure[chosen]


def _xlogy(x: Array, ratio: Array) -> Array:
    """x · log(ratio), 0 where x is 0."""
    result: Array = np.zeros_like(x)
    positive = x > 0
    result[positive] = x[positive] * np.log(ratio[positive])
    return result
