"""Days played again: a market that can be worked out by hand, and what holds for any."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbid.domain.duals import guarded_target
from adbid.domain.planning import Goals, Opportunities, scores, solve
from adbid.domain.steering_step import UNSEEN_DAYS
from adbid.domain.what_if import Array, Duals, Past, Played, Setting, play

PLAIN = Setting(budget=inf, multiplier=1.0, probe_share=0.0)


def market(days: int = 2) -> Past:
    """A good place, 10 for 40 a day, and a poor one, 10 for 10: together a ROAS of 2.5 for 20 a day."""
    each = np.ones((days, 1))
    return Past(
        impressions=each * [100.0, 100.0],
        conversions=each * [4.0, 1.0],
        cost=each * [10.0, 10.0],
        revenue=each * [40.0, 10.0],
        expected_revenue=np.array([0.4, 0.1]),
        expected_cost=np.array([0.1, 0.1]),
        contested=np.array([True, False]),
        lambda_=np.zeros(days),
    )


def asked(*steered: float, days: int = 2) -> Array:
    """The targets that are steered to at these ROAS, with the caution that steering adds."""
    return np.array(steered) / guarded_target(np.ones(1), UNSEEN_DAYS, float(days))


def played(
    steered: float,
    past: Past | None = None,
    setting: Setting = PLAIN,
    present: Setting = PLAIN,
    now: float = 1.0,
) -> Played:
    past = past or market()
    return play(past, asked(steered, days=past.days), setting, present, float(asked(now, days=past.days)[0]))


class TestByHand:
    def test_a_target_below_what_was_earned_buys_everything(self) -> None:
        found = played(2.0)
        assert found.spend == pytest.approx([40.0])
        assert found.revenue == pytest.approx([100.0])
        assert found.lambda_ == pytest.approx([0.0])

    def test_a_target_above_buys_as_much_of_the_poor_place_as_keeps_it(self) -> None:
        # (40 + 10 x) / (10 + 10 x) = 3 for x = ½.
        found = played(3.0)
        assert found.spend == pytest.approx([30.0], rel=1e-6)
        assert found.revenue == pytest.approx([90.0], rel=1e-6)
        assert found.impressions == pytest.approx([300.0], rel=1e-6)
        assert found.conversions == pytest.approx([9.0], rel=1e-6)
        assert found.lambda_ == pytest.approx([1.0], rel=0.03)  # what the last bid bought returns

    def test_a_target_that_nothing_reaches_leaves_the_best(self) -> None:
        # ν's bound leaves λ at ¾ of it, so that a brand recovers instead of standing still.
        assert played(5.0).revenue / played(5.0).spend == pytest.approx([4.0])
        assert played(6.0).spend == pytest.approx([0.0])
        assert played(6.0).lambda_ == pytest.approx([4.5], rel=0.01)

    def test_probes_are_bought_whatever_the_target(self) -> None:
        found = played(6.0, setting=replace(PLAIN, probe_share=0.1))
        assert found.spend == pytest.approx([4.0])

    def test_a_budget_buys_the_better_place_first(self) -> None:
        # 12 a day: 10 of the good place and 2 of the poor one.
        found = played(1.0, setting=replace(PLAIN, budget=12.0))
        assert found.spend == pytest.approx([24.0], rel=1e-6)
        assert found.revenue == pytest.approx([84.0], rel=1e-6)
        assert found.lambda_ == pytest.approx([1.0], rel=0.03)

    def test_a_day_with_more_traffic_than_others_ends_when_its_budget_does(self) -> None:
        past = market(days=3)
        past.cost[0] *= 2.0
        past.revenue[0] *= 2.0
        found = played(1.0, past, replace(PLAIN, budget=30.0))
        assert found.ended_days == [1.0]
        assert found.spend == pytest.approx([30.0 + 20.0 + 20.0], rel=1e-6)

    def test_predictions_say_what_is_better_and_the_days_how_much_it_was(self) -> None:
        """All predictions 30 % too low, as after a rise: the same is bought."""
        past = market()
        low = replace(past, expected_revenue=past.expected_revenue * 0.7)
        assert played(3.0, low).spend == pytest.approx(played(3.0).spend)


class TestBeyondTheData:
    def test_nothing_was_held_back(self) -> None:
        assert played(1.0, now=3.0).beyond == [0.0]

    def test_a_lower_target_has_room_that_the_log_does_not_show(self) -> None:
        # Held back at 2: 100 for 40 leave 10 to a target of 2.25, on which 40 more can lose ¼ each.
        past = replace(market(), lambda_=np.full(2, 2.0))
        assert played(2.25, past, now=3.0).beyond == pytest.approx([0.5])
        assert played(3.5, past, now=3.0).beyond == [0.0]  # a higher one buys less than was bought

    def test_a_price_that_passes_over_next_to_nothing_holds_nothing_back(self) -> None:
        past = replace(market(), lambda_=np.full(2, 0.2))
        assert played(1.5, past, now=3.0).beyond == [0.0]

    def test_a_larger_budget_has_room_that_the_log_does_not_show(self) -> None:
        # Both days ended at 20; 30 leaves room for 10 more of each.
        present, more = replace(PLAIN, budget=20.0), replace(PLAIN, budget=30.0)
        assert played(1.0, setting=more, present=present).beyond == pytest.approx([1 / 3])
        assert played(1.0, setting=replace(PLAIN, budget=15.0), present=present).beyond == [0.0]
        assert played(1.0, setting=PLAIN, present=present).beyond == [1.0]  # without any limit, anything

    def test_another_multiplier_may_win_or_lose_what_rivals_bid_for(self) -> None:
        assert played(2.0, setting=replace(PLAIN, multiplier=1.2)).beyond == pytest.approx([0.5])


def test_prices_are_the_nightly_solves() -> None:
    """One brand and its places as they stand: the same λ as `solve` finds."""
    past, steered = market(days=7), np.array([3.0])
    shown = past.impressions.sum(axis=0)
    rows = Opportunities(
        brand=np.zeros(2, dtype=np.intp),
        slot=np.arange(2),
        amount=shown,
        revenue=past.expected_revenue,
        cost=past.expected_cost,
        capacity=shown,
        brands=1,
    )
    goals = Goals(np.array([np.inf]), np.zeros(1), steered)
    duals = solve(rows, goals, Duals(np.zeros(1), np.zeros(1)))
    assert played(3.0, past).lambda_ == pytest.approx(duals.lambda_(steered), rel=1e-12)
    assert scores(duals, steered, rows)[0] > 0.0


@pytest.mark.parametrize("targets", [[0.0], [-1.0], [2.0, 1.0]])
def test_refuses_targets_that_make_no_curve(targets: list[float]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        play(market(), np.array(targets), PLAIN, PLAIN, 1.0)


amounts = st.floats(0.0, 1e4, allow_nan=False).map(lambda value: round(value, 3))


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    days, places = draw(st.integers(1, 6)), draw(st.integers(1, 8))

    def table(values: st.SearchStrategy[float]) -> Array:
        cells = draw(st.lists(values, min_size=days * places, max_size=days * places))
        return np.array(cells).reshape(days, places)

    def row(values: st.SearchStrategy[float]) -> Array:
        return np.array(draw(st.lists(values, min_size=places, max_size=places)))

    rates = st.floats(0.0, 10.0, allow_nan=False).map(lambda value: round(value, 6))
    return Past(
        impressions=table(st.integers(0, 10_000).map(float)),
        conversions=table(st.integers(0, 100).map(float)),
        cost=table(amounts),
        revenue=table(amounts),
        expected_revenue=row(rates),
        expected_cost=row(rates),
        contested=row(st.sampled_from([0.0, 1.0])) > 0.0,
        lambda_=np.array(draw(st.lists(st.floats(0.0, 5.0), min_size=days, max_size=days))),
    )


budgets = st.one_of(st.just(inf), st.floats(0.0, 1e5))
a_setting = st.builds(
    Setting, budget=budgets, multiplier=st.sampled_from([0.5, 1.0, 2.0]), probe_share=st.floats(0.0, 1.0)
)
a_curve = st.lists(st.floats(0.05, 50.0), min_size=1, max_size=12, unique=True).map(sorted)


@settings(max_examples=150, deadline=None)
@given(pasts(), a_curve, a_setting, a_setting, st.floats(0.1, 10.0))
def test_what_holds_of_any_past(
    past: Past, targets: list[float], setting: Setting, present: Setting, now: float
) -> None:
    found = play(past, np.array(targets), setting, present, now)
    cost = past.cost.sum()
    assert np.all(np.diff(found.spend) <= 1e-9 * max(cost, 1.0))  # a higher target never spends more
    assert np.all(found.spend <= setting.budget * past.days * (1.0 + 1e-12))  # nor more than the budget
    assert np.all(found.spend <= cost * (1.0 + 1e-9))  # nor what was never bought
    assert np.all(found.revenue <= past.revenue.sum() * (1.0 + 1e-9))
    assert np.all(np.diff(found.lambda_) >= 0.0)
    assert np.all((found.beyond >= 0.0) & (found.beyond <= 1.0))
    for column in vars(found).values():
        assert np.isfinite(column).all()
    again = play(past, np.array(targets), setting, present, now)
    for name, column in vars(found).items():
        assert np.array_equal(column, getattr(again, name))


@settings(max_examples=60, deadline=None)
@given(pasts(), a_curve, st.floats(0.0, 1e5), st.floats(0.0, 1.0))
def test_a_smaller_budget_never_spends_more(
    past: Past, targets: list[float], budget: float, part: float
) -> None:
    one, other = (
        play(past, np.array(targets), replace(PLAIN, budget=size), PLAIN, 1.0)
        for size in (budget, budget * part)
    )
    assert np.all(other.spend <= one.spend + 0.05 * past.cost.sum() + 1e-9)


@settings(max_examples=60, deadline=None)
@given(pasts(), a_setting)
def test_where_nothing_was_held_back_and_rivals_need_not_answer_all_is_known(
    past: Past, setting: Setting
) -> None:
    free = replace(past, lambda_=np.zeros(past.days))
    found = play(free, np.array([0.5, 1.0, 2.0]), replace(setting, multiplier=1.0), PLAIN, 1.0)
    assert np.all(found.beyond == 0.0)
