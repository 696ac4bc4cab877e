"""Rates from evidence: numbers by hand, operators' priors, and what is unknown stays unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.response import TARGETS, OperatorPriors, ResponseParameters, respond

PARAMETERS = ResponseParameters(
    half_lives=dict.fromkeys(TARGETS, HALF_LIVES_DAYS[0]),
    strengths=dict.fromkeys(TARGETS, (100.0,) * (len(LEVELS) - 1)),
)


def evidence(**levels: tuple[float, ...]) -> np.ndarray:
    """One row: measures by level name, the same at every half-life."""
    row = np.zeros((1, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    for name, measures in levels.items():
        row[0, LEVELS.index(name)] = measures
    return row


def test_a_system_without_data() -> None:
    response = respond(evidence(), PARAMETERS)
    assert response.ctr[0] == 0.03
    assert response.cvr[0] == 0.03
    assert np.isnan(response.revenue[0])
    assert np.isnan(response.cost[0])


def test_by_hand() -> None:
    measures = (1000.0, 20.0, 30.0, 5.0, 8.0)
    known = evidence(**{"global": measures}, brand=measures)
    response = respond(known, PARAMETERS)
    world = (20 + 3) / 1100
    assert response.ctr[0] == pytest.approx((20 + 100 * world) / 1100)
    conversions = (30 + 3) / 120  # per click: beyond 1 in real logs, and never clamped
    assert response.cvr[0] == pytest.approx((30 + 100 * conversions) / 120)
    assert response.revenue[0] == pytest.approx(0.008)
    assert response.cost[0] == pytest.approx(0.005)


def test_conversions_per_click_may_exceed_one() -> None:
    measures = (1000.0, 100.0, 500.0, 5.0, 8.0)
    assert respond(evidence(**{"global": measures}), PARAMETERS).cvr[0] == pytest.approx(503 / 200)


def test_each_target_reads_its_own_half_life() -> None:
    half_lives = {**dict.fromkeys(TARGETS, HALF_LIVES_DAYS[0]), "ctr": HALF_LIVES_DAYS[-1]}
    row = evidence(**{"global": (1000.0, 50.0, 0.0, 0.0, 0.0)})
    row[0, 0, 0] = (10.0, 1.0, 0.0, 0.0, 0.0)
    response = respond(row, ResponseParameters(half_lives, PARAMETERS.strengths))
    assert response.ctr[0] == pytest.approx(53 / 1100)


def test_an_operators_prior_replaces_what_is_known_above() -> None:
    row = evidence(**{"global": (1e6, 5e4, 0.0, 0.0, 0.0)}, brand=(200.0, 6.0, 0.0, 0.0, 0.0))
    clicks, impressions = np.zeros((len(LEVELS), 1)), np.zeros((len(LEVELS), 1))
    clicks[LEVELS.index("brand")], impressions[LEVELS.index("brand")] = 10.0, 1000.0
    priors = OperatorPriors(clicks, impressions)
    assert respond(row, PARAMETERS, priors).ctr[0] == pytest.approx((6 + 10) / (200 + 1000))
    assert respond(evidence(), PARAMETERS, priors).ctr[0] == pytest.approx(0.01)


@given(target=st.sampled_from(list(TARGETS)), strengths=st.lists(st.floats(-10, 0), min_size=9, max_size=9))
def test_parameters_must_make_sense(target: str, strengths: list[float]) -> None:
    with pytest.raises(ValueError, match=f"strengths.*{target}"):
        ResponseParameters(PARAMETERS.half_lives, {**PARAMETERS.strengths, target: tuple(strengths)})
    with pytest.raises(ValueError, match=f"half_lives.*{target}"):
        ResponseParameters({**PARAMETERS.half_lives, target: 2.22}, PARAMETERS.strengths)


def test_parameters_survive_json() -> None:
    assert ResponseParameters.from_json(PARAMETERS.to_json()) == PARAMETERS
