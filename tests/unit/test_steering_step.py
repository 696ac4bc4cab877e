"""A minute of steering: by hand, over days, and what must always hold."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbid.domain.duals import NU_MAX, guarded_target
from adbid.domain.roas_status import Standing
from adbid.domain.steering_step import (
    ALERT_MINUTES,
    STEP,
    UNKNOWN_NU,
    UNSEEN_DAYS,
    Seen,
    State,
    Steered,
    beginning,
    last_day,
    realigned,
    steer,
)

DAY = 740_000
USUAL: dict[str, float] = {
    "day": DAY,
    "share": 0.5,
    "active": True,
    "target": 2.0,
    "budget": 100.0,
    "committed": 50.0,
    "cost": 700.0,
    "revenue": 1_500.0,
    "conversions": 210.0,
    "impressions": 70_000.0,
    "days_run": 7.0,
    "day_cost": 100.0,
    "day_revenue": 100.0 * 1_500.0 / 700.0,
    "day_conversions": 30.0,
    "night": 0,
    "night_nu": 0.0,
    "night_mu": 0.0,
}
TYPES: dict[str, Any] = {"day": np.int64, "night": np.int64, "active": np.bool_}
SCALE = 1_500 / 700
"""The usual brand's ROAS: what μ is measured in."""


def seen(minute: int, *brands: dict[str, float], **given: float) -> Seen:
    """What is seen of `brands`, each the usual one but for what it says; of one with `given` without them."""
    rows = [{**USUAL, **brand} for brand in (brands or (given,))]
    columns = {name: np.array([row[name] for row in rows], TYPES.get(name, np.float64)) for name in USUAL}
    granted = [row.get("granted", np.nan_to_num(row["committed"])) for row in rows]
    return Seen(minute=minute, window_days=7.0, granted=np.array(granted), **columns)


def at(**given: float) -> State:
    """The state of one brand at minute 100, half way through its day and on its curve."""
    usual: dict[str, float] = {"nu": 0.5, "mu": 1.0, "usual": 1.0, "night": 0, "day": DAY, "share": 0.5}
    usual |= {"granted": 50.0, "committed": 50.0, "standing": Standing.ON_TARGET, "below": 0} | given
    made = {
        one.name: np.array([usual[one.name]], getattr(beginning(1), one.name).dtype)
        for one in fields(State)
        if one.name != "minute"
    }
    return State(100, **made)


def prices(state: State) -> tuple[float, float]:
    return float(state.nu[0]), float(state.mu[0])


def test_a_budget_step_by_hand() -> None:
    # Half of the day is over, .01 of the rest passes: 50 · .01 = .5 is due, .6 was committed. Excess .001
    # of the budget; 100 buys 10,000 impressions, so the step is ½ · √10,000 · .001 = .05, on the scale of
    # ROAS 2.1429.
    after, _ = steer(at(), seen(101, share=0.505, committed=50.6))
    shift = 0.05 * SCALE
    assert after.mu[0] == pytest.approx((1.0 + shift) * np.exp(0.05) - shift)
    assert (after.share[0], after.granted[0], after.committed[0]) == (0.505, 50.6, 50.6)


def test_what_was_granted_counts_as_spent_before_it_is_charged() -> None:
    # Conversions come late: of 50 granted 20 are spent or still reserved. The half of the budget is gone.
    late = at(committed=50.0, granted=50.0)
    after, _ = steer(late, seen(101, share=0.505, committed=20.0, granted=50.6))
    shift = 0.05 * SCALE
    assert after.mu[0] == pytest.approx((1.0 + shift) * np.exp(0.05) - shift)
    assert (after.granted[0], after.committed[0]) == (50.6, 50.6)
    # A click that costs more than it was expected to is no step by itself, but less of the budget is left.
    charged, _ = steer(at(), seen(101, share=0.505, committed=56.0, granted=50.5))
    assert charged.mu[0] == pytest.approx(1.0)
    assert charged.committed[0] == 56.0
    # 44 are left; .5 of them are due in .0125 of what is left of the day, and .55 were granted: .00055 · 50.
    later, _ = steer(replace(charged, mu=np.ones(1)), seen(102, share=0.511, committed=56.5, granted=51.0))
    excess = (0.5 - 44.0 * 0.006 / 0.495) / 100.0
    assert later.mu[0] == pytest.approx((1.0 + shift) * np.exp(50.0 * excess) - shift)


def test_a_ledger_that_forgot_what_it_granted_frees_nothing() -> None:
    after, _ = steer(at(), seen(101, share=0.5 + 1e-9, committed=50.0, granted=0.0))
    assert after.mu[0] == pytest.approx(1.0)
    assert (after.granted[0], after.committed[0]) == (0.0, 50.0)


def test_where_nobody_knows_what_was_granted_spent_and_reserved_count() -> None:
    known, _ = steer(at(), seen(101, share=0.505, committed=50.6))
    unknown, _ = steer(at(), replace(seen(101, share=0.505, committed=50.6), granted=None))
    assert prices(unknown) == prices(known)


def test_with_few_charges_one_of_them_is_no_larger_step_than_allowed() -> None:
    # 100 buys 25 impressions at 4 each: the step of one is ½ · √(25² / 100) · .04 = .05, not .1.
    few = {"impressions": 175.0, "share": 0.5 + 1e-9}
    after, _ = steer(at(), seen(101, committed=54.0, **few))
    shift = 0.05 * SCALE
    assert after.mu[0] == pytest.approx((1.0 + shift) * np.exp(0.05) - shift)
    half, _ = steer(at(), seen(101, committed=52.0, **few))
    assert half.mu[0] == pytest.approx((1.0 + shift) * np.exp(0.025) - shift)


def test_a_roas_step_by_hand() -> None:
    # Guarded target: 2 · (1 + .08·√(½ + ⅓) + .4·½⁷) = 2.152309. Window and last day are at 1.6: both say so.
    bad = {"revenue": 1_120.0, "day_revenue": 160.0}
    after, steered = steer(at(), seen(101, share=0.51, committed=51.0, **bad))
    guarded = float(guarded_target(np.array([2.0]), UNSEEN_DAYS, 7.0)[0])
    assert guarded == pytest.approx(2.152309, abs=1e-6)
    assert steered.caution[0] == pytest.approx(guarded / 2.0)
    # Short by (guarded − 1.6) a unit of cost, and to make good: 280 of slack in 7 days of 100.
    error = (guarded - 1.6) / guarded + 280.0 / 7.0 / (guarded * 100.0)
    assert after.nu[0] == pytest.approx(0.55 * np.exp(8.0 * 0.01 * error) - 0.05)


def test_few_conversions_of_a_day_are_mostly_noise() -> None:
    # A day of 2 conversions counts 2 : 10 against the window: ten conversions cost 33.33.
    quiet = {"day_cost": 6.0, "day_revenue": 0.0, "day_conversions": 2.0}
    after, steered = steer(at(), seen(101, share=0.51, committed=51.0, **quiet))
    roas = 33.3333333 * (15 / 7) / (33.3333333 + 6.0)
    guarded = 2.0 * steered.caution[0]
    error = (guarded - roas) / guarded - 100.0 / 7.0 / (guarded * 100.0)
    assert after.nu[0] == pytest.approx(0.55 * np.exp(8.0 * 0.01 * error) - 0.05)


def test_with_too_little_data_nu_goes_where_predictions_alone_keep_the_target() -> None:
    few = {"conversions": 19.0, "revenue": 0.0, "day_revenue": 0.0}
    for nu in (0.0, 0.5, 3.0):
        after, steered = steer(at(nu=nu), seen(101, share=0.501, **few))
        way = np.log((UNKNOWN_NU + 0.05) / (nu + 0.05)) * (1.0 - np.exp(-3.0 * 0.001))
        assert after.nu[0] == pytest.approx((nu + 0.05) * np.exp(way) - 0.05)
        assert after.mu[0] != 1.0
        assert steered.standing[0] == Standing.UNKNOWN
        assert np.isnan(steered.below_probability[0])


def test_what_is_expected_to_meet_the_target_passes_while_nothing_is_known() -> None:
    new = float(guarded_target(np.array([2.0]), UNSEEN_DAYS, 0.0)[0])
    assert UNKNOWN_NU * new / (1.0 + UNKNOWN_NU) < 2.0


def test_a_paused_brand_and_an_unread_ledger_keep_their_prices() -> None:
    for told in ({"active": False}, {"committed": np.nan}):
        after, _ = steer(at(), seen(101, share=0.7, revenue=100.0, **told))
        assert prices(after) == (0.5, 1.0)
        # ... and the next minute that can starts from where the last one was.
        assert (after.share[0], after.committed[0], after.day[0]) == (0.5, 50.0, DAY)


def test_a_new_day_has_a_budget_of_its_own() -> None:
    """At midnight all is spent; a minute later a hundredth of the new day is over, and 3 of 100 promised."""
    before = at(share=0.99, granted=100.0, committed=100.0)
    after, _ = steer(before, seen(101, day=DAY + 1, share=0.01, committed=3.0))
    # Due was 1: an excess of .02 and a step of ½ · 100 · .02, which is bounded.
    shift = 0.05 * SCALE
    assert after.mu[0] == pytest.approx((1.0 + shift) * np.exp(STEP.largest) - shift)
    on_curve, _ = steer(before, seen(101, day=DAY + 1, share=0.01, committed=1.0))
    assert on_curve.mu[0] == pytest.approx(1.0)


def test_at_midnight_mu_starts_from_what_it_usually_was_and_nu_goes_on() -> None:
    late = at(night=7, share=0.999, mu=9.0, usual=0.4)  # the last impressions of a day are the dearest
    after, _ = steer(late, seen(101, day=DAY + 1, share=0.0, committed=0.0, night=7.0, night_mu=0.3))
    assert prices(after) == pytest.approx((0.5, 0.4), abs=0.01)


def test_the_usual_mu_follows_mu_with_the_traffic() -> None:
    # A hundredth of the day's traffic: three hundredths of the way from 2 to where μ stands now.
    after, _ = steer(at(usual=2.0), seen(101, share=0.51, committed=51.0))
    assert after.mu[0] == pytest.approx(1.0)
    assert after.usual[0] == pytest.approx(2.0 - 0.03)
    still, _ = steer(at(usual=2.0), seen(101, committed=51.0))  # no traffic
    assert still.usual[0] == 2.0


def test_a_night_says_where_to_start_and_replaces_nothing_that_steering_found() -> None:
    night = {"night": 8.0, "night_nu": 0.2, "night_mu": 0.3}
    found, _ = steer(at(night=7), seen(101, **night))
    assert prices(found)[1] == 1.0
    assert prices(found)[0] == pytest.approx(0.5, abs=0.01)
    assert found.night[0] == 8
    fresh, _ = steer(beginning(1), seen(101, **night))
    assert prices(fresh) == (0.2, 0.3)
    assert fresh.usual[0] == pytest.approx(0.3)


def test_after_a_loss_it_starts_from_the_night_and_without_one_from_nothing() -> None:
    seen_first = seen(5, {"night": 8.0, "night_nu": 0.2, "night_mu": 0.3}, {})
    after, _ = steer(beginning(2), seen_first)
    assert after.nu.tolist() == [0.2, 0.0]
    assert after.mu.tolist() == [0.3, 0.0]
    assert after.committed.tolist() == [50.0, 50.0]


def test_a_minute_is_steered_once() -> None:
    after, _ = steer(at(), seen(101))
    with pytest.raises(ValueError, match="once"):
        steer(after, seen(101))


def test_the_alert_takes_five_minutes_in_a_row() -> None:
    bad = {"revenue": 700.0, "day_revenue": 100.0}
    state, fired = at(), []
    for minute in range(101, 108):
        state, steered = steer(state, seen(minute, **bad))
        fired.append(bool(steered.alert[0]))
    assert fired == [False] * (ALERT_MINUTES - 1) + [True] * 3
    gap, steered = steer(state, seen(109, **bad))  # nobody looked at minute 108
    assert gap.below[0] == 1
    assert not steered.alert[0]
    recovered, _ = steer(state, seen(108, revenue=2_100.0))
    assert recovered.below[0] == 0
    unknown, _ = steer(state, seen(108, conversions=10.0, **bad))
    assert unknown.below[0] == 0


def test_hysteresis() -> None:
    """P(ROAS < target) of .7: who was below stays so, who wasn't stays on target."""
    unsure = {"conversions": 30.0, "revenue": 1_230.0}
    for before in (Standing.BELOW, Standing.ON_TARGET):
        _, steered = steer(at(standing=before), seen(101, **unsure))
        assert 0.5 < steered.below_probability[0] < 0.9
        assert steered.standing[0] == before


def test_the_last_day_passes_midnight_without_a_jump() -> None:
    today, yesterday = np.array([0.0, 50.0, 100.0]), np.array([80.0, 80.0, 80.0])
    assert last_day(today, yesterday, np.array([0.0, 0.5, 1.0])).tolist() == [80.0, 90.0, 100.0]


def test_brands_come_and_go() -> None:
    state = replace(beginning(2), minute=9, nu=np.array([1.0, 2.0]), day=np.array([3, 4]))
    moved = realigned(state, ["a", "b"], ["c", "b"])
    assert moved.minute == 9
    assert moved.nu.tolist() == [0.0, 2.0]
    assert moved.day.tolist() == [0, 4]
    assert realigned(state, ["a", "b"], ["a", "b"]) is state
    assert len(realigned(state, ["a", "b"], []).nu) == 0


def run_days(days: int, level: float, budget: float) -> tuple[State, list[float], list[float]]:
    """A brand whose spend falls with λ: days of 288 five-minute steps, offers of ROAS level·4/(1 + 3x)."""
    state, spends, returns = beginning(1), [], []
    cost, revenue = np.zeros(days), np.zeros(days)
    lam = 0.0
    for day in range(days):
        for step in range(288):
            taken = min(max((4.0 * level / max(lam, 1e-9) - 1.0) / 3.0, 0.0), 1.0)
            taken *= cost[day] < budget
            cost[day] += taken
            revenue[day] += level * 4.0 / 3.0 * np.log1p(3.0 * taken)
            share, first = (step + 1) / 288, max(0, day - 6)
            window, paid = revenue[first : day + 1].sum(), cost[first : day + 1].sum()
            recent = [
                float(one[day] + (one[day - 1] if day else 0.0) * (1.0 - share)) for one in (cost, revenue)
            ]
            minute = seen(
                day * 288 + step + 1, day=DAY + day, share=share, budget=budget, committed=cost[day],
                cost=paid, revenue=window, conversions=paid, impressions=100.0 * paid,
                days_run=min(day + share, 7.0), day_cost=recent[0], day_revenue=recent[1],
            )  # fmt: skip
            state, steered = steer(state, minute, replace(STEP, largest=0.25))
            lam = float((state.nu[0] * 2.0 * steered.caution[0] + state.mu[0]) / (1.0 + state.nu[0]))
        spends.append(float(cost[day]))
        returns.append(float(revenue[day] / cost[day]))
    return state, spends, returns


def test_a_loop_keeps_its_target() -> None:
    """Everything taken, ROAS is 1.66: it finds a selection that keeps 2, within what caution asks on top."""
    state, _, returns = run_days(14, 0.9, np.inf)
    assert np.mean(returns[7:]) == pytest.approx(2.07, abs=0.07)
    assert 0.0 < state.nu[0] < NU_MAX
    assert state.mu[0] == 0.0


def test_a_loop_spends_its_budget_with_the_day_and_no_more() -> None:
    """All traffic would cost 288 and return 3.7 to 2.8: a budget of 100 buys the best of every hour."""
    state, spends, returns = run_days(4, 2.0, 100.0)
    assert state.mu[0] > 0.5
    for spend in spends[1:]:
        assert 97.0 < spend <= 101.0
    assert min(returns[1:]) > 5.0  # the best third: selection, not a stop at noon


amounts = st.integers(0, 10**12).map(lambda micros: micros / 1e6)
brands = st.fixed_dictionaries(
    {
        "day": st.integers(DAY - 1, DAY + 2),
        "share": st.floats(0.0, 1.0),
        "active": st.booleans(),
        "target": st.floats(0.01, 100.0),
        "budget": amounts | st.just(float("inf")),
        "committed": amounts | st.just(float("nan")),
        "granted": amounts,
        "cost": amounts,
        "revenue": amounts,
        "conversions": st.integers(0, 10_000),
        "impressions": amounts,
        "days_run": st.floats(0.0, 7.0),
        "day_cost": amounts,
        "day_revenue": amounts,
        "day_conversions": amounts,
        "night": st.integers(0, 3),
        "night_nu": st.floats(0.0, NU_MAX),
        "night_mu": st.floats(0.0, 50.0),
    }
)
states = st.fixed_dictionaries(
    {
        "nu": st.floats(0.0, NU_MAX),
        "mu": st.floats(0.0, 50.0),
        "usual": st.floats(0.0, 50.0),
        "night": st.integers(0, 3),
        "day": st.sampled_from([0, DAY]),
        "share": st.floats(0.0, 1.0),
        "granted": amounts,
        "committed": amounts,
        "standing": st.sampled_from(list(Standing)),
        "below": st.integers(0, 10),
    }
)


@given(states, brands)
def test_prices_are_prices_and_steps_are_bounded(before: dict[str, Any], brand: dict[str, Any]) -> None:
    state = at(**before)
    after, steered = steer(state, seen(101, **brand))
    for column in (after.nu, after.mu, after.usual, after.share, after.committed, steered.caution):
        assert np.isfinite(column).all()
    assert 0.0 <= after.nu[0] <= NU_MAX
    assert after.mu[0] >= 0.0
    assert steered.caution[0] >= 1.0
    most = np.exp(STEP.largest) * (1.0 + 1e-9)
    fresh = brand["night"] > before["night"] and before["day"] == 0
    nu = brand["night_nu"] if fresh else before["nu"]
    assert (nu + 0.05) / most - 1e-12 <= after.nu[0] + 0.05 <= (nu + 0.05) * most
    if steered.standing[0] == Standing.UNKNOWN and not fresh:
        low, high = sorted((before["nu"], UNKNOWN_NU))
        assert low - 1e-12 <= after.nu[0] <= high + 1e-12
    if np.isinf(brand["budget"]) and after.share[0] > before["share"] and before["day"] == brand["day"]:
        assert after.mu[0] == 0.0 or not brand["active"] or np.isnan(brand["committed"])


@settings(max_examples=50)
@given(st.lists(st.tuples(states, brands), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_brands_never_matters_and_none_is_pooled(
    rows: list[tuple[dict[str, Any], dict[str, Any]]], random: Any
) -> None:
    def together(chosen: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[tuple[float, ...]]:
        one_by_one = [at(**before) for before, _ in chosen]
        columns = {
            one.name: np.concatenate([getattr(state, one.name) for state in one_by_one])
            for one in fields(State)
            if one.name != "minute"
        }
        after, steered = steer(State(100, **columns), seen(101, *(brand for _, brand in chosen)))
        kept = [getattr(after, name) for name in columns]
        told = [getattr(steered, one.name) for one in fields(Steered)]
        return [
            tuple(np.nan_to_num(column[row], nan=-1.0) for column in kept + told)
            for row in range(len(chosen))
        ]

    found = dict(zip(range(len(rows)), together(rows), strict=True))
    order = list(range(len(rows)))
    random.shuffle(order)
    for place, result in zip(order, together([rows[number] for number in order]), strict=True):
        assert result == found[place]
    for number, row in enumerate(rows):
        assert together([row]) == [found[number]]


@given(st.floats(0.0, 3.0), st.integers(1, 60))
def test_no_wind_up(revenue: float, minutes: int) -> None:
    """However long a ν stood at its bound, it turns with the first minute of the opposite error."""
    state = at(nu=NU_MAX)
    for minute in range(minutes):
        state, _ = steer(
            state, seen(101 + minute, share=0.5 + 0.001 * (minute + 1), revenue=0.0, day_revenue=0.0)
        )
    assert state.nu[0] == NU_MAX
    good = {"revenue": 3_000.0 + revenue, "day_revenue": 500.0}
    turned, _ = steer(state, seen(101 + minutes, share=0.6, **good))
    assert turned.nu[0] < NU_MAX
