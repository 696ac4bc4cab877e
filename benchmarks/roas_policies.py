"""Who steers in the ROAS replay: the product, and what one would build instead."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from adbid.domain.duals import Duals, correction, guarded_target
from adbid.domain.planning import Goals, Opportunities, days_to_count_on, scores, solve
from benchmarks.roas_market import Day, Market, Outcome, Planner, Policy, Rows, Setting, play

Array = NDArray[np.float64]


class Steered:
    """The product: a solve on the recent days every night, for what is left of budget, slack and horizon."""

    def __init__(self, market: Market, setting: Setting) -> None:
        self._setting, self._days = setting, len(market.test)
        self._budget, self._brands = market.budget(setting), market.brands
        nothing = np.zeros(market.brands)
        self._duals = Duals(nothing, nothing)
        self._correction = np.ones(market.brands)
        if market.training:
            self._learn(market.training[-1])

    def score(self, number: int, day: Day, cost: Array, revenue: Array) -> Array:
        setting, left = self._setting, self._days - number
        target = guarded_target(np.full(self._brands, setting.target), float(left), float(number))
        goals = Goals(
            budget=self._budget - cost,
            slack=revenue - setting.target * cost,
            target=target,
            times=days_to_count_on(float(left)),
        )
        recent = day.recent.offered(setting.capacity, self._brands, self._correction)
        self._duals = solve(recent, goals, self._duals)
        return scores(
            self._duals, target, day.today.offered(setting.capacity, self._brands, self._correction)
        )

    def bought(self, day: Day, cost: Array, revenue: Array) -> None:
        self._learn(day.today)

    def _learn(self, rows: Rows) -> None:
        predicted, actual = (
            np.bincount(rows.brand, rows.amount * value, minlength=self._brands)
            for value in (rows.predicted_revenue, rows.revenue)
        )
        self._correction = correction(predicted, actual)


class Simple:
    """A score that needs no memory but what was spent and earned so far."""

    def __init__(self, rule: Callable[[Rows, Array, Array], Array]) -> None:
        self._rule = rule

    def score(self, number: int, day: Day, cost: Array, revenue: Array) -> Array:
        return self._rule(day.today, cost, revenue)

    def bought(self, day: Day, cost: Array, revenue: Array) -> None:
        pass


def constant(lambda_: Array) -> Simple:
    return Simple(lambda rows, *_: rows.predicted_revenue - lambda_[rows.brand] * rows.predicted_cost)


class Pid:
    """λ from the ROAS error of the day, its sum and its change, and from the spend against an even pace."""

    def __init__(self, lambda_: Array, setting: Setting, budget: Array, days: int) -> None:
        self._start, self._setting, self._budget, self._days = lambda_, setting, budget, days
        self._sum, self._last, self._change = (np.zeros(len(lambda_)) for _ in range(3))

    def score(self, number: int, day: Day, cost: Array, revenue: Array) -> Array:
        pace = cost / np.maximum(self._budget, 1e-9) - number / self._days
        control = 0.3 * self._last + 0.1 * self._sum + 0.1 * self._change + np.maximum(pace, 0.0)
        lambda_ = np.maximum(self._start + control, 0.0)
        return day.today.predicted_revenue - lambda_[day.today.brand] * day.today.predicted_cost

    def bought(self, day: Day, cost: Array, revenue: Array) -> None:
        target = self._setting.target
        error = np.where(cost > 0, target - revenue / np.where(cost > 0, cost, 1.0), 0.0)
        self._change, self._last, self._sum = error - self._last, error, self._sum + error


class PlainDescent:
    """ν and μ by subgradient steps on each day's spend and slack, from the training days' prices."""

    STEP = 0.1

    def __init__(self, start: Duals, setting: Setting, budget: Array, days: int) -> None:
        self._nu, self._mu, self._setting = start.nu, start.mu, setting
        self._pace = np.maximum(budget / days, 1e-9)

    def score(self, number: int, day: Day, cost: Array, revenue: Array) -> Array:
        rows = day.today
        price = self._nu * self._setting.target + self._mu
        return (1.0 + self._nu)[rows.brand] * rows.predicted_revenue - price[rows.brand] * rows.predicted_cost

    def bought(self, day: Day, cost: Array, revenue: Array) -> None:
        missing = (self._setting.target * cost - revenue) / (self._setting.target * self._pace)
        self._nu = np.maximum(self._nu + self.STEP * missing, 0.0)
        self._mu = np.maximum(self._mu + self.STEP * (cost / self._pace - 1.0), 0.0)


def peers(market: Market, setting: Setting, planner: Planner) -> Mapping[str, Outcome]:
    """Every peer's outcome, by name."""
    budget, days = market.budget(setting), len(market.test)
    target = setting.target
    before = _training_prices(market, setting)
    static = before.lambda_(np.full(market.brands, target))

    def outcome(policy: Policy) -> Outcome:
        return play(market.test, setting, budget, planner, policy)

    def unless_below(rows: Rows, cost: Array, revenue: Array) -> Array:
        return np.where((revenue >= target * cost)[rows.brand], rows.predicted_revenue, 0.0)

    def promising(rows: Rows, *_: Array) -> Array:
        good = rows.predicted_revenue >= target * rows.predicted_cost
        return np.where(good, rows.predicted_revenue, 0.0)

    return {
        "greedy_hard_stop": outcome(Simple(lambda rows, *_: rows.predicted_revenue)),
        "full_block": outcome(Simple(unless_below)),
        "predicted_roas": outcome(Simple(promising)),
        "static_lambda": outcome(constant(static)),
        "pid": outcome(Pid(static, setting, budget, days)),
        "plain_dual_descent": outcome(PlainDescent(before, setting, budget, days)),
        "hindsight_constant": _best_constant(static, market.brands, lambda price: outcome(constant(price))),
    }


def _training_prices(market: Market, setting: Setting) -> Duals:
    """The prices that would have been right over the training days, as many as there are test days."""
    days = market.training[-len(market.test) :]
    rows = _joined([day.offered(setting.capacity, market.brands) for day in days])
    nothing = np.zeros(market.brands)
    budget = setting.budget * rows.by_brand(rows.amount * rows.cost)
    goals = Goals(budget, nothing, np.full(market.brands, setting.target))
    return solve(rows, goals, Duals(nothing, nothing), iterations=200)


def _joined(parts: list[Opportunities]) -> Opportunities:
    offsets = np.cumsum([0, *(len(part.capacity) for part in parts[:-1])])
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("brand", "amount", "revenue", "cost", "capacity")
    }
    slot = np.concatenate([part.slot + offset for part, offset in zip(parts, offsets, strict=True)])
    return Opportunities(slot=slot, brands=parts[0].brands, **columns)


def _best_constant(start: Array, brands: int, outcome: Callable[[Array], Outcome]) -> Outcome:
    """The best λ per brand, known afterwards: one brand after the other over a grid, three times over."""
    best, found = start, outcome(start)
    for grid in (np.linspace(0.0, 4.0, 41), np.linspace(-0.1, 0.1, 21), np.linspace(-0.02, 0.02, 9)):
        for brand in range(brands):
            centre = best[brand] if len(grid) < 41 else 0.0
            for value in np.maximum(centre + grid, 0.0).tolist():
                trial = best.copy()
                trial[brand] = value
                result = outcome(trial)
                if result.penalised > found.penalised:
                    best, found = trial, result
    return found
