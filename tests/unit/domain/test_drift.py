"""The recent chain over the long-run one: numbers by hand, and what must not change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import MAX_MOVE, DriftParameters, follow
from adbid.domain.learned import DEFAULT_DRIFT, DEFAULT_PARAMETERS
from adbid.domain.response import TARGETS, OperatorPriors, respond

SHORT, LONG = HALF_LIVES_DAYS.index(1.0), len(HALF_LIVES_DAYS) - 1
K = 1000.0
DRIFT = DriftParameters(dict.fromkeys(TARGETS, 1.0), dict.fromkeys(TARGETS, (K,) * len(LEVELS)))
SHAPE = (3, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES))


def test_by_hand() -> None:
    """A brand that clicks twice as well as the world, in a world whose rate has just halved."""
    row = np.zeros((1, *SHAPE[1:]))
    brand = LEVELS.index("brand")
    row[0, 0, LONG, :2] = 1e9 + 1e8, 4e7 + 8e6  # the others' and the brand's
    row[0, brand, LONG, :2] = 1e8, 8e6
    row[0, 0, SHORT, :2] = 5e7 + 1000.0, 1e6 + 50.0
    row[0, brand, SHORT, :2] = 1000.0, 50.0
    base = respond(row, DEFAULT_PARAMETERS)
    current = follow(row, base, DRIFT)
    assert base.ctr[0] == pytest.approx(0.08, rel=1e-4)
    older = (4e7 - 1e6) / (1e9 - 5e7)
    world = (1e6 + K * older) / (5e7 + K)
    expected = 0.08 * world / 0.04  # the brand's older rate, moved as the world has moved
    assert current.levels[0, 0, 0] == pytest.approx(world, rel=1e-6)
    assert current.ctr[0] == pytest.approx((50 + K * expected) / (1000 + K), rel=1e-4)


def test_a_cell_s_older_evidence_counts_for_what_it_is() -> None:
    """300 impressions a while ago and 200 now, and no clicks: not as sure of 0 as `K` trials would be."""
    row = np.zeros((1, *SHAPE[1:]))
    brand = LEVELS.index("brand")
    row[0, 0, LONG, :2] = 1e9 + 500.0, 2e7
    row[0, brand, LONG, :2] = 500.0, 0.0
    row[0, brand, SHORT, :2] = 200.0, 0.0
    row[0, 0, SHORT, :2] = 200.0, 0.0
    current = follow(row, respond(row, DEFAULT_PARAMETERS), DRIFT)
    k = DEFAULT_PARAMETERS.strengths["ctr"][brand - 1]
    before = k * 0.02 / (300 + k)
    held = 1 / (1 / (300 + k) + 1 / K)
    assert current.ctr[0] == pytest.approx(held * before / (200 + held), rel=1e-4)


def test_a_system_without_data() -> None:
    row = np.zeros((1, *SHAPE[1:]))
    current = follow(row, respond(row, DEFAULT_PARAMETERS), DEFAULT_DRIFT)
    assert current.ctr[0] == 0.03
    assert current.cvr[0] == 0.03
    assert np.isnan(current.revenue[0])


def consistent(evidence: np.ndarray) -> np.ndarray:
    """Clicks are impressions, and what happened in a cell happened in its parent."""
    evidence[..., 1] = np.minimum(evidence[..., 1], evidence[..., 0])
    return np.cumsum(evidence[:, ::-1], axis=1)[:, ::-1].copy()


evidences = hnp.arrays(np.float64, SHAPE, elements=st.just(0.0) | st.floats(1e-3, 1e6)).map(consistent)


@given(evidences)
def test_without_recent_evidence_nothing_changes(evidence: np.ndarray) -> None:
    evidence = evidence.copy()
    evidence[:, :, SHORT] = 0.0
    base = respond(evidence, DEFAULT_PARAMETERS)
    np.testing.assert_allclose(follow(evidence, base, DRIFT).levels, base.levels, rtol=1e-9)


@given(evidences)
def test_click_through_is_a_proportion_and_nothing_is_negative(evidence: np.ndarray) -> None:
    current = follow(evidence, respond(evidence, DEFAULT_PARAMETERS), DRIFT)
    assert ((current.ctr >= 0) & (current.ctr <= 1)).all()
    assert not (current.levels < 0).any()


@given(evidences)
def test_with_much_recent_evidence_the_cell_decides(evidence: np.ndarray) -> None:
    evidence = evidence.copy()
    evidence[:, -1, SHORT] = (1e18, 2e16, 1e15, 5e15, 7e15)
    current = follow(evidence, respond(evidence, DEFAULT_PARAMETERS), DRIFT)
    known = ~np.isnan(current.revenue)
    np.testing.assert_allclose(current.ctr, 0.02, rtol=1e-3)
    np.testing.assert_allclose(current.revenue[known], 0.007, rtol=1e-3)


def test_a_parent_that_never_earned_can_not_carry_its_cells_away() -> None:
    row = np.zeros((1, *SHAPE[1:]))
    revenue = MEASURES.index("revenue")
    brand = LEVELS.index("brand")
    row[0, 0, LONG, [0, revenue]] = 1e9 + 1e5, 1e4 + 1.0
    row[0, brand, LONG, [0, revenue]] = 1e5, 1.0
    row[0, 0, SHORT, [0, revenue]] = 1e7, 1e4  # the world, which never earned before, now does
    base = respond(row, DEFAULT_PARAMETERS)
    current = follow(row, base, DRIFT)
    assert base.levels[2, 0, 0] == pytest.approx(1e-5, rel=1e-3)
    assert current.levels[2, 0, 0] == pytest.approx(1e-3, rel=1e-2)
    k = DEFAULT_PARAMETERS.strengths["revenue"][brand - 1]
    assert current.revenue[0] == pytest.approx((MAX_MOVE * 1.0 + k * 1e-3) / (1e5 + k), rel=1e-3)


def test_an_operators_prior_replaces_what_is_known_above() -> None:
    row = np.zeros((1, *SHAPE[1:]))
    row[0, 0, :, :2] = 1e6, 5e4
    row[0, LEVELS.index("brand"), :, :2] = 200.0, 6.0
    clicks, impressions = np.zeros((2, len(LEVELS), 1))
    clicks[LEVELS.index("brand")], impressions[LEVELS.index("brand")] = 10.0, 1000.0
    priors = OperatorPriors(clicks, impressions)
    current = follow(row, respond(row, DEFAULT_PARAMETERS, priors), DRIFT, priors)
    assert current.ctr[0] == pytest.approx((6 + 10) / (200 + 1000))


def test_parameters_survive_json_and_are_checked() -> None:
    assert DriftParameters.from_json(DEFAULT_DRIFT.to_json()) == DEFAULT_DRIFT
    with pytest.raises(ValueError, match="half_lives"):
        DriftParameters(dict.fromkeys(TARGETS, 2.0), DEFAULT_DRIFT.strengths)
    with pytest.raises(ValueError, match="strengths"):
        DriftParameters(DEFAULT_DRIFT.half_lives, dict.fromkeys(TARGETS, (1.0,)))
