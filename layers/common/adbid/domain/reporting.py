"""Reports over time: quarter hours gathered into the hours and days of a time zone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Literal

from adbid.domain.decay import QUARTER, quarter_hour

_DAY = timedelta(days=1)

Granularity = Literal["hour", "day"]


@dataclass(frozen=True)
class Slice:
    """What happened in a quarter hour, or in an hour, from `at` on; money in `currency`."""

    at: datetime
    currency: str
    impressions: int
    cost: Decimal
    revenue: Decimal


@dataclass(frozen=True)
class Point(Slice):
    """What happened in one local hour or day. `at` is its start, in the local time zone."""

    @property
    def value_per_impression(self) -> float | None:
        """Revenue per impression; None without impressions."""
        return float(self.revenue / self.impressions) if self.impressions else None


def local_start(at: datetime, granularity: Granularity, zone: tzinfo) -> datetime:
    """The start of the hour or day of `zone` that `at` falls in.

    Where clocks go back, the hour that comes twice is two hours; a day whose midnight is skipped starts
    when the clocks have gone forward.
    """
    local = at.astimezone(zone)
    if granularity == "day":
        start = datetime.combine(local.date(), time(), zone)  # the first, should midnight come twice
    else:
        start = local.replace(minute=0, second=0, microsecond=0)  # keeps the fold
    return start.astimezone(UTC).astimezone(zone)


def points(slices: Iterable[Slice], granularity: Granularity, zone: tzinfo) -> list[Point]:
    """One point per local hour or day and currency that anything happened in, in the order of time."""
    sums: dict[tuple[datetime, str], tuple[int, Decimal, Decimal]] = {}
    for one in slices:
        key = (local_start(one.at, granularity, zone).astimezone(UTC), one.currency)
        impressions, cost, revenue = sums.get(key, (0, Decimal(0), Decimal(0)))
        sums[key] = (impressions + one.impressions, cost + one.cost, revenue + one.revenue)
    return [Point(at.astimezone(zone), currency, *sums[at, currency]) for at, currency in sorted(sums)]


def offsets(since: datetime, until: datetime, zone: tzinfo) -> list[tuple[datetime, timedelta]]:
    """By how much `zone` is ahead of UTC for the quarter hours of [since, until): each amount with the
    quarter hour, in UTC, from which on it no longer holds."""
    found = []
    at, last = quarter_hour(since), quarter_hour(until) + QUARTER
    ahead = _ahead(at, zone)
    while at < last:
        end = min(at + timedelta(days=1), last)
        if _ahead(end, zone) != ahead:
            early, late = at, end
            while late - early > QUARTER:
                middle = quarter_hour(early + (late - early) / 2)
                early, late = (middle, late) if _ahead(middle, zone) == ahead else (early, middle)
            found.append((late, ahead))
            end, ahead = late, _ahead(late, zone)
        at = end
    return [*found, (last, ahead)]


def utc_days(since: datetime, until: datetime, zone: tzinfo) -> list[datetime]:
    """Which of the UTC days of [since, until), midnights both, are days of `zone` too: when they start."""
    found = []
    shifts = iter(offsets(since, until, zone))
    holds_until, ahead = next(shifts)
    while since < until:
        while holds_until <= since:
            holds_until, ahead = next(shifts)
        if not ahead % _DAY and holds_until >= since + _DAY:
            found.append(since)
        since += _DAY
    return found


def _ahead(at: datetime, zone: tzinfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
