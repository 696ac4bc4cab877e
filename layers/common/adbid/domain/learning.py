"""How fast to forget and how much to trust what is known above: learned by predicting the past in order.

Every row of a log is predicted from what was known before it. The half-life and the strengths that predict
best are the empirical-Bayes choice: the prequential likelihood is the marginal likelihood, factorised in
time (Dawid, "The Prequential Approach", JRSS A 147, 1984; Robbins 1956; Gelman et al., BDA3, ch. 5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.descent import LongRunChain, Observed, RecentChain, descend, run
from adbid.domain.drift import DriftParameters
from adbid.domain.learned import BASE_HALF_LIFE, DEFAULTS, LearnedParameters
from adbid.domain.posterior import chain, own, prior_variances
from adbid.domain.replay import Indexes, Log, replay
from adbid.domain.response import MINIMUM_EXPOSURE, MONEY, ROOT_STRENGTHS, TARGETS, ResponseParameters, roots

Array = NDArray[np.float64]

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
        base[target], found = _fit_base(observed, base[target], defaults.response.half_lives[target])
        half_lives[target], recent[target] = _fit_drift(observed, found, half_lives[target], recent[target])
    response = ResponseParameters(dict(defaults.response.half_lives), base)
    return LearnedParameters(response, DriftParameters(half_lives, recent))


@dataclass(frozen=True)
class _Base:
    """The fitted long-run chain: own evidence, means and prior variances, [levels, rows]; root: [rows]."""

    successes: Array
    trials: Array
    means: Array
    expected: Array
    root: Array


def _fit_base(
    observed: Observed, strengths: tuple[float, ...], half_life: float
) -> tuple[tuple[float, ...], _Base]:
    """The long-run chain's strengths, and what it then is."""
    index = HALF_LIVES_DAYS.index(half_life)
    successes, trials = observed.successes[index], observed.trials[index]
    root = roots(successes[:1], trials[:1], MONEY[[observed.index]])[0]
    long_run = LongRunChain(own(successes), own(trials), trials > 0)
    top = root, np.zeros_like(root)
    start = np.log([ROOT_STRENGTHS[observed.index], *strengths])
    scale = observed.dispersion(run(long_run, start, top)[-1][0])
    logs, _ = descend(long_run, observed, top, start, list(range(1, len(LEVELS))), scale, BASE_WIDTH)
    variances = prior_variances(np.exp(logs), trials)
    means, expected = chain(long_run.successes, long_run.trials, variances, root)
    return _rounded(logs[1:]), _Base(long_run.successes, long_run.trials, means, expected, root)


def _fit_drift(
    observed: Observed, base: _Base, half_life: float, strengths: tuple[float, ...]
) -> tuple[float, tuple[float, ...]]:
    """The recent chain's half-life and strengths, over the long-run one."""
    start, top = np.log(strengths), (base.root,)

    def recent_chain(days: float) -> RecentChain:
        index = HALF_LIVES_DAYS.index(days)
        successes, trials = own(observed.successes[index]), own(observed.trials[index])
        older = np.maximum(base.successes - successes, 0.0), np.maximum(base.trials - trials, 0.0)
        return RecentChain((successes, trials), older, base.expected, base.means)

    scale = observed.dispersion(run(recent_chain(half_life), start, top)[-1][0])
    found = []
    for days in HALF_LIVES_DAYS:
        if days < BASE_HALF_LIFE:
            logs, loss = descend(
                recent_chain(days), observed, top, start, list(range(len(LEVELS))), scale, DRIFT_WIDTH
            )
            found.append((loss + float(np.log(days / half_life) / HALF_LIFE_WIDTH) ** 2, days, logs))
    _, days, logs = min(found, key=lambda candidate: candidate[0])
    return days, _rounded(logs)


def _rounded(logs: Array) -> tuple[float, ...]:
    return tuple(float(f"{strength:.4g}") for strength in np.exp(logs))


def _observe(log: Log, sample_rows: int) -> dict[str, Observed]:
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
    for index, (name, (success, trial)) in enumerate(TARGETS.items()):
        rows, weight = samples[trial]
        place = np.searchsorted(wanted, rows)
        successes = evidence[MEASURES.index(success)][..., place]
        trials = evidence[MEASURES.index(trial)][..., place]
        known = trials[:, 0].min(axis=0) >= (MINIMUM_EXPOSURE if MONEY[index] else 0.0)
        outcome, exposure = (log.measures[rows, MEASURES.index(column)] for column in (success, trial))
        unit = np.ones(len(rows))
        if MONEY[index]:
            unit = one_unit(outcome * weight * known, exposure * weight * known, log.currencies[rows])
            known &= unit > 0
        if not outcome[known].sum() > 0:
            continue  # nothing of it ever happened: the defaults stay
        observed[name] = Observed(
            index=index,
            successes=np.ascontiguousarray(successes[..., known] * unit[known]),
            trials=np.ascontiguousarray(trials[..., known]),
            outcome=outcome[known] * unit[known],
            exposure=exposure[known],
            weight=weight[known],
            binomial=name == "ctr",
        )
    return observed


def one_unit(amounts: Array, exposure: Array, currencies: Indexes) -> Array:
    """[rows]: what to multiply each row's money by, so that an impression brings the same in every currency.

    Without exchange rates, this keeps the rows of a currency with small units from counting for more than
    others. 1 in the currency with the most exposure (so wherever there is only one), 0 where a currency's
    `amounts` are none. All arguments [rows]; `currencies` are numbers from 0 up.
    """
    total, shown = np.bincount(currencies, amounts), np.bincount(currencies, exposure)
    mean = np.divide(total, shown, out=np.zeros_like(total), where=shown > 0)
    largest = mean[np.argmax(np.where(mean > 0, shown, -1.0))] if len(mean) else 0.0
    units: Array = np.divide(largest, mean, out=np.zeros_like(mean), where=mean > 0)[currencies]
    return units


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
