"""The bound that the closed loop is measured by: never under the program's optimum, and near it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog  # type: ignore[import-untyped]

from benchmarks.closed_loop_bound import Plan, upper_bound


def optimum(plan: Plan) -> float:
    """The same program by HiGHS."""
    auctions, bidders = plan.brand.shape
    count = auctions * bidders
    revenue, cost = plan.revenue.ravel(), plan.cost.ravel()
    rows = np.zeros((auctions + len(plan.budget) + len(plan.target), count))
    rows[np.repeat(np.arange(auctions), bidders), np.arange(count)] = 1.0
    rows[auctions + plan.account.ravel(), np.arange(count)] = cost
    brand = plan.brand.ravel()
    rows[auctions + len(plan.budget) + brand, np.arange(count)] = plan.target[brand] * cost - revenue
    limits = np.concatenate([np.ones(auctions), plan.budget, np.zeros(len(plan.target))])
    kept = np.isfinite(limits)
    found = linprog(-revenue, A_ub=rows[kept], b_ub=limits[kept], bounds=(0, 1), method="highs")
    return float(-found.fun)


def market(seed: int, auctions: int = 300) -> Plan:
    """Three brands of two days each; the last one's spend isn't limited."""
    rng = np.random.default_rng(seed)
    brand = np.argsort(rng.random((auctions, 3)), axis=1)[:, :2]
    day = (np.arange(auctions) * 2 // auctions)[:, None]
    revenue, cost = rng.lognormal(0.0, 0.4, brand.shape), rng.lognormal(-0.5, 0.4, brand.shape)
    budget = np.array([15.0, 25.0, 20.0, 10.0, np.inf, np.inf])
    return Plan(brand, 2 * brand + day, revenue, cost, np.array([1.5, 2.0, 2.2]), budget)


def test_one_auction_by_hand() -> None:
    one = np.array([[0]])
    ample = Plan(one, one, np.array([[3.0]]), np.array([[1.0]]), np.array([2.0]), np.array([5.0]))
    assert upper_bound(ample).value == pytest.approx(3.0)
    # Half of it can be paid for: μ = 3 prices it away, and 3 · .5 is the budget's worth.
    half = Plan(one, one, np.array([[3.0]]), np.array([[1.0]]), np.array([2.0]), np.array([0.5]))
    assert upper_bound(half).value == pytest.approx(1.5, rel=0.01)
    # At a ROAS of 1 against a target of 2 none of it may be bought.
    poor = Plan(one, one, np.array([[1.0]]), np.array([[1.0]]), np.array([2.0]), np.array([5.0]))
    assert upper_bound(poor).value == pytest.approx(0.0, abs=0.05)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_it_bounds_the_program_and_comes_near_it(seed: int) -> None:
    plan = market(seed)
    best, bound = optimum(plan), upper_bound(plan)
    assert bound.value >= best * (1.0 - 1e-9)
    assert bound.value <= best * 1.02
