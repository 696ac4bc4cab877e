"""The advertiser's log as a market that is bought from day by day, and the planner who knew it all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog  # type: ignore[import-untyped]
from scipy.sparse import coo_matrix  # type: ignore[import-untyped]

from adbid.domain.decay import MEASURES
from adbid.domain.drift import follow
from adbid.domain.learning import learn
from adbid.domain.planning import Opportunities, assign, recency_weights
from adbid.domain.replay import Log, replay
from adbid.domain.response import respond
from functions.retrain.samples import History

Array = NDArray[np.float64]

RECENT_DAYS = 7
TRAINING_DAYS = 30
"""The retrain function reads as many."""

REFIT_DAYS = 7
PENALTY = 3.0
"""κ, where the LP's largest ROAS dual isn't more: breaking the target never pays."""

_IMPRESSIONS, _COST, _REVENUE = (MEASURES.index(name) for name in ("impressions", "cost", "revenue"))


@dataclass(frozen=True)
class Rows:
    """Rows of the log: what was predicted of them on some day, and what came, all per impression."""

    brand: NDArray[np.intp]
    slot: NDArray[np.intp]
    amount: Array
    predicted_revenue: Array
    predicted_cost: Array
    revenue: Array
    cost: Array

    def offered(self, capacity: float, brands: int, correction: Array | None = None) -> Opportunities:
        """As the product sees them: at predicted prices, slots holding `capacity` of their displays."""
        revenue = (
            self.predicted_revenue if correction is None else self.predicted_revenue * correction[self.brand]
        )
        size = capacity * np.bincount(self.slot, self.amount)
        return Opportunities(self.brand, self.slot, self.amount, revenue, self.predicted_cost, size, brands)


@dataclass(frozen=True)
class Day:
    """today: what can be bought. recent: an expected day, predicted this morning: the rows of the days
    before, the newer ones counting for more (`planning.recency_weights`)."""

    today: Rows
    recent: Rows


@dataclass(frozen=True)
class Setting:
    """budget: of a brand's actual cost. target: ROAS. capacity: of a slot's displays."""

    budget: float
    target: float
    capacity: float


SETTINGS = (Setting(0.5, 1.5, 0.6), Setting(0.5, 2.0, 0.6), Setting(0.8, 1.2, 0.8))


@dataclass(frozen=True)
class Shock:
    """What a moving market does, by day of the horizon: factors of all traffic, and of its revenue alone."""

    revenue: Callable[[float], float] = lambda day: 1.0
    traffic: Callable[[float], float] = lambda day: 1.0

    def applied(self, log: Log, first: float) -> Array:
        """The log's measures, changed from day `first` on."""
        measures = log.measures.copy()
        for row in np.flatnonzero(log.days >= first).tolist():
            day = float(log.days[row] - first)
            measures[row] *= self.traffic(day)
            measures[row, _REVENUE] *= self.revenue(day)
        return measures


@dataclass(frozen=True)
class Market:
    """training: the days before, each with the predictions of its own morning. test: the horizon."""

    training: list[Rows]
    test: list[Day]
    brands: int

    def budget(self, setting: Setting) -> Array:
        return setting.budget * actual_cost([day.today for day in self.test], self.brands)


def actual_cost(days: list[Rows], brands: int) -> Array:
    """[brands]: what the rows cost when all of them were bought."""
    return sum((np.bincount(d.brand, d.cost * d.amount, minlength=brands) for d in days), np.zeros(brands))


def market(history: History, first: float, end: float, shock: Shock | None = None) -> Market:
    """The days from `first` up to, not including, `end`, and the log's earlier days, under a shock."""
    history = history.between(-np.inf, end)
    log = history.log
    if shock is not None:
        log = replace(log, measures=shock.applied(log, first))
    training, test = [], []
    brand = history.columns["brand"]
    slot = history.columns["slot"].codes * len(history.columns["creative_type"].values)
    slot = slot + history.columns["creative_type"].codes
    parameters, learned = None, -np.inf
    for day, rows, own, evidence in _mornings(log, first):
        if parameters is None or (day >= first and day - learned >= REFIT_DAYS):
            learned = max(day, first)  # the first fit serves the training days too, as the replayed past
            parameters = learn(log.between(learned - TRAINING_DAYS, learned))
        current = follow(evidence, respond(evidence, parameters.response), parameters.drift)
        # Slots are of a day: the same place on two days is two slots.
        slots = np.unique(np.stack([log.days[rows], slot[rows]]), axis=1, return_inverse=True)[1].ravel()
        shown, measures = log.measures[rows, _IMPRESSIONS], log.measures[rows]
        everything = Rows(
            brand.codes[rows],
            slots,
            shown,
            np.nan_to_num(current.revenue),
            np.nan_to_num(current.cost),
            measures[:, _REVENUE] / shown,
            measures[:, _COST] / shown,
        )
        if day < first:
            training.append(_part(everything, own))
        else:
            expected = replace(everything, amount=shown * recency_weights(day - log.days[rows], ~own))
            test.append(Day(_part(everything, own), _part(expected, ~own)))
    return Market(training, test, len(brand.values))


def _mornings(log: Log, first: float) -> Iterator[tuple[float, NDArray[np.intp], NDArray[np.bool_], Array]]:
    """Each day, the numbers of its rows and, from `first` on, of recent rows; whose they are; the evidence.

    Recent rows are replayed with nothing in them: they ask what is known this morning, and add nothing.
    """
    numbers, days, own = [], [], []
    for day in np.unique(log.days).tolist():
        now = np.flatnonzero(log.days == day)
        earlier = (log.days < day) & (log.days >= day - RECENT_DAYS) & (day >= first)
        before = np.flatnonzero(earlier)
        numbers += [now, before]
        own += [np.ones(len(now), dtype=bool), np.zeros(len(before), dtype=bool)]
        days.append(np.full(len(now) + len(before), day))
    number, mine = np.concatenate(numbers), np.concatenate(own)
    measures = np.where(mine[:, None], log.measures[number], 0.0)
    asked = Log(np.concatenate(days), log.cells[number], measures, log.cell_count)
    for step in replay(asked):
        yield step.day, number[step.rows], mine[step.rows], step.evidence


def _part(rows: Rows, chosen: NDArray[np.bool_]) -> Rows:
    slots = np.unique(rows.slot[chosen], return_inverse=True)[1]
    columns = (rows.amount, rows.predicted_revenue, rows.predicted_cost, rows.revenue, rows.cost)
    return Rows(rows.brand[chosen], slots, *(column[chosen] for column in columns))


class Policy(Protocol):
    """Steers one horizon. Scores are of `day.today`; `bought` reports a day's cost and revenue [brands]."""

    def score(self, number: int, day: Day, cost: Array, revenue: Array) -> Array: ...

    def bought(self, day: Day, cost: Array, revenue: Array) -> None: ...


@dataclass(frozen=True)
class Planner:
    """The hindsight LP: what it earns, its duals."""

    revenue: float
    nu: Array
    mu: Array

    @property
    def penalty(self) -> float:
        return max(PENALTY, float(self.nu.max()))


def hindsight(days: list[Rows], setting: Setting, budget: Array) -> Planner:
    """The most revenue that keeps to slots, budgets and targets, knowing everything (HiGHS)."""
    brands, offset = len(budget), 0
    rows, columns, entries, sizes, revenues = [], [], [], [], []
    first = 0
    for day in days:
        number = first + np.arange(len(day.brand))
        size = setting.capacity * np.bincount(day.slot, day.amount)
        rows.append(2 * brands + offset + day.slot)
        columns.append(number)
        entries.append(day.amount)
        cost, revenue = day.cost * day.amount, day.revenue * day.amount
        for place, value in ((day.brand, cost), (brands + day.brand, setting.target * cost - revenue)):
            rows.append(place)
            columns.append(number)
            entries.append(value)
        sizes.append(size)
        revenues.append(revenue)
        offset, first = offset + len(size), first + len(day.brand)
    matrix = coo_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))),
        shape=(2 * brands + offset, first),
    ).tocsr()
    limits = np.concatenate([budget, np.zeros(brands), *sizes])
    found = linprog(-np.concatenate(revenues), A_ub=matrix, b_ub=limits, bounds=(0, 1), method="highs")
    if not found.success:
        raise RuntimeError(f"the hindsight LP has no answer: {found.message}")
    marginals = -found.ineqlin.marginals
    return Planner(float(-found.fun), marginals[brands : 2 * brands], marginals[:brands])


@dataclass(frozen=True)
class Outcome:
    """penalised and raw: of the LP's revenue. worst_violation: of τ·cost, relative. use: of the budget."""

    penalised: float
    raw: float
    worst_violation: float
    budget_use: Array

    def to_json(self) -> dict[str, object]:
        return {
            "penalised": round(self.penalised, 4),
            "raw": round(self.raw, 4),
            "worst_violation": round(self.worst_violation, 4),
            "budget_use": [round(float(use), 4) for use in self.budget_use],
        }


def play(days: list[Day], setting: Setting, budget: Array, planner: Planner, policy: Policy) -> Outcome:
    """Buys day by day what `policy` scores highest, at realised cost, never beyond a budget."""
    brands = len(budget)
    cost, revenue = np.zeros(brands), np.zeros(brands)
    for number, day in enumerate(days):
        rows = day.today
        score = policy.score(number, day, cost.copy(), revenue.copy())
        taken = _affordable(assign(score, rows.offered(setting.capacity, brands)), score, rows, budget - cost)
        spent = np.bincount(rows.brand, taken * rows.cost, minlength=brands)
        earned = np.bincount(rows.brand, taken * rows.revenue, minlength=brands)
        cost, revenue = cost + spent, revenue + earned
        policy.bought(day, spent, earned)
    due = setting.target * cost
    missing = np.maximum(due - revenue, 0.0)
    return Outcome(
        penalised=float((revenue.sum() - planner.penalty * missing.sum()) / planner.revenue),
        raw=float(revenue.sum() / planner.revenue),
        worst_violation=float(np.max(np.divide(missing, due, out=np.zeros_like(due), where=due > 0))),
        budget_use=np.divide(cost, budget, out=np.zeros_like(cost), where=budget > 0),
    )


def _affordable(taken: Array, score: Array, rows: Rows, left: Array) -> Array:
    """Of what was taken, what each brand's budget still pays for: the best scores first."""
    order = np.lexsort((-score, rows.brand))
    brand, costs = rows.brand[order], (taken * rows.cost)[order]
    reached = np.cumsum(costs)
    totals = np.cumsum(np.bincount(brand, costs, minlength=len(left)))
    before = reached - costs - np.concatenate([[0.0], totals[:-1]])[brand]
    paid = np.clip(np.maximum(left, 0.0)[brand] - before, 0.0, costs)
    share = np.ones_like(taken)
    share[order] = np.divide(paid, costs, out=np.ones_like(costs), where=costs > 0)
    return taken * share
