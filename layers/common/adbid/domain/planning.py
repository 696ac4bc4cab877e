"""The nightly solve: the dual prices that would have steered a replay of recent days best.

The dual of the fractional assignment is convex and piecewise linear; its subgradient is what the greedy
assignment at given prices overspends, so the solver is the auction itself, run again and again
(Bertsekas, *Nonlinear Programming*, ch. 7). No solver library: it runs wherever the score runs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.duals import NU_MAX, SHIFT, Duals
from adbid.domain.strategy import portfolio_score

Array = NDArray[np.float64]
Indexes = NDArray[np.intp]

MU_MAX = 20.0
"""Of a brand's scale: a budget's price is never higher."""

ITERATIONS = 80

TRAFFIC_CAUTION = 0.8
"""Of the traffic expected after the first day: how much is counted on."""

TRAFFIC_HALF_LIFE = 2.0
"""Days: how fast the traffic expected follows the traffic seen."""

_FIRST_STEP, _LARGEST_STEP, _SMALLEST_STEP = 0.3, 0.5, 1e-3
_FASTER, _SLOWER = 1.2, 0.5
_NOTHING = 1e-12


@dataclass(frozen=True)
class Opportunities:
    """What could be bought: rows [rows] of equal impressions, in slots that hold so many.

    brand: of `brands`. slot: numbers a slot at a time, 0 up. amount: impressions. revenue, cost: expected,
    per impression. capacity: [slots], impressions.
    """

    brand: Indexes
    slot: Indexes
    amount: Array
    revenue: Array
    cost: Array
    capacity: Array
    brands: int

    def by_brand(self, amounts: Array) -> Array:
        """[brands]: the sums of what `amounts` [rows] are."""
        return np.bincount(self.brand, amounts, minlength=self.brands)


@dataclass(frozen=True)
class Goals:
    """[brands]: what the replayed rows, taken `times` over, should keep to.

    budget: left to spend, infinite without one. slack: revenue − target·cost so far, negative when behind.
    target: the ROAS of what is still to come, 0 without one.
    """

    budget: Array
    slack: Array
    target: Array
    times: float = 1.0


def days_to_count_on(left: float) -> float:
    """How many expected days to plan for when `left` days are left: today, and most of the others.

    A budget kept for traffic that never comes is lost, one that is spent a little early hardly matters, as
    the prices of the days to come make good for it: so count on less than what is likely.
    """
    return min(left, 1.0) + TRAFFIC_CAUTION * max(left - 1.0, 0.0)


def recency_weights(age: Array, replayed: NDArray[np.bool_]) -> Array:
    """[rows]: what the `replayed` rows of past days, `age` days old, count for in an expected day.

    All rows of a day count alike, half as much as those `TRAFFIC_HALF_LIFE` days newer, and the days'
    weights sum to 1. The other rows get 0.
    """
    weights = np.where(replayed, 2.0 ** (-age / TRAFFIC_HALF_LIFE), 0.0)
    days = np.unique(age[replayed])
    shares: Array = weights / max(float(np.sum(2.0 ** (-days / TRAFFIC_HALF_LIFE))), _NOTHING)
    return shares


def assign(score: Array, rows: Opportunities) -> Array:
    """[rows]: the impressions each row gets when slots fill up by score; none at a score of 0 or less."""
    order = np.lexsort((-score, rows.slot))
    slot = rows.slot[order]
    wanted = np.where(score[order] > 0.0, rows.amount[order], 0.0)
    reached = np.cumsum(wanted)
    ends = np.cumsum(np.bincount(slot, wanted, minlength=len(rows.capacity)))
    before = reached - wanted - np.concatenate([[0.0], ends[:-1]])[slot]
    taken = np.empty_like(wanted)
    taken[order] = np.clip(rows.capacity[slot] - before, 0.0, wanted)
    return taken


def scores(duals: Duals, target: Array, rows: Opportunities) -> Array:
    """[rows]: what each impression is worth to the portfolio at these prices."""
    lambda_, weight = duals.lambda_(target)[rows.brand], duals.weight[rows.brand]
    return portfolio_score(rows.revenue, rows.cost, lambda_, weight)


def value_scale(rows: Opportunities) -> Array:
    """[brands]: revenue per unit of cost of everything a brand could buy; 1 where there is nothing."""
    cost, revenue = rows.by_brand(rows.amount * rows.cost), rows.by_brand(rows.amount * rows.revenue)
    known = (cost > 0.0) & (revenue > 0.0)
    return np.divide(revenue, cost, out=np.ones_like(cost), where=known)


def solve(rows: Opportunities, goals: Goals, start: Duals, iterations: int = ITERATIONS) -> Duals:
    """The prices at which the replayed rows just keep to the goals, or are the nearest to it.

    Every price has its own step, which grows while its error keeps its sign and halves when that turns
    (Riedmiller & Braun, "RPROP", 1993), in the mirror map of the online updates.
    """
    scale = value_scale(rows)
    everything = rows.by_brand(rows.amount * rows.cost) * goals.times
    limited, wanted = np.isfinite(goals.budget), goals.target > 0.0
    reference = np.maximum(0.2 * everything, _NOTHING)
    budget = np.where(limited, np.maximum(goals.budget, 0.0), 0.0)
    prices = np.stack([np.where(wanted, np.minimum(start.nu, NU_MAX), 0.0), np.where(limited, start.mu, 0.0)])
    top = np.stack([np.full_like(scale, NU_MAX), MU_MAX * scale])
    shift = SHIFT * np.stack([np.ones_like(scale), scale])
    step, sign = np.full_like(prices, _FIRST_STEP), np.zeros_like(prices)
    for _ in range(iterations):
        taken = assign(scores(Duals(prices[0], prices[1]), goals.target, rows), rows) * goals.times
        cost, revenue = rows.by_brand(taken * rows.cost), rows.by_brand(taken * rows.revenue)
        error = np.stack(
            [
                (goals.target * cost - revenue - goals.slack) / np.maximum(goals.target * cost, reference),
                (cost - budget) / np.maximum(budget, 0.05 * reference),
            ]
        )
        turn = np.sign(error) * sign
        step = np.clip(
            step * np.where(turn > 0, _FASTER, np.where(turn < 0, _SLOWER, 1.0)),
            _SMALLEST_STEP,
            _LARGEST_STEP,
        )
        sign = np.sign(error)
        move = step * np.clip(10.0 * error, -1.0, 1.0)
        prices = np.clip((prices + shift) * np.exp(move) - shift, 0.0, top)
        prices[0] = np.where(wanted, prices[0], 0.0)
        prices[1] = np.where(limited, prices[1], 0.0)
    return Duals(prices[0], prices[1])
