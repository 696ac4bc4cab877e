"""The day's curve, what is due by now, and who is under target: by hand, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.pacing import (
    CURVE_STRENGTH,
    QUARTERS,
    curve_of_day,
    expected_share,
    expected_spend,
    pacing_index,
    traffic_curve,
)
from adbid.domain.roas_status import Standing, probability_under_target, standing

counts = st.lists(st.floats(0.0, 1e6), min_size=QUARTERS, max_size=QUARTERS)


def test_a_brands_curve_is_half_its_own_at_the_strength() -> None:
    own = np.zeros(QUARTERS)
    own[40] = CURVE_STRENGTH
    flat = traffic_curve(own, portfolio=np.full(QUARTERS, 1e6))
    assert flat[40] == pytest.approx(0.5 + 0.5 / QUARTERS)
    assert flat[0] == pytest.approx(0.5 / QUARTERS)


@given(counts, counts)
def test_curves_are_shares(first: list[float], second: list[float]) -> None:
    curves = traffic_curve(np.array([first, second]))
    assert np.all(curves > 0.0)
    assert curves.sum(axis=-1) == pytest.approx(np.ones(2))
    assert expected_share(curves, 24.0) == pytest.approx(np.ones(2))


@given(counts, st.floats(-1.0, 26.0), st.floats(0.0, 5.0))
def test_what_is_due_never_falls(impressions: list[float], hours: float, more: float) -> None:
    curve = traffic_curve(np.array(impressions))
    early, late = expected_share(curve, hours), expected_share(curve, hours + more)
    assert 0.0 <= early <= late + 1e-12
    assert late <= 1.0


def test_a_share_by_hand() -> None:
    curve = np.zeros(QUARTERS)
    curve[4], curve[5] = 0.75, 0.25
    assert expected_share(curve, 1.0) == 0.0
    assert expected_share(curve, 1.125) == pytest.approx(0.375)  # half of the quarter from 1:00
    assert expected_share(curve, 1.5) == pytest.approx(1.0)


def test_days_of_23_and_25_hours_pass_without_a_jump() -> None:
    curve = traffic_curve(np.arange(QUARTERS, dtype=np.float64) * 1e4)
    quarters = np.arange(QUARTERS)
    short = curve_of_day(curve, np.delete(quarters, range(8, 12)))  # 2:00 to 3:00 is left out
    long = curve_of_day(curve, np.concatenate([quarters[:12], quarters[8:]]))  # and here it comes twice
    for day, hours in ((short, 23.0), (long, 25.0)):
        assert expected_share(day, hours) == pytest.approx(1.0)
        steps = np.diff([float(expected_share(day, minute / 60)) for minute in range(int(hours * 60) + 1)])
        assert np.all(steps > 0.0)
        assert steps.max() <= day.max() / 15 + 1e-12
    with pytest.raises(ValueError, match="quarter hours"):
        curve_of_day(curve, quarters[:0])


def test_the_index_by_hand() -> None:
    due = expected_spend([100.0, np.inf, 100.0], [0.25, 0.5, 0.0])
    assert due.tolist() == [25.0, np.inf, 0.0]
    index = pacing_index([30.0, 10.0, 5.0], due)
    assert index[0] == pytest.approx(1.2)
    assert np.isnan(index[1:]).all()


def test_a_wrong_number_of_quarters_is_refused() -> None:
    with pytest.raises(ValueError, match="96"):
        traffic_curve(np.ones(24))


def test_too_little_data_is_unknown() -> None:
    money = np.array([100.0, 100.0, 100.0, 0.0])
    cost = np.array([100.0, 100.0, 100.0, 100.0])
    found = probability_under_target(money, cost, np.array([19.0, 20.0, 2_000.0, 50.0]), np.full(4, 1.5))
    assert np.isnan(found[0])
    # 20 conversions: shape 10, 50 % over. Wilson–Hilferty: 3·√10·(1.5^⅓ − .988889) = 1.4783, Φ = .9303
    assert found[1] == pytest.approx(0.9303, abs=5e-4)
    assert found[2] > 0.999999
    assert found[3] == 1.0


def test_a_brand_below_stays_so_until_it_is_more_likely_above() -> None:
    before = np.array([Standing.BELOW, Standing.ON_TARGET, Standing.UNKNOWN, Standing.BELOW], dtype=np.int8)
    assert standing(np.full(4, 0.7), before).tolist() == [2, 1, 1, 2]
    assert standing(np.array([0.49, 0.9, np.nan, np.nan]), before).tolist() == [1, 2, 0, 0]
