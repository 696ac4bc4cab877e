"""How sure a prediction is: hand-computed cases, the exact Gamma distribution, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from adbid.domain.interval import (
    credible_interval,
    effective_payments,
    gamma_shape,
    probability_below,
)

shapes = st.floats(0.0, 1e6)
means = st.floats(1e-6, 1e6)


def test_an_interval_by_hand() -> None:
    # Shape 10, z(0.95) = 1.644854: centre 1 - 1/90 = .988889, spread 1.644854 / (3 √10) = .173383
    low, high = credible_interval(2.0, 10.0, 0.9)
    assert low == pytest.approx(2 * 0.815506**3, rel=1e-5)
    assert high == pytest.approx(2 * 1.162272**3, rel=1e-5)


def test_payments_by_hand() -> None:
    payments = np.array([[105.0], [5.0], [0.0], [0.0]])  # 100 of them elsewhere
    exposure = np.array([[10_200.0], [200.0], [0.0], [0.0]])
    strengths = np.array([0.0, 1_000.0, 50.0, 400.0])
    present = np.array([[True], [True], [False], [True]])
    # Level 1 is lent 1,000 · .01 = 10 payments, as sure as 100·10/110 = 9.0909; with its own 14.0909.
    # Its rate is (5 + 10) / 1,200 = .0125. Level 2 is skipped. Level 3 is lent 5: 14.0909·5/19.0909.
    assert effective_payments(payments, exposure, strengths, present)[0] == pytest.approx(3.690476, rel=1e-6)


def test_payments_count_once() -> None:
    """The same five payments in the sums of every level are five, whatever lies above."""
    payments, exposure = np.full((4, 1), 5.0), np.full((4, 1), 200.0)
    strengths, present = np.full(4, 1_000.0), np.ones((4, 1), dtype=np.bool_)
    assert effective_payments(payments, exposure, strengths, present)[0] == pytest.approx(5.0)


def test_varying_payments_count_for_less() -> None:
    assert gamma_shape(30.0, variation=0.5) == pytest.approx(20.0)
    assert gamma_shape(30.0) == pytest.approx(15.0)  # as if exponentially distributed


@pytest.mark.parametrize(
    ("shape", "error"), [(1.0, 0.03), (2.0, 0.01), (5.0, 0.003), (50.0, 1e-4), (5e3, 1e-6)]
)
def test_quantiles_and_probabilities_agree_with_the_gamma_distribution(shape: float, error: float) -> None:
    for level in (0.5, 0.8, 0.9, 0.95):
        exact = stats.gamma.ppf([(1 - level) / 2, (1 + level) / 2], shape, scale=1 / shape)
        assert np.abs(np.array(credible_interval(1.0, shape, level)) - exact).max() < error
    targets = np.linspace(0.01, 4.0, 200)
    exact = stats.gamma.cdf(targets, shape, scale=1 / shape)
    assert np.abs(probability_below(targets, 1.0, shape) - exact).max() < 0.012 / shape


@pytest.mark.parametrize("shape", [0.3, 0.05, 0.001, 1e-300])
def test_next_to_no_data_is_wide_and_never_absurd(shape: float) -> None:
    low, high = credible_interval(3.0, shape)
    assert low == 0.0
    assert 3 * 3.0 < high < 3 * 6.0
    assert 0.5 < probability_below(3.0, 3.0, shape) < 1.0


def test_nothing_known_says_nothing() -> None:
    low, high = credible_interval([1.0, np.nan], [0.0, 5.0])
    assert (low[0], high[0]) == (0.0, np.inf)
    assert np.isnan([low[1], high[1]]).all()
    assert np.isnan(probability_below(2.0, [np.nan, 0.0, 1.0], [5.0, 5.0, 0.0])).all()


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 90.0])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        credible_interval(1.0, 1.0, level)


@given(mean=means, shape=st.floats(1e-3, 1e6), level=st.floats(0.01, 0.99))
def test_an_interval_is_ordered_scales_and_grows_with_its_level(
    mean: float, shape: float, level: float
) -> None:
    low, high = credible_interval(mean, shape, level)
    assert 0.0 <= low < high
    assert credible_interval(mean * 2, shape, level) == pytest.approx((low * 2, high * 2))
    wider = credible_interval(mean, shape, (1 + level) / 2)
    assert wider[0] <= low
    assert wider[1] >= high


@given(mean=means, shape=st.floats(1.0, 1e6))
def test_an_interval_ends_where_its_probability_is(mean: float, shape: float) -> None:
    low, high = credible_interval(mean, shape, 0.9)
    assert probability_below(low, mean, shape) == pytest.approx(0.05, abs=1e-9)
    assert probability_below(high, mean, shape) == pytest.approx(0.95, abs=1e-9)


@given(mean=means, shape=st.floats(1e-3, 1e6), targets=st.lists(st.floats(-1.0, 1e7), min_size=2))
def test_a_higher_target_is_missed_more_often(mean: float, shape: float, targets: list[float]) -> None:
    below = probability_below(np.sort(targets), mean, shape)
    assert ((below >= 0.0) & (below <= 1.0)).all()
    assert (np.diff(below) >= 0.0).all()


def nested(numbers: list[float]) -> np.ndarray:
    """Sums [levels, 1] of what each level has beyond its finer ones."""
    return np.cumsum(numbers[::-1])[::-1, None].copy()


numbers = st.lists(st.floats(0.0, 1e6), min_size=4, max_size=4)


@given(payments=numbers, exposure=numbers, strengths=st.lists(st.floats(0.1, 1e6), min_size=4, max_size=4))
def test_payments_are_the_own_ones_and_less_than_is_lent(
    payments: list[float], exposure: list[float], strengths: list[float]
) -> None:
    columns = nested(payments), nested(exposure)
    present = np.ones((4, 1), dtype=np.bool_)
    total = effective_payments(*columns, np.array(strengths), present)
    assert total[0] >= payments[-1]
    above = effective_payments(columns[0][:3], columns[1][:3], np.array(strengths[:3]), present[:3])
    assert total[0] <= payments[-1] + above[0] * (1 + 1e-9)
    skipped = np.array([[True], [True], [True], [False]])
    missing = [np.where(skipped, column, 0.0) for column in columns]
    assert effective_payments(*missing, np.array(strengths), skipped) == above


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 8))
def test_a_few_rows_get_the_payments_that_they_get_among_many(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    payments, exposure = np.sort(random.gamma(0.3, 1e3, (2, 7, 30)), axis=1)[:, ::-1]
    present = random.random((7, 30)) < 0.8
    for sums in (payments, exposure):
        sums[1:][~present[1:] | (random.random((6, 30)) < 0.1)] = 0.0
    strengths = random.gamma(0.5, 1e4, 7)
    many = effective_payments(payments, exposure, strengths, present)
    few = effective_payments(payments[:, :rows], exposure[:, :rows], strengths, present[:, :rows])
    assert few.tobytes() == many[:rows].tobytes()
