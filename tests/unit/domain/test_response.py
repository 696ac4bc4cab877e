"""Rates from evidence: numbers by hand, operators' priors, and what is unknown stays unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULT_DRIFT, DEFAULT_PARAMETERS
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
    """A brand with 1,000 of the world's 5,000 impressions, all in one slot."""
    known = evidence(
        **{"global": (5000.0, 120.0, 70.0, 25.0, 48.0)},
        brand=(1000.0, 20.0, 30.0, 5.0, 8.0),
        slot=(1000.0, 20.0, 30.0, 5.0, 8.0),
    )
    response = respond(known, PARAMETERS)
    world = (100 + 3) / 4100  # the others' 4,000 impressions
    lent = 1 / (1 / 4100 + 1 / 100 + 1 / 100)  # two steps away from the world, brand and slot
    brand = LEVELS.index("brand")
    assert response.levels[0, [0, brand], 0] == pytest.approx([world, world])
    assert response.ctr[0] == pytest.approx((20 + lent * world) / (1000 + lent))
    conversions = (40 + 3) / 200
    lent = 1 / (1 / 200 + 1 / 100 + 1 / 100)
    assert response.cvr[0] == pytest.approx((30 + lent * conversions) / (20 + lent))
    lent = 1 / (1 / 4000 + 1 / 100 + 1 / 100)  # money has no prior above the world
    assert response.revenue[0] == pytest.approx((8 + lent * 0.01) / (1000 + lent))
    assert response.cost[0] == pytest.approx(0.005)


def test_money_of_a_single_cell_is_its_own_rate() -> None:
    measures = (1000.0, 20.0, 30.0, 5.0, 8.0)
    response = respond(evidence(**{"global": measures}, brand=measures), PARAMETERS)
    assert response.revenue[0] == pytest.approx(0.008)
    assert response.levels[2:, :, 0] == pytest.approx(np.array([[0.008], [0.005]]) * np.ones(len(LEVELS)))


@pytest.mark.parametrize("shown", [100.0, 1000.0, 10_000.0])
def test_a_new_brand_s_first_impressions_count_once(shown: float) -> None:
    """In a market of 2 %, and before its first click: not once per level that they are summed in."""
    levels = dict.fromkeys(("brand", "partner", "slot", "device_type"), (shown, 0.0, 0.0, 0.0, 0.0))
    market = (1e9 + shown, 2e7, 0.0, 0.0, 0.0)
    lent = 1 / sum(1 / DEFAULT_PARAMETERS.strengths["ctr"][LEVELS.index(level) - 1] for level in levels)
    row = evidence(**{"global": market}, **levels)
    base = respond(row, DEFAULT_PARAMETERS)
    assert base.ctr[0] == pytest.approx(0.02 * lent / (shown + lent), rel=1e-4)
    current = follow(row, base, DEFAULT_DRIFT).ctr[0]  # all of it is of just now
    assert 0.8 * base.ctr[0] < current <= base.ctr[0] * (1 + 1e-9)


def nested(parts: list[tuple[float, float]]) -> np.ndarray:
    """One row: (impressions, click share) of each level beyond its finer ones."""
    row = np.zeros((1, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    for level, (shown, share) in enumerate(parts):
        row[0, : level + 1, :, 0] += shown
        row[0, : level + 1, :, 1] += shown * share
    return row


PARTS = st.lists(
    st.tuples(st.just(0.0) | st.floats(0.01, 1e6), st.floats(0, 1)),
    min_size=len(LEVELS),
    max_size=len(LEVELS),
)


@given(parts=PARTS, skipped=st.sets(st.integers(1, len(LEVELS) - 2)), level=st.integers(1, len(LEVELS) - 1))
def test_what_happens_in_a_cell_moves_it_and_nothing_above(
    parts: list[tuple[float, float]], skipped: set[int], level: int
) -> None:
    """A click more never lowers a cell's rate, an impression without one never lifts it, in both chains."""
    row = nested(parts)
    skipped = skipped - {level}
    if level < len(LEVELS) - 1:
        row[:, level + 1 :] = 0.0  # the row ends there
    row[:, list(skipped)] = 0.0
    path = [above for above in range(level + 1) if above not in skipped]
    seen = row[0, level, 0, 1] / row[0, level, 0, 0] if row[0, level, 0, 0] else None

    def rates(clicked: float | None) -> tuple[np.ndarray, np.ndarray]:
        after = row.copy()
        if clicked is not None:
            after[0, path, :, 0] += 1.0
            after[0, path, :, 1] += clicked
        base = respond(after, DEFAULT_PARAMETERS)
        return base.levels[0, :, 0], follow(after, base, DEFAULT_DRIFT).levels[0, :, 0]

    for before, failed, clicked in zip(rates(None), rates(0.0), rates(1.0), strict=True):
        assert failed[level] <= before[level] * (1 + 1e-9)
        assert clicked[level] >= before[level] * (1 - 1e-9)
        above = [known for known in path if known < level]
        for changed in (failed, clicked):
            np.testing.assert_allclose(changed[above], before[above], rtol=1e-6, atol=1e-12)
        bounds = [before[above[-1]], before[above[-1]] if seen is None else seen]
        assert min(bounds) * (1 - 1e-9) - 1e-12 <= before[level] <= max(bounds) * (1 + 1e-9) + 1e-12


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
