"""What a bid's cell is expected to do: click-through, conversion, revenue and cost, from its evidence.

Evidence is the array [rows, levels, half-lives, measures] of decayed sums of `decay.HALF_LIVES_DAYS` and
`decay.MEASURES` over the cells of `context.LEVELS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.posterior import ROOT_ALPHA, ROOT_BETA, chain, own, prior_variances

Array = NDArray[np.float64]

TARGETS: dict[str, tuple[str, str]] = {
    "ctr": ("clicks", "impressions"),
    "cvr": ("conversions", "clicks"),
    "revenue": ("revenue", "impressions"),
    "cost": ("cost", "impressions"),
}
"""Each rate as (what is counted, per what). cvr is conversions per click: real logs have rows above 1."""

MINIMUM_EXPOSURE = 1.0
"""With fewer decayed impressions in the brand's whole currency than this, money rates are unknown."""

MINIMUM_REVENUE = 1e-6
"""With less decayed revenue in the brand's whole currency than this, the smallest amount there is, revenue is
unknown: it comes long after the first impressions, and until then is not expected to be nothing."""

NOTHING = 2.0**-60
"""Trials that knowing nothing is worth: what a sum is divided by may not be 0."""

_COUNTED = np.array([[MEASURES.index(name) for name in rate] for rate in TARGETS.values()]).T
MONEY = np.array([success in ("revenue", "cost") for success, _ in TARGETS.values()])
ROOT_STRENGTHS = np.where(MONEY, NOTHING, ROOT_ALPHA + ROOT_BETA)


@dataclass(frozen=True)
class ResponseParameters:
    """What learning found: one half-life per target, and one prior strength per target and level.

    half_lives: days, each one of `HALF_LIVES_DAYS`, by target. strengths: trials (clicks for cvr, otherwise
    impressions), by target, one per level below "global" in the order of `LEVELS[1:]`.
    """

    half_lives: dict[str, float]
    strengths: dict[str, tuple[float, ...]]

    def __post_init__(self) -> None:
        for target in TARGETS:
            if self.half_lives.get(target) not in HALF_LIVES_DAYS:
                raise ValueError(f"half_lives[{target!r}] must be one of {HALF_LIVES_DAYS}")
            strengths = self.strengths.get(target, ())
            if len(strengths) != len(LEVELS) - 1 or not all(0 < k < 1e12 for k in strengths):
                raise ValueError(f"strengths[{target!r}] must be {len(LEVELS) - 1} positive numbers")

    @cached_property
    def half_life_index(self) -> NDArray[np.intp]:
        """[targets]: where each target's half-life stands in `HALF_LIVES_DAYS`."""
        return np.array([HALF_LIVES_DAYS.index(self.half_lives[target]) for target in TARGETS])

    @cached_property
    def strength_array(self) -> Array:
        """[targets, levels], the root prior's strength first."""
        learned = np.array([self.strengths[target] for target in TARGETS])
        return np.concatenate([ROOT_STRENGTHS[:, None], learned], axis=1)

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads back."""
        return {"half_lives": self.half_lives, "strengths": {t: list(k) for t, k in self.strengths.items()}}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ResponseParameters":
        """Raises ValueError or KeyError when `value` isn't what `to_json` writes for these levels."""
        return cls(dict(value["half_lives"]), {t: tuple(k) for t, k in value["strengths"].items()})


@dataclass(frozen=True, eq=False)
class OperatorPriors:
    """Click-through priors set by people: [levels, rows], strength 0 where there is none."""

    clicks: Array
    impressions: Array


@dataclass(frozen=True, eq=False)
class Response:
    """Rates per row, and at every level: [targets, levels, rows]; money rates NaN where unknown."""

    levels: Array

    def _finest(self, target: int) -> Array:
        rates: Array = self.levels[target, -1]
        return rates

    @property
    def ctr(self) -> Array:
        return self._finest(0)

    @property
    def cvr(self) -> Array:
        """Conversions per click."""
        return self._finest(1)

    @property
    def revenue(self) -> Array:
        """Revenue per impression."""
        return self._finest(2)

    @property
    def cost(self) -> Array:
        """Cost per impression."""
        return self._finest(3)


@dataclass(frozen=True, eq=False)
class LongRun(Response):
    """The long-run rates, with what the recent chain needs to take them further.

    successes, trials: each level's own evidence (`posterior.own`); variances: of what each level expected
    from above (`posterior.chain`), all [depth, targets, rows]: no row has evidence at levels finer than
    these; root: [targets, rows]. informed: those of them at which any row has.
    """

    successes: Array
    trials: Array
    variances: Array
    root: Array
    informed: Sequence[bool]


def sums(evidence: Array, half_life: NDArray[np.intp]) -> Array:
    """[levels, 2, targets, rows]: successes and trials in `evidence` at each target's half-life."""
    planes = evidence.transpose(2, 3, 1, 0)  # [half-lives, measures, levels, rows]
    if planes.flags.c_contiguous:
        chosen = planes.reshape(-1, *planes.shape[2:]).take(half_life * len(MEASURES) + _COUNTED, axis=0)
        return np.ascontiguousarray(chosen.transpose(2, 0, 1, 3))
    measures = evidence[:, :, half_life, _COUNTED]  # [rows, levels, 2, targets]
    return np.ascontiguousarray(measures.transpose(1, 2, 3, 0))


def roots(successes: Array, trials: Array, money: NDArray[np.bool_] = MONEY) -> Array:
    """The mean above the first level, [targets, rows], from the sums of everything, of the same shape.

    3 % for rates of events. Money has no such prior: the mean of everything stands in, worth next to nothing.
    """
    everything = successes / np.maximum(trials, NOTHING)
    return np.where(money[:, None], everything, ROOT_ALPHA / (ROOT_ALPHA + ROOT_BETA))


def respond(evidence: Array, parameters: ResponseParameters, priors: OperatorPriors | None = None) -> LongRun:
    """The rates of each row. `evidence`: [rows, levels, half-lives, measures]."""
    known = sums(evidence, parameters.half_life_index)
    depth = len(known) if priors is not None else depth_of(evidence)
    successes, trials = known[0]
    unknown = trials[2:] < MINIMUM_EXPOSURE
    unknown[0] |= successes[2] < MINIMUM_REVENUE
    root = roots(successes, trials)
    known = known[:depth]
    variances = prior_variances(parameters.strength_array.T[:depth], known[:, 1])
    left = own(known)
    informed = known.any(axis=(1, 2, 3)) if priors is None else np.ones(depth, dtype=np.bool_)
    if priors is not None:
        # A prior set by people replaces what is known above it: its mean, its strength, and it doesn't decay.
        # Added as evidence, with nothing known above, it needs no second formula.
        variances[:, 0] = np.where(priors.impressions > 0, 1.0 / NOTHING, variances[:, 0])
        left[:, 0, 0] += priors.clicks
        left[:, 1, 0] += priors.impressions
    successes, trials = left[:, 0], left[:, 1]
    means = np.empty((len(LEVELS), *root.shape))
    _, expected = chain(successes, trials, variances, root, informed.tolist(), out=means[:depth])
    means[depth:] = means[depth - 1]
    if unknown.any():
        np.copyto(means[:, 2:], np.nan, where=unknown)
    return LongRun(means.transpose(1, 0, 2), successes, trials, expected, root, informed.tolist())


def depth_of(evidence: Array) -> int:
    """How many levels there are down to the last one with any evidence, at least one."""
    depth = int(evidence.shape[1])
    while depth > 1 and not evidence[:, depth - 1].any():
        depth -= 1
    return depth
