"""Value per impression, quality and strategy: each rule by hand, and its shape for any numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.pricing import PricingModel
from adbid.domain.quality import PARTS, Quality, apply_quality_factors, flat_quality
from adbid.domain.strategy import apply_brand_strategy, portfolio_score
from adbid.domain.value import normalize_bid_to_impression_value

RATE = st.floats(0, 1)


def test_each_pricing_model_by_hand() -> None:
    value = normalize_bid_to_impression_value(
        np.array([4.0, 0.40, 12.5]),
        np.array([PricingModel.CPM, PricingModel.CPC, PricingModel.CPA]),
        np.array([0.03, 0.03, 0.031]),
        np.array([0.01, 0.01, 0.012]),
    )
    assert value == pytest.approx([0.004, 0.012, 12.5 * 0.031 * 0.012])


@given(
    amount=st.floats(0, 1e6),
    times=st.floats(0, 1e3),
    pricing=st.sampled_from(PricingModel),
    ctr=RATE,
    cvr=RATE,
)
def test_value_is_linear_in_the_amount(
    amount: float, times: float, pricing: PricingModel, ctr: float, cvr: float
) -> None:
    one, many = normalize_bid_to_impression_value(
        np.array([amount, amount * times]), np.array([pricing] * 2), np.array([ctr] * 2), np.array([cvr] * 2)
    )
    assert many == pytest.approx(one * times, rel=1e-12, abs=1e-300)


@given(parts=st.lists(st.floats(0.1, 10), min_size=len(PARTS), max_size=len(PARTS)), base=st.floats(0, 1e3))
def test_quality_parts_multiply_to_the_factor(parts: list[float], base: float) -> None:
    quality = Quality(np.array([parts]))
    assert quality.factor[0] == pytest.approx(np.prod(parts))
    assert apply_quality_factors(np.array([base]), quality)[0] == pytest.approx(base * np.prod(parts))


def test_without_a_model_quality_is_flat_and_its_parts_are_reported() -> None:
    quality = flat_quality(3)
    assert quality.parts.shape == (3, 5)
    assert np.array_equal(quality.factor, np.ones(3))


def test_a_strategy_multiplies_and_never_turns_the_ranking_round() -> None:
    assert apply_brand_strategy(np.array([2.0, -1.0]), np.array([1.2, 0.5])) == pytest.approx([2.4, -0.5])
    with pytest.raises(ValueError, match="above 0"):
        apply_brand_strategy(np.array([2.0]), np.array([0.0]))


def test_the_portfolio_score_by_hand() -> None:
    # ν = 0.5, μ = 0.25, τ = 2: λ = (0.5 · 2 + 0.25) / 1.5
    lambda_ = (0.5 * 2 + 0.25) / 1.5
    score = portfolio_score(np.array([0.02]), np.array([0.01]), np.array([lambda_]), np.array([1.5]))
    assert score == pytest.approx([1.5 * 0.02 - (0.5 * 2 + 0.25) * 0.01])
