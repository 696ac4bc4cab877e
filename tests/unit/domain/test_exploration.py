"""Picks are the shares that strategies ask for, and draws are distributed as what they explore."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.exploration import pick, thompson_draw

IDS = st.text(min_size=1, max_size=8)
MANY = [f"b{number}" for number in range(20_000)]


def test_shares_are_kept() -> None:
    picks = [pick("d", bid, 0.2, 0.05) for bid in MANY]
    assert picks.count("probe") / len(MANY) == pytest.approx(0.2, abs=0.01)
    assert picks.count("exploration") / len(MANY) == pytest.approx(0.05, abs=0.006)


def test_no_share_picks_nothing_and_all_of_it_everything() -> None:
    assert {pick("d", bid, 0.0, 0.0) for bid in MANY} == {None}
    assert {pick("d", bid, 1.0, 0.0) for bid in MANY} == {"probe"}
    assert {pick("d", bid, 1.0, 1.0) for bid in MANY} == {"exploration"}


@given(IDS, IDS, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_never_drops_a_pick(decision, bid, share, more) -> None:
    small, large = sorted((share, more))
    if pick(decision, bid, 0.0, small):
        assert pick(decision, bid, 0.0, large)


@pytest.mark.parametrize("shape", [1.0, 5.0, 50.0])
def test_draws_have_the_posteriors_mean_and_spread(shape) -> None:
    draws = np.array([thompson_draw("d", bid, shape) for bid in MANY])
    assert draws.mean() == pytest.approx(1.0, abs=0.03)
    assert draws.std() == pytest.approx(shape**-0.5, rel=0.06)  # of a Gamma with mean 1


@given(IDS, IDS, st.floats(0, 1e6))
def test_a_draw_repeats_and_is_no_nonsense(decision, bid, shape) -> None:
    draw = thompson_draw(decision, bid, shape)
    assert draw == thompson_draw(decision, bid, shape)
    assert 0.0 <= draw < 1_000.0
