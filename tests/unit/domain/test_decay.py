"""Forgetting, and the quarter hours it counts by."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.decay import HALF_LIVES_DAYS, LANDMARK_LIFETIME, age_days, quarter_hour, weights


def test_evidence_halves_with_every_half_life() -> None:
    for place, half_life in enumerate(HALF_LIVES_DAYS):
        assert weights(-half_life)[place] == pytest.approx(0.5)
        assert weights(-2 * half_life)[place] == pytest.approx(0.25)
    assert weights(0.0).tolist() == [1.0] * len(HALF_LIVES_DAYS)


def test_a_landmark_stays_far_from_overflow() -> None:
    assert np.all(weights(2 * LANDMARK_LIFETIME / timedelta(days=1)) * 1e15 < np.finfo(float).max)


def test_quarter_hours_are_utc() -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    assert quarter_hour(datetime(2026, 11, 20, 9, 14, 59, 999, tzinfo=nepal)) == datetime(
        2026, 11, 20, 3, 15, tzinfo=UTC
    )


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_lies_in_its_quarter_hour(moment: datetime) -> None:
    start = quarter_hour(moment)
    assert start <= moment < start + timedelta(minutes=15)
    assert quarter_hour(start) == start


@given(st.floats(-300, 300), st.floats(0, 300))
def test_when_it_is_read_does_not_matter(event: float, later: float) -> None:
    # forward decay: the weight it entered with, seen from `later`, is its age's weight
    seen = weights(event) * weights(-later)
    assert seen == pytest.approx(weights(event - later), rel=1e-9)


def test_age_counts_days() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert age_days(start, start + timedelta(hours=36)) == 1.5
