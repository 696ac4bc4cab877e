"""Fitting the strengths of a chain to rows whose outcome is known: coordinate descent on their deviance.

The chains are `posterior.chain` and `drift.drift_chain`, one level at a time, so that a changed strength
costs only the levels below it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.drift import Shares, move
from adbid.domain.posterior import update

Array = NDArray[np.float64]

_STEPS = (np.log(8.0), np.log(3.0), np.log(1.5))
_BOUNDS = (np.log(0.1), np.log(1e7))
_TINY = 1e-12


@dataclass(frozen=True)
class Observed:
    """What one target is learned from. successes, trials: sums [half-lives, levels, rows]; the rest [rows].

    `index`: the target's place in `TARGETS`.
    """

    index: int
    successes: Array
    trials: Array
    outcome: Array
    exposure: Array
    weight: Array
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


State = tuple[Array, ...]
"""Of the chain below a level: its means first, and what else the next level needs; [rows] each."""


class Chain(Protocol):
    """A chain over the observed rows, level by level; `log` is the level's log strength."""

    def below(self, level: int, log: float, above: State) -> State: ...


@dataclass(frozen=True)
class LongRunChain:
    """`posterior.chain`. successes, trials: own evidence, present: not skipped; [levels, rows]."""

    successes: Array
    trials: Array
    present: NDArray[np.bool_]

    def below(self, level: int, log: float, above: State) -> State:
        mean, variance = above
        differs = np.where(self.present[level], np.exp(-log), 0.0) if level else np.exp(-log)
        return update(mean, variance + differs, self.successes[level], self.trials[level])


@dataclass(frozen=True)
class RecentChain:
    """`drift.drift_chain`. recent, older: the own evidence, each successes and trials; expected, base: the
    long-run chain's prior variances and means; all [levels, rows]."""

    recent: tuple[Array, Array]
    older: tuple[Array, Array]
    expected: Array
    base: Array

    def below(self, level: int, log: float, above: State) -> State:
        (parent,) = above
        one = slice(level, level + 1)
        recent, older = ((successes[one], trials[one]) for successes, trials in (self.recent, self.older))
        shares = Shares.of(recent, older, self.expected[one], np.exp(-log))
        moved = move(parent, self.base[level - 1]) if level else np.ones_like(parent)
        return (shares.rate(parent, moved, 0),)


def run(tempo: Chain, logs: Array, above: State, level: int = 0) -> list[State]:
    """The states from `level` down."""
    found = []
    for below in range(level, len(LEVELS)):
        above = tempo.below(below, logs[below], above)
        found.append(above)
    return found


def descend(
    tempo: Chain,
    observed: Observed,
    top: State,
    start: Array,
    levels: list[int],
    scale: float,
    width: float,
) -> tuple[Array, float]:
    """Log strengths with the least deviance / scale and penalty: coordinate descent in log steps."""
    logs, states = start.copy(), [top, *run(tempo, start, top)]  # states[level] is above level
    best = observed.deviance(states[-1][0]) / scale
    known = [level for level in levels if np.any(observed.trials[:, level] > 0)]
    for step in _STEPS:
        for level in known * 2:
            for change in (step, -step):
                while True:
                    trial = logs.copy()
                    trial[level] += change
                    if not _BOUNDS[0] <= trial[level] <= _BOUNDS[1]:
                        break
                    below = run(tempo, trial, states[level], level)
                    penalty = float(np.sum(((trial[levels] - start[levels]) / width) ** 2))
                    loss = observed.deviance(below[-1][0]) / scale + penalty
                    if loss >= best - 1e-9:
                        break
                    best, logs = loss, trial
                    states[level + 1 :] = below
    return logs, best


def _xlogy(x: Array, ratio: Array) -> Array:
    """x · log(ratio), 0 where x is 0."""
    result: Array = np.zeros_like(x)
    positive = x > 0
    result[positive] = x[positive] * np.log(ratio[positive])
    return result
