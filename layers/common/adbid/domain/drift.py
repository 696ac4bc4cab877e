"""Following a market that moves: recent evidence corrects the long-run rates, coarse cells leading fine ones.

Two tempos of the same stored sums. The long-run chain (`response.respond` at a long half-life) knows how a
cell differs from its parent; it has the data, and such differences last. What changes from day to day mostly
changes for many cells at once, and shows first in the coarse ones. So the recent chain expects of a cell its
parent's *current* rate times the cell's long-run lift, and corrects that by the cell's own recent evidence:

    rate = (recent successes + k · parent · lift) / (recent trials + k),   lift = base(cell) / base(parent)

where base is the long-run rate.

It is the posterior formula once more, a multiplicative local-level model (West & Harrison, *Bayesian
Forecasting and Dynamic Models*, 2nd ed., ch. 2) run down the hierarchy instead of along one series.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.response import TARGETS, OperatorPriors, Response

Array = NDArray[np.float64]

MAX_MOVE = 10.0
"""How many times its long-run rate a cell is expected to reach because of its parent alone."""

_TINY = 1e-300  # where a parent never earned anything, neither did its cells

_SUCCESS = np.array([MEASURES.index(success) for success, _ in TARGETS.values()])
_TRIAL = np.array([MEASURES.index(trial) for _, trial in TARGETS.values()])


@dataclass(frozen=True)
class DriftParameters:
    """half_lives: days of the recent chain, each one of `HALF_LIVES_DAYS`, by target. strengths: trials that
    the expectation from above is worth, by target, one per level of `LEVELS` ("global" included)."""

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
    evidence: Array, base: Response, parameters: DriftParameters, priors: OperatorPriors | None = None
) -> Response:
    """The current rates, from the long-run ones. `evidence`: [rows, levels, half-lives, measures].

    Where nothing recent is known the long-run rates come back unchanged, NaN stays NaN. A prior set by
    people replaces, as in the base, what is known above it.
    """
    half_life = parameters.half_life_index
    successes = np.ascontiguousarray(evidence[:, :, half_life, _SUCCESS].transpose(2, 1, 0))
    trials = np.ascontiguousarray(evidence[:, :, half_life, _TRIAL].transpose(2, 1, 0))
    strengths = parameters.strength_array[..., None]
    if priors is not None:
        given = priors.impressions > 0
        strengths = np.repeat(strengths, successes.shape[2], axis=2)
        strengths[0] = np.where(given, 0.0, strengths[0])
        successes[0] += priors.clicks
        trials[0] += priors.impressions
    return Response(drift_chain(successes, trials, strengths, base.levels))


def drift_chain(successes: Array, trials: Array, strengths: Array, base: Array) -> Array:
    """Current means down a hierarchy. All [targets, levels, rows], strengths also [targets, levels, 1]."""
    totals = trials + strengths
    known = trials > 0
    shares = np.divide(strengths, totals, out=np.ones_like(totals), where=known)
    own = np.divide(successes, totals, out=np.zeros_like(totals), where=known)
    means = np.empty_like(base)
    for level in range(base.shape[1]):
        above = expectation(means[:, level - 1], base[:, level - 1], base[:, level]) if level else base[:, 0]
        means[:, level] = own[:, level] + shares[:, level] * above
    np.minimum(means[0], 1.0, out=means[0])  # a lift may push the expectation of a proportion over 1
    return means


def expectation(parent: Array, base_parent: Array, base: Array) -> Array:
    """What a cell's rate should be now: its long-run rate, moved as its parent has moved.

    A move counts for `MAX_MOVE` at most: the ratio of a parent that hardly ever earned anything says little.
    """
    moved = parent / np.maximum(base_parent, _TINY)
    expected: Array = base * np.minimum(np.maximum(moved, 1.0 / MAX_MOVE), MAX_MOVE)
    return expected
