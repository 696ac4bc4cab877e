"""What if: a brand's recent days played again with another target, budget or strategy.

What was bought on those days is bought again as far as the prices of the new setting allow (`planning.solve`,
as every night), at the cost and revenue that really came. So an answer never holds an impression that wasn't
won: what a looser setting would have won besides isn't in any log, and how much of it the setting leaves room
for is said as a share (Bottou et al., "Counterfactual reasoning and learning systems", JMLR 14, 2013, on
what a log can and can't answer). Rivals are taken to bid as they did.

Arrays run over targets (ascending), the days played and the places bought on: a place is one combination of
partner, slot and context. Money is in the brand's currency.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.duals import Duals, guarded_target
from adbid.domain.planning import Goals, Opportunities, solve
from adbid.domain.portfolio_status import ON_PACE
from adbid.domain.steering_step import UNSEEN_DAYS
from adbid.domain.strategy import portfolio_score

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

AROUND = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)
"""The targets played where none are named, in present targets."""

MARGIN = 0.02
"""Places that return λ times their cost within so much are worth next to nothing: steering, whose prices
never stand still, buys them part of the time."""

HELD = 0.1
"""A λ under so much of what the days returned passes over next to nothing."""

_CLASSES = 256  # of places that return about the same, in which prices are solved
_NOTHING = 1e-12


@dataclass(frozen=True)
class Past:
    """What was bought, and how steering held it back.

    impressions, conversions, cost, revenue: [days, places]. expected_revenue, expected_cost: [places], per
    impression, as predicted now. contested: [places], whether other brands were shown there too.
    lambda_: [days], the price in force, 0 where nothing was held back.
    """

    impressions: Array
    conversions: Array
    cost: Array
    revenue: Array
    expected_revenue: Array
    expected_cost: Array
    contested: Flags
    lambda_: Array

    @property
    def days(self) -> int:
        return len(self.cost)


@dataclass(frozen=True)
class Setting:
    """What people set beside the target. budget: a day's, infinite without one. multiplier: of scores.
    probe_share: of what is held back, how much is bought nonetheless."""

    budget: float
    multiplier: float
    probe_share: float


@dataclass(frozen=True)
class Played:
    """[targets]: sums over the days played. lambda_: the ROAS under which bids were passed over. only_probes:
    whether that is all but the probes. ended_days: on how many days the budget ended before the traffic did.
    beyond: of the spend that this setting leaves room for, the share that the log can't vouch for, 0 to 1."""

    target: Array
    impressions: Array
    conversions: Array
    spend: Array
    revenue: Array
    lambda_: Array
    only_probes: Flags
    ended_days: Array
    beyond: Array


def play(past: Past, targets: Array, setting: Setting, present: Setting, present_target: float) -> Played:
    """The days with each of `targets`, ascending, and otherwise `setting`; `present` is what they were under.

    A higher target never spends more, and no day more than its budget. Raises ValueError on targets that
    aren't positive and ascending, or without a day.
    """
    targets = np.asarray(targets, dtype=np.float64)
    if np.any(targets <= 0.0) or np.any(np.diff(targets) < 0.0) or past.days == 0:
        raise ValueError("targets must be positive and ascending, and there must be days")
    past = _levelled(past)
    steered = guarded_target(targets, UNSEEN_DAYS, float(past.days))
    budget = setting.budget * past.days
    goals = Goals(np.full(len(targets), budget), np.zeros(len(targets)), steered)
    duals = solve(_classes(past, len(targets)), goals, Duals(*np.zeros((2, len(targets)))))
    # The solver's tolerance must not make a higher target buy what a lower one passes over.
    lambda_ = np.maximum.accumulate(duals.lambda_(steered))
    bought = np.minimum.accumulate(_bought(past, lambda_, steered, budget), axis=0)
    only_probes = ~(bought > 0.0).any(axis=1)
    bought = bought + (1.0 - bought) * setting.probe_share

    due = bought @ past.cost.T  # [targets, days]
    kept = np.divide(setting.budget, due, out=np.ones_like(due), where=due > setting.budget)
    spend = np.minimum(due, setting.budget)
    revenue = (bought @ past.revenue.T * kept).sum(axis=1)
    contested = (bought * past.contested) @ past.cost.T * kept
    changed = setting.multiplier != present.multiplier
    room = _room(past, targets, steered, spend, revenue, setting, present, present_target)
    unsure = room + (contested.sum(axis=1) if changed else 0.0)
    total = spend.sum(axis=1)
    beyond = np.divide(
        unsure, total + room, out=np.ones_like(room), where=np.isfinite(room) & (total + room > 0)
    )
    return Played(
        target=targets,
        impressions=(bought @ past.impressions.T * kept).sum(axis=1),
        conversions=(bought @ past.conversions.T * kept).sum(axis=1),
        spend=total,
        revenue=revenue,
        lambda_=lambda_,
        only_probes=only_probes,
        ended_days=(due > setting.budget).sum(axis=1).astype(np.float64),
        beyond=np.where(room + total > 0.0, np.minimum(beyond, 1.0), 0.0),
    )


def _levelled(past: Past) -> Past:
    """`past` with predictions that add up to what the days really brought: what has drifted since then says
    nothing about which places are the better ones."""
    shown = past.impressions.sum(axis=0)

    def level(expected: Array, real: Array) -> Array:
        total = float(shown @ expected)
        factor = max(float(real.sum()), 0.0) / total if total > _NOTHING else 1.0
        return expected * factor

    return Past(
        past.impressions,
        past.conversions,
        past.cost,
        past.revenue,
        level(past.expected_revenue, past.revenue),
        level(past.expected_cost, past.cost),
        past.contested,
        past.lambda_,
    )


def _classes(past: Past, targets: int) -> Opportunities:
    """The places by what they return, in classes of equal cost, once for each target."""
    shown = past.impressions.sum(axis=0)
    cost, revenue = shown * past.expected_cost, shown * past.expected_revenue
    order = np.argsort(-_ratio(past.expected_revenue, past.expected_cost), kind="stable")
    reached = np.cumsum(cost[order])
    number = np.zeros(len(order), dtype=np.intp)
    if len(order) > _CLASSES:
        number[order] = np.minimum(reached / max(reached[-1], _NOTHING) * _CLASSES, _CLASSES - 1).astype(
            np.intp
        )
    else:
        number = np.arange(len(order))
    count = int(number.max(initial=-1)) + 1
    amount, money, earned = (np.bincount(number, values, count) for values in (shown, cost, revenue))
    per = np.maximum(amount, _NOTHING)
    return Opportunities(
        brand=np.repeat(np.arange(targets), count),
        slot=np.arange(targets * count),
        amount=np.tile(amount, targets),
        revenue=np.tile(earned / per, targets),
        cost=np.tile(money / per, targets),
        capacity=np.tile(amount, targets),
        brands=targets,
    )


def _bought(past: Past, lambda_: Array, steered: Array, budget: float) -> Array:
    """[targets, places]: the share of what was bought that is bought again at these prices.

    Where the price decides, all or nothing; of what is worth next to nothing at it, as much as keeps the
    target and the budget, which is where steering's prices swing to and fro.
    """
    revenue, cost = past.expected_revenue, past.expected_cost
    price, weight = lambda_[:, None], np.ones((len(lambda_), 1))
    sure = portfolio_score(revenue, cost, price * (1.0 + MARGIN), weight) > 0.0
    near = (portfolio_score(revenue, cost, price * (1.0 - MARGIN), weight) > 0.0) & ~sure
    shown = past.impressions.sum(axis=0)
    earned, paid = shown * revenue, shown * cost
    lack = steered * (near @ paid) - near @ earned
    slack = sure @ earned - steered * (sure @ paid)
    for_target = np.divide(slack, lack, out=np.ones_like(slack), where=lack > 0.0)
    left, asked = budget - sure @ paid, near @ paid
    for_budget = np.divide(left, asked, out=np.ones_like(left), where=asked > 0.0)
    part = np.clip(np.minimum(for_target, for_budget), 0.0, 1.0)
    share: Array = np.where(sure, 1.0, near * part[:, None])
    return share


def _room(
    past: Past,
    targets: Array,
    steered: Array,
    spend: Array,
    revenue: Array,
    setting: Setting,
    present: Setting,
    present_target: float,
) -> Array:
    """[targets]: what a looser setting lets the brand spend beyond what was won; infinite without a limit.

    Nothing where nothing was held back. Where something was, it returns at best the price that was in force,
    or, where the budget ended the day, what the days returned: so much fits until budget or target is met.
    """
    cost = past.cost.sum(axis=1)
    roas = float(past.revenue.sum()) / max(float(cost.sum()), _NOTHING)
    ended = np.isfinite(present.budget) & (cost >= ON_PACE * present.budget)
    held = ended | (past.lambda_ > HELD * roas)
    looser = (targets < present_target) | (setting.budget > present.budget)
    if not held.any():
        return np.zeros(len(targets))
    returns = float(np.where(ended, np.maximum(past.lambda_, roas), past.lambda_)[held].mean())
    for_budget = np.maximum(setting.budget - spend[:, held], 0.0).sum(axis=1)
    slack, lack = revenue - steered * spend.sum(axis=1), steered - returns
    for_target = np.divide(slack, lack, out=np.full_like(slack, np.inf), where=lack > 0.0)
    for_target = np.where(slack > 0.0, for_target, np.where(lack > 0.0, 0.0, np.inf))
    room: Array = np.where(looser, np.minimum(for_budget, for_target), 0.0)
    return room


def _ratio(revenue: Array, cost: Array) -> Array:
    return np.divide(revenue, cost, out=np.full_like(cost, np.inf), where=cost > _NOTHING)
