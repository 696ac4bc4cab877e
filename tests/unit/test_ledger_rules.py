"""The ledger's rules: budget days with clock changes, holdbacks, and what an account says of itself."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.ledger import Account, Lifetimes, budget_day, day_bounds, holdback

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # the clock changes at midnight
    "Africa/Cairo",  # and forward, so that there is no midnight
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Apia",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
)
HOUR = timedelta(hours=1)
DAY = date(2026, 11, 20)
START = datetime(2026, 11, 20, tzinfo=UTC)
BOUNDS = (START, START + 24 * HOUR)


@pytest.mark.parametrize(
    ("day", "timezone", "hours"),
    [
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 3, 8), "America/New_York", 23),
        (date(2026, 11, 1), "America/New_York", 25),
        (date(2026, 11, 1), "America/Havana", 25),
        (date(2026, 4, 24), "Africa/Cairo", 23),
        (date(2026, 4, 5), "Australia/Lord_Howe", 24.5),
        (date(2026, 7, 1), "Europe/Berlin", 24),
    ],
)
def test_days_have_the_hours_that_the_clock_gives_them(day: date, timezone: str, hours: float) -> None:
    start, end = day_bounds(day, timezone)
    assert end - start == hours * HOUR


def test_both_kinds_of_clock_change_by_hand() -> None:
    # Berlin, 25 October 2026: 3:00 summer time (1:00 UTC) becomes 2:00; midnights at 22:00 and 23:00 UTC.
    assert day_bounds(date(2026, 10, 25), "Europe/Berlin") == (
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
    )
    assert budget_day(datetime(2026, 10, 24, 21, 59, 59, tzinfo=UTC), "Europe/Berlin") == date(2026, 10, 24)
    assert budget_day(datetime(2026, 10, 25, 22, 30, tzinfo=UTC), "Europe/Berlin") == date(2026, 10, 25)
    # Cairo, 24 April 2026: there is no 0:00, the day begins at 1:00 summer time, 22:00 UTC.
    assert day_bounds(date(2026, 4, 24), "Africa/Cairo")[0] == datetime(2026, 4, 23, 22, tzinfo=UTC)


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_every_moment_lies_in_its_budget_day_and_days_follow_without_a_gap(at: datetime, zone: str) -> None:
    day = budget_day(at, zone)
    start, end = day_bounds(day, zone)
    assert start <= at < end
    assert day_bounds(day + timedelta(days=1), zone)[0] == end
    assert start.astimezone(ZoneInfo(zone)).date() == day


def test_an_account_tells_what_is_left_and_what_was_overrun() -> None:
    assert Account("b", DAY, 100, 30, 1, 20, 50).remaining == 50
    assert Account("b", DAY, 100, 90, 1, 20, 50).remaining == 0
    assert Account("b", DAY, 100, 130, 1, 0, 50).overrun == 30
    unlimited = Account("b", DAY, None, 130, 1, 0, 0)
    assert (unlimited.remaining, unlimited.overrun) == (None, 0)


def test_the_longest_lifetime() -> None:
    assert Lifetimes().longest == HOUR
    assert Lifetimes(cpc=2 * HOUR).longest == 2 * HOUR
    assert Lifetimes().of("CPM") == timedelta(minutes=5)


def test_a_holdback_is_twice_the_pace_times_the_time_that_is_missing() -> None:
    noon = START + 12 * HOUR
    minute = timedelta(minutes=1)
    # 86,400 micros in 24 hours are one per second.
    assert holdback(86_400, 40_000, 0, BOUNDS, noon, noon + minute, HOUR) == 120
    # What was really granted was faster: 86,400 by noon.
    assert holdback(86_400, 40_000, 86_400, BOUNDS, noon, noon + minute, HOUR) == 240
    assert holdback(86_400, 40_000, 43_199, BOUNDS, noon, noon + minute, HOUR) == 120
    # No more than there is, nor than can still be open.
    assert holdback(86_400, 100, 0, BOUNDS, noon, noon + minute, HOUR) == 100
    assert holdback(86_400, -5, 0, BOUNDS, noon, noon + minute, HOUR) == 0
    assert holdback(86_400, 40_000, 0, BOUNDS, noon, noon + 5 * HOUR, HOUR) == 7_200
    assert holdback(86_400, 40_000, 0, BOUNDS, None, noon, HOUR) == 7_200
    # The day began after the snapshot, or it is over.
    assert holdback(86_400, 40_000, 0, BOUNDS, START - HOUR, START + minute, HOUR) == 120
    assert holdback(86_400, 40_000, 0, BOUNDS, noon, START + 26 * HOUR, HOUR) == 0
    assert holdback(86_400, 40_000, 0, BOUNDS, noon, noon, HOUR) == 0


def test_a_holdback_goes_by_the_hours_that_the_day_has() -> None:
    bounds = day_bounds(date(2026, 3, 29), "Europe/Berlin")  # 23 hours
    taken = bounds[0] + 5 * HOUR
    assert holdback(82_800, 40_000, 0, bounds, taken, taken + timedelta(minutes=1), HOUR) == 120
