"""Following a market that moves: recent evidence corrects the long-run rates, coarse cells leading fine ones.

Two tempos of the same stored sums. What the short half-life has forgotten of what the long one remembers is a
cell's *older* evidence: it has the data, and tells how a cell differs from its parent, which lasts. What
changes from day to day mostly changes for many cells at once, and shows first in the coarse ones. So a cell
is expected at its long-run rate, moved as its parent has moved,

    expected = (older successes · move + k · parent) / (older trials + k),   move = parent / parent's long run

and its own recent evidence corrects that:

    rate = (recent successes + h · expected) / (recent trials + h),   1 / h = 1 / (older trials + k) + 1 / d

k is what the long-run chain lends from above (`posterior.chain`); d, in trials, says how far cells stray from
their parents' moves. Each event is older evidence or recent, in parts that add up to its long-run weight, and
belongs to one level (`posterior.own`): it counts once.

It is the posterior formula twice more, a multiplicative local-level model (West & Harrison, *Bayesian
Forecasting and Dynamic Models*, 2nd ed., ch. 2) run down the hierarchy instead of along one series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS
from adbid.domain.posterior import own
from adbid.domain.response import TARGETS, LongRun, OperatorPriors, Response, sums

Array = NDArray[np.float64]

MAX_MOVE = 10.0
"""How many times its long-run rate a cell's older evidence counts because of its parent alone."""

_TINY = 1e-200  # a parent that never earned anything has not moved


@dataclass(frozen=True)
class DriftParameters:
    """half_lives: days of the recent chain, each one of `HALF_LIVES_DAYS`, by target. strengths: the
    trials d that a cell's following its parent is worth, by target, one per level of `LEVELS`."""

    half_lives: dict[str, float]
    strengths: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for target in TARGETS:
            if self.half_lives.get(target) not in HALF_LIVES_DAYS:
                raise ValueError(f"half_lives[{target!r}] must be one of {HALF_LIVES_DAYS}")
            strengths = self.strengths.get(target, ())
            if len(strengths) != len(LEVELS) or not all(0 < k < 1e12 for k in strengths):
                raise ValueError(f"strengths[{target!r}] must be {len(LEVELS)} positive numbers")

    @cached_property
    def half_life_index(self) -> NDArray[np.intp]:
        """[targets]: where each target's half-life stands in `HALF_LIVES_DAYS`."""
        return np.array([HALF_LIVES_DAYS.index(self.half_lives[target]) for target in TARGETS])

    @cached_property
    def strength_array(self) -> Array:
        """[targets, levels]."""
        return np.array([self.strengths[target] for target in TARGETS])

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {"half_lives": self.half_lives, "strengths": {t: list(k) for t, k in self.strengths.items()}}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "DriftParameters":
        """Raises ValueError or KeyError when `value` isn't what `to_json` writes for these levels."""
        return cls(dict(value["half_lives"]), {t: tuple(k) for t, k in value["strengths"].items()})


def follow(
    evidence: Array, base: LongRun, parameters: DriftParameters, priors: OperatorPriors | None = None
) -> Response:
    """The current rates, from the long-run ones. `evidence`: [rows, levels, half-lives, measures].

    Where nothing recent is known the long-run rates come back unchanged, NaN stays NaN. `priors` are the ones
    that `base` was made with.
    """
    depth = len(base.informed)
    known = sums(evidence, parameters.half_life_index)[:depth]
    recent = own(known)
    if priors is not None:
        # In both parts, so that their difference is the older evidence. As recent evidence nothing is taken
        # off it, however strong it is.
        recent[:, 0, 0] += priors.clicks
        recent[:, 1, 0] += priors.impressions
    successes, trials = recent[:, 0], recent[:, 1]
    older = np.maximum(base.successes - successes, 0.0), np.maximum(base.trials - trials, 0.0)
    strays = 1.0 / parameters.strength_array.T[:depth, :, None]
    shares = Shares.of((successes, trials), older, base.variances, strays)
    long_run = base.levels.transpose(1, 0, 2)
    informed = known.any(axis=(1, 2, 3)) | base.informed
    means = np.empty_like(long_run)
    drift_chain(shares, long_run, base.root, informed.tolist(), out=means[:depth])
    means[depth:] = means[depth - 1]
    unknown = np.isnan(long_run[0])
    if unknown.any():
        np.copyto(means, np.nan, where=unknown)
    np.minimum(means[:, 0], 1.0, out=means[:, 0])  # a move may push the expectation of a proportion over 1
    return Response(means.transpose(1, 0, 2))


@dataclass(frozen=True, eq=False)
class Shares:
    """What current rates are made of: known + lent · parent + moving · move, arrays of one shape."""

    known: Array
    lent: Array
    moving: Array

    @classmethod
    def of(
        cls, recent: tuple[Array, Array], older: tuple[Array, Array], expected: Array, strays: Array
    ) -> "Shares":
        """From the successes and trials of both parts of the own evidence.

        expected: 1 / k, the variance of what the long-run chain lends; strays: 1 / d.
        """
        lent = expected * older[1]
        lent += 1.0
        np.divide(1.0, lent, out=lent)
        variance = expected * lent  # 1 / (older trials + k)
        left = variance + strays  # 1 / h
        growth = left * recent[1]
        growth += 1.0
        known = np.multiply(left, recent[0], out=left)
        known /= growth
        moving = np.multiply(variance, older[0], out=variance)
        moving /= growth
        lent /= growth
        return cls(known, lent, moving)

    def rate(self, parent: Array, moved: Array, level: int, out: Array | None = None) -> Array:
        """The current rates at `level`, the first axis, of the parents' current rates and their moves."""
        now: Array = np.multiply(self.lent[level], parent, out=out)
        now += self.known[level]
        now += self.moving[level] * moved
        return now


def drift_chain(
    shares: Shares, base: Array, root: Array, informed: Sequence[bool], out: Array | None = None
) -> Array:
    """Current means down a hierarchy, in `out` where given: [levels, targets, rows] like `base`, the long-run
    means; root: [targets, rows], the mean above the first level; informed: the levels with any evidence."""
    means = np.empty_like(base) if out is None else out
    parent, moved = root, np.ones_like(root)
    for level, known in enumerate(informed):
        if known:  # else its parent lends it all
            if level:
                moved = move(parent, base[level - 1])
            parent = shares.rate(parent, moved, level, out=means[level])
        else:
            means[level] = parent
    return means


def move(current: Array, base: Array) -> Array:
    """How many times its long-run rate a parent's current rate is, up to `MAX_MOVE` either way: the ratio of
    a parent that hardly ever earned anything says little."""
    moved: Array = current + _TINY
    moved /= base + _TINY
    np.maximum(moved, 1.0 / MAX_MOVE, out=moved)
    return np.minimum(moved, MAX_MOVE, out=moved)
