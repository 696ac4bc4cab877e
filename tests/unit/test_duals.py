"""Dual prices: hand-computed steps, the nightly solve against known answers, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.duals import (
    NU_MAX,
    Anchor,
    Array,
    Descent,
    Duals,
    Observation,
    correction,
    guarded_target,
    standard_error,
    update,
)
from adbid.domain.planning import (
    Goals,
    Opportunities,
    assign,
    days_to_count_on,
    recency_weights,
    scores,
    solve,
)

FREE = np.array([np.inf])


def one(value: float) -> Array:
    return np.array([value])


def anchor(mu: float = 1.0, trust: Array = FREE, charges: float = 100.0) -> Anchor:
    return Anchor(Duals(one(0.5), one(mu)), trust, one(1.0), one(charges))


def seen(**given: float) -> Observation:
    """Half way through a horizon, on its curve and on its target, with a hundredth gone since."""
    usual = {
        "share": 0.01,
        "left": 0.5,
        "budget": 100.0,
        "spent": 0.5,
        "cost": 0.5,
        "revenue": 1.0,
        "spent_before": 50.0,
        "slack_before": 0.0,
        "target": 2.0,
    }
    return Observation(**{name: one(value) for name, value in {**usual, **given}.items()})


def test_lambda_by_hand() -> None:
    duals = Duals(np.array([0.0, 1.0, 3.0]), np.array([0.4, 0.0, 0.4]))
    assert duals.lambda_(np.array([2.0, 2.0, 1.2])).tolist() == pytest.approx([0.4, 1.0, 1.0])
    assert duals.weight.tolist() == [1.0, 2.0, 4.0]


def test_on_the_curve_and_on_target_nothing_moves() -> None:
    state = Duals(one(0.5), one(1.0))
    after = update(state, anchor(), seen())
    assert (after.nu[0], after.mu[0]) == pytest.approx((0.5, 1.0))


def test_a_budget_step_by_hand() -> None:
    # 50 are left, .01 of the traffic passed: .5 was due, .6 spent. Excess .001 of the budget, step
    # ½ · √100 · .001 = .005, and (1 + .05) · e^.005 − .05 = 1.0052631.
    after = update(Duals(one(0.0), one(1.0)), anchor(), seen(spent=0.6, target=0.0))
    assert after.mu[0] == pytest.approx(1.0052631, rel=1e-6)


def test_a_roas_step_by_hand() -> None:
    # .5 cost at target 2 needs 1.0, .8 came: error .2; step 10 · .01 · .5 · .2 = .01; and half that way back.
    state = Duals(one(0.5), one(1.0))
    assert update(state, anchor(), seen(revenue=0.8)).nu[0] == pytest.approx(0.55 * np.exp(0.01) - 0.05)
    assert update(state, anchor(), seen(revenue=1.2)).nu[0] == pytest.approx(0.55 * np.exp(-0.005) - 0.05)


def test_slack_is_spent_and_debt_repaid_over_the_traffic_to_come() -> None:
    state = Duals(one(0.5), one(1.0))
    assert update(state, anchor(), seen(slack_before=-10.0)).nu[0] > 0.5
    assert update(state, anchor(), seen(slack_before=10.0)).nu[0] < 0.5
    assert update(state, anchor(), seen(revenue=0.995)).nu[0] == 0.5  # within the dead band


def test_the_nightly_price_holds_the_daily_one() -> None:
    held = anchor(trust=one(0.01))
    state = Duals(one(0.0), one(1.0))
    for _ in range(200):
        state = update(state, held, seen(spent=10.0))
    # 2 standard errors, wider as .5 · .99 of the horizon is left: 1 + .02 / √.495
    assert state.mu[0] == pytest.approx(1.0 + 0.02 / np.sqrt(0.495))


def test_no_wind_up() -> None:
    """However long a price stood at its bound, it turns with the first sign of the opposite error."""
    state = Duals(one(0.5), one(1.0))
    for _ in range(5_000):
        state = update(state, anchor(), seen(revenue=0.0))
    assert state.nu[0] == NU_MAX
    assert update(state, anchor(), seen(revenue=2.0)).nu[0] < NU_MAX


def test_without_budget_or_target_there_is_no_price() -> None:
    after = update(Duals(one(0.7), one(1.0)), anchor(), seen(budget=np.inf, target=0.0))
    assert (after.nu[0], after.mu[0]) == (0.0, 0.0)


amounts = st.floats(0.0, 1e6)
shares = st.floats(0.0, 1.0)


@given(
    nu=st.floats(0.0, NU_MAX),
    mu=st.floats(0.0, 50.0),
    share=shares,
    left=shares,
    budget=amounts | st.just(float("inf")),
    spent=amounts,
    cost=amounts,
    revenue=amounts,
    before=amounts,
    slack=st.floats(-1e6, 1e6),
    target=st.floats(0.0, 100.0),
)
def test_steps_are_bounded_and_prices_are_prices(
    nu: float,
    mu: float,
    share: float,
    left: float,
    budget: float,
    spent: float,
    cost: float,
    revenue: float,
    before: float,
    slack: float,
    target: float,
) -> None:
    observed = Observation(
        *(one(v) for v in (share, left, budget, spent, cost, revenue, before, slack, target))
    )
    after = update(Duals(one(nu), one(mu)), anchor(), observed)
    most = np.exp(Descent().largest)
    assert 0.0 <= after.nu[0] <= NU_MAX
    assert after.mu[0] >= 0.0
    assert after.nu[0] + 0.05 <= (nu + 0.05) * most * (1 + 1e-9)
    assert after.mu[0] + 0.05 <= (mu + 0.05) * most * (1 + 1e-9)
    if target > 0.0:
        assert after.nu[0] + 0.05 >= min(nu + 0.05, (nu + 0.05) / most * (1 - 1e-9))


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 5.0), amounts), min_size=2, max_size=6))
def test_brands_are_never_pooled(brands: list[tuple[float, float, float]]) -> None:
    def step(chosen: list[tuple[float, float, float]]) -> Duals:
        nu, mu, spent = (np.array(column) for column in zip(*chosen, strict=True))
        ones = np.ones(len(chosen))
        known = Anchor(Duals(0 * ones, ones), np.inf * ones, ones, 100 * ones)
        observed = Observation(
            0.01 * ones, ones, 1e5 * ones, spent, spent, 0.5 * spent, 0 * ones, 0 * ones, 2 * ones
        )
        return update(Duals(nu, mu), known, observed)

    together = step(brands)
    for number, brand in enumerate(brands):
        alone = step([brand])
        assert (together.nu[number], together.mu[number]) == (alone.nu[0], alone.mu[0])


def test_a_loop_finds_the_target_again_when_revenue_falls() -> None:
    """Minutes of a brand that buys less at a higher λ: revenue(q) is concave in the traffic q it takes."""

    def run(level: float, state: Duals, slack: float) -> tuple[Duals, float]:
        day_cost = day_revenue = 0.0
        for minute in range(1440):
            lam = float(state.lambda_(one(2.0))[0])
            # Offers of ROAS level·4/(1+3x), x in 0..1 from best to worst: all with ROAS over λ are bought.
            taken = min(max((4.0 * level / max(lam, 1e-9) - 1.0) / 3.0, 0.0), 1.0)
            cost, revenue = taken, level * 4.0 / 3.0 * np.log1p(3.0 * taken)
            left = 1.0 - minute / 1440
            state = update(
                state,
                anchor(),
                seen(
                    share=1.0 / (1440 - minute),
                    left=left,
                    budget=np.inf,
                    cost=cost,
                    revenue=revenue,
                    slack_before=slack,
                ),
            )
            slack += revenue - 2.0 * cost
            day_cost, day_revenue = day_cost + cost, day_revenue + revenue
        return state, day_revenue / day_cost

    state = Duals(one(0.3), one(0.0))
    for _ in range(3):
        state, usual = run(0.9, state, 0.0)
    for _ in range(3):
        state, fallen = run(0.72, state, 0.0)
    assert usual == pytest.approx(2.0, rel=0.03)
    assert fallen == pytest.approx(2.0, rel=0.03)


def opportunities(revenue: list[float], capacity: float = 1.0) -> Opportunities:
    """A slot each, one impression at cost 1."""
    count = len(revenue)
    ones = np.ones(count)
    numbers = np.arange(count)
    return Opportunities(
        np.zeros(count, dtype=np.intp), numbers, ones, np.array(revenue), ones, capacity * ones, 1
    )


def test_slots_fill_up_by_score() -> None:
    rows = Opportunities(
        brand=np.array([0, 1, 0, 1]),
        slot=np.array([0, 0, 1, 1]),
        amount=np.array([60.0, 80.0, 10.0, 10.0]),
        revenue=np.ones(4),
        cost=np.ones(4),
        capacity=np.array([100.0, 100.0]),
        brands=2,
    )
    assert assign(np.array([1.0, 2.0, 0.0, -1.0]), rows).tolist() == [20.0, 80.0, 0.0, 0.0]


def test_a_budgets_price_is_what_the_next_one_would_bring() -> None:
    rows = opportunities([float(value) for value in range(1, 101)])
    goals = Goals(one(30.0), one(0.0), one(0.0))
    found = solve(rows, goals, Duals(one(0.0), one(0.0)))
    assert found.nu[0] == 0.0
    assert 70.0 <= found.mu[0] <= 71.0  # the best 30 are 71 to 100


def test_a_targets_price_keeps_the_average() -> None:
    # Values 1 to 100 at cost 1: those from 20 up average 60, so λ is just there: ν·60/(1 + ν) = 20, ν = .5.
    rows = opportunities([float(value) for value in range(1, 101)])
    found = solve(rows, Goals(FREE, one(0.0), one(60.0)), Duals(one(0.0), one(0.0)))
    assert found.lambda_(one(60.0))[0] == pytest.approx(20.0, abs=1.0)
    assert found.nu[0] == pytest.approx(0.5, abs=0.04)


def test_a_target_that_cannot_be_met_stops_at_the_largest_price() -> None:
    rows = opportunities([1.0, 2.0, 3.0])
    found = solve(rows, Goals(FREE, one(-1e6), one(50.0)), Duals(one(0.0), one(0.0)))
    assert found.nu[0] == NU_MAX


def test_a_goal_out_of_reach_costs_nothing() -> None:
    rows = opportunities([1.0, 2.0, 3.0])
    found = solve(rows, Goals(one(100.0), one(0.0), one(1.0)), Duals(one(2.0), one(2.0)))
    assert (found.nu[0], found.mu[0]) == (0.0, 0.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 4), st.floats(0.1, 100.0), st.floats(0.0, 5.0)),
        min_size=1,
        max_size=30,
    ),
    st.floats(0.1, 100.0),
)
def test_no_slot_holds_more_than_it_can(rows: list[tuple[int, int, float, float]], size: float) -> None:
    brand, slot, amount, value = (np.array(column) for column in zip(*rows, strict=True))
    offered = Opportunities(brand, slot, amount, value, np.ones(len(rows)), np.full(5, size), 3)
    nothing = np.zeros(3)
    worth = scores(Duals(nothing, nothing + 1.0), nothing, offered)
    taken = assign(worth, offered)
    assert np.all(taken >= 0.0)
    assert np.all(taken <= amount)
    assert np.all(np.bincount(slot, taken, minlength=5) <= size * (1 + 1e-9))
    assert np.all(taken[worth <= 0.0] == 0.0)


def test_less_than_the_likely_traffic_is_counted_on() -> None:
    assert [days_to_count_on(left) for left in (0.5, 1.0, 11.0)] == pytest.approx([0.5, 1.0, 9.0])


def test_newer_days_weigh_more() -> None:
    age, replayed = np.array([1.0, 1.0, 3.0, 0.0]), np.array([True, True, True, False])
    assert recency_weights(age, replayed).tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0.0])


def test_standard_error_by_hand() -> None:
    assert standard_error(np.array([[1.0], [3.0]]))[0] == pytest.approx(1.0)  # √2 / √2
    assert np.isinf(standard_error(np.array([[1.0]]))[0])


def test_caution_by_hand() -> None:
    assert guarded_target(one(2.0), 12.0, 0.0)[0] == pytest.approx(2.0 * (1.0 + 0.08 * np.sqrt(4.5) + 0.4))
    assert guarded_target(one(2.0), 1.5, 100.0)[0] == pytest.approx(2.0 * 1.08)
    with pytest.raises(ValueError, match="negative"):
        guarded_target(one(2.0), -1.0, 0.0)


def test_large_surprises_are_believed_small_ones_are_not() -> None:
    factors = correction(np.array([100.0, 100.0, 100.0, 0.0]), np.array([50.0, 95.0, 0.0, 10.0]))
    # log .5 = −.6931; believed .4805 / (.4805 + .0225) = .9553; e^(.6 · .9553 · −.6931) = .6722
    assert factors[0] == pytest.approx(0.6722, abs=1e-4)
    assert factors[1] == pytest.approx(1.0, abs=0.005)
    assert 0.0 < factors[2] < 0.3
    assert factors[3] == 1.0
    few = correction(one(100.0), one(50.0), payments=one(2.0))
    assert few[0] > factors[0]
