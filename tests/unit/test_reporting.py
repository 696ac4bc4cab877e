"""Hours and days of a time zone, whatever its clocks do."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.reporting import Slice, local_start, offsets, points, utc_days

QUARTER = timedelta(minutes=15)


def quarters(start: str, end: str, currency: str = "USD") -> list[Slice]:
    """One impression, 0.10 of cost and 0.25 of revenue in every quarter hour of [start, end), UTC."""
    at, until = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    found = []
    while at < until:
        found.append(Slice(at, currency, 1, Decimal("0.10"), Decimal("0.25")))
        at += QUARTER
    return found


def listed(slices: Sequence[Slice], granularity: str, zone: str) -> list[tuple[str, int]]:
    return [(p.at.isoformat(), p.impressions) for p in points(slices, granularity, ZoneInfo(zone))]  # type: ignore[arg-type]


def test_hours_by_hand() -> None:
    one, two = points(quarters("2026-11-20T09:30", "2026-11-20T10:15"), "hour", UTC)
    assert (one.at.isoformat(), one.at.hour, one.impressions) == ("2026-11-20T09:00:00+00:00", 9, 2)
    assert (one.cost, one.revenue) == (Decimal("0.20"), Decimal("0.50"))
    assert one.value_per_impression == 0.25
    assert (two.at.isoformat(), two.impressions) == ("2026-11-20T10:00:00+00:00", 1)


def test_a_zone_half_an_hour_off() -> None:
    assert listed(quarters("2026-11-20T09:00", "2026-11-20T10:00"), "hour", "Asia/Kolkata") == [
        ("2026-11-20T14:00:00+05:30", 2),
        ("2026-11-20T15:00:00+05:30", 2),
    ]
    assert listed(quarters("2026-11-19T18:00", "2026-11-19T19:00"), "day", "Asia/Kathmandu") == [
        ("2026-11-19T00:00:00+05:45", 1),
        ("2026-11-20T00:00:00+05:45", 3),
    ]


def test_the_day_of_23_hours_and_the_day_of_25() -> None:
    assert listed(quarters("2026-03-08T05:00", "2026-03-10T04:00"), "day", "America/New_York") == [
        ("2026-03-08T00:00:00-05:00", 23 * 4),
        ("2026-03-09T00:00:00-04:00", 24 * 4),
    ]
    assert listed(quarters("2026-11-01T04:00", "2026-11-03T05:00"), "day", "America/New_York") == [
        ("2026-11-01T00:00:00-04:00", 25 * 4),
        ("2026-11-02T00:00:00-05:00", 24 * 4),
    ]


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    assert listed(quarters("2026-11-01T05:00", "2026-11-01T08:00"), "hour", "America/New_York") == [
        ("2026-11-01T01:00:00-04:00", 4),
        ("2026-11-01T01:00:00-05:00", 4),
        ("2026-11-01T02:00:00-05:00", 4),
    ]


def test_a_day_without_midnight_starts_at_one() -> None:
    assert listed(quarters("2018-11-04T02:00", "2018-11-04T04:00"), "day", "America/Sao_Paulo") == [
        ("2018-11-03T00:00:00-03:00", 4),
        ("2018-11-04T01:00:00-02:00", 4),
    ]


def test_a_day_with_two_midnights_starts_at_the_first() -> None:
    # Havana's clocks go back from 01:00 to 00:00.
    assert listed(quarters("2026-11-01T04:00", "2026-11-01T06:00"), "day", "America/Havana") == [
        ("2026-11-01T00:00:00-04:00", 8)
    ]


def test_clocks_that_move_by_half_an_hour() -> None:
    # Lord Howe: back from 02:00+11:00 to 01:30+10:30, so the hour that starts at 01:00 lasts 90 minutes.
    assert listed(quarters("2026-04-04T14:00", "2026-04-04T16:30"), "hour", "Australia/Lord_Howe") == [
        ("2026-04-05T01:00:00+11:00", 6),
        ("2026-04-05T02:00:00+10:30", 4),
    ]


def test_currencies_are_never_added() -> None:
    both = quarters("2026-11-20T09:00", "2026-11-20T10:00") + quarters(
        "2026-11-20T09:00", "2026-11-20T09:15", "EUR"
    )
    assert [(p.currency, p.impressions) for p in points(both, "day", UTC)] == [("EUR", 1), ("USD", 4)]


def test_no_impressions_no_value() -> None:
    [point] = points(
        [Slice(datetime(2026, 11, 20, tzinfo=UTC), "USD", 0, Decimal(0), Decimal(5))], "hour", UTC
    )
    assert point.value_per_impression is None
    assert point.revenue == 5


ZONES = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
]


@given(
    zone=st.sampled_from(ZONES),
    granularity=st.sampled_from(["hour", "day"]),
    starts=st.lists(st.integers(0, 40_000), max_size=60),
)
def test_everything_is_in_exactly_one_point(zone: str, granularity: str, starts: list[int]) -> None:
    first = datetime(2018, 10, 1, tzinfo=UTC)
    slices = [Slice(first + QUARTER * start, "USD", start, Decimal(start), Decimal(1)) for start in starts]
    found = points(slices, granularity, ZoneInfo(zone))  # type: ignore[arg-type]
    assert sum(point.impressions for point in found) == sum(starts)
    assert sum(point.cost for point in found) == sum(starts)
    assert [point.at for point in found] == sorted({point.at for point in found})
    for one in slices:
        start = local_start(one.at, granularity, ZoneInfo(zone))  # type: ignore[arg-type]
        assert start <= one.at < start + timedelta(hours=26)
        assert local_start(start, granularity, ZoneInfo(zone)) == start  # type: ignore[arg-type]
        assert start in {point.at for point in found}


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", [("2027-01-01T00:15", 0)]),
        ("Asia/Kolkata", [("2027-01-01T00:15", 5.5)]),
        ("America/New_York", [("2026-03-08T07:00", -5), ("2026-11-01T06:00", -4), ("2027-01-01T00:15", -5)]),
        (
            "Australia/Lord_Howe",  # half an hour, not a whole one
            [("2026-04-04T15:00", 11), ("2026-10-03T15:30", 10.5), ("2027-01-01T00:15", 11)],
        ),
    ],
)
def test_how_far_a_zone_is_ahead_by_hand(zone: str, expected: list[tuple[str, float]]) -> None:
    since, until = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    found = offsets(since, until, ZoneInfo(zone))
    assert [(at.isoformat()[:16], ahead / timedelta(hours=1)) for at, ahead in found] == expected


@given(
    st.sampled_from(
        ["Europe/Berlin", "Africa/Casablanca", "Australia/Lord_Howe", "America/Caracas", "Asia/Gaza"]
    ),
    st.integers(0, 40_000),
    st.integers(1, 3_000),
)
def test_how_far_a_zone_is_ahead_of_every_quarter_hour(zone: str, start: int, quarters_: int) -> None:
    since = datetime(2006, 1, 1, 0, 7, tzinfo=UTC) + start * 17 * QUARTER
    until = since + quarters_ * QUARTER
    shifts = offsets(since, until, ZoneInfo(zone))
    at = since - timedelta(minutes=7)
    while at < until:
        ahead = next(ahead for end, ahead in shifts if at < end)
        assert ahead == at.astimezone(ZoneInfo(zone)).utcoffset()
        at += QUARTER


MIDNIGHTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001
    lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC)
)


@given(
    since=MIDNIGHTS,
    number=st.integers(0, 400),
    zone=st.sampled_from(["UTC", "Europe/London", "Asia/Kolkata", "Pacific/Kiritimati"]),
)
def test_days_of_a_zone_that_are_days_of_utc(since: datetime, number: int, zone: str) -> None:
    there, day = ZoneInfo(zone), timedelta(days=1)
    expected = [
        at
        for at in (since + n * day for n in range(number))
        if {local_start(at + step * QUARTER, "day", there) for step in range(96)} == {at}
    ]
    assert utc_days(since, since + number * day, there) == expected


def test_london_keeps_utc_in_winter() -> None:
    october = datetime(2026, 10, 24, tzinfo=UTC)
    found = utc_days(october, october + timedelta(days=4), ZoneInfo("Europe/London"))
    assert [at.day for at in found] == [26, 27]
