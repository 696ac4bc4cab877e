"""What happened, as exact sums: from the rollup, and from `performance` where a context is named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)

from adbid.data import sealed_days
from adbid.data.rollup import days_of, rows_of
from adbid.data.sealed_days import Span, midnight
from adbid.data.tables import performance, performance_day, performance_rollup
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES
from adbid.domain.reporting import Granularity, Slice, offsets, utc_days

Place = tuple[str, str, str, tuple[str, ...]]
"""(brand, partner, slot, context values) of a bid."""

Ids = frozenset[str] | None
"""Of brands or of partners; None is all of them."""

Part = tuple[int, Ids, Ids]
"""Brands with partners, to be added (1) or taken off (-1)."""

_SUM = performance_rollup.c
_BEFORE_PLUS = 8  # as SQLAlchemy ranks a division
_FEW = timedelta(days=60)  # adding up so many quarter hours takes no longer than the statements for days
_SECONDS = {"hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class Totals:
    """Exact sums; money in units of the brand's currency."""

    impressions: int
    clicks: int
    conversions: int
    cost: Decimal
    revenue: Decimal


def observed(connection: Connection, place: Place, since: datetime, until: datetime) -> Totals:
    """What happened on one (brand, partner, slot, context) in the quarter hours that start in [since, until).

    Where the context is "", over all its values.
    """
    span = sealed_days.span(connection, since, until)
    impressions = clicks = conversions = 0
    cost = revenue = Decimal(0)
    for counts in connection.execute(observed_query(place, span)):
        impressions, clicks, conversions = (
            known + int(more or 0)
            for known, more in zip((impressions, clicks, conversions), counts[:3], strict=True)
        )
        cost, revenue = cost + (counts[3] or 0), revenue + (counts[4] or 0)
    return Totals(impressions, clicks, conversions, cost, revenue)


def observed_query(place: Place, span: Span) -> Select[Any] | CompoundSelect[Any]:
    """The query of `observed`: a row of sums from the quarter hours, and one from the days of the span."""
    *ids, context = place
    named = {name: value for name, value in zip(CONTEXT_DIMENSIONS, context, strict=True) if value}

    def sums(row: Any) -> Select[Any]:
        about = zip(("brand_id", "partner_id", "slot_id"), ids, strict=True)
        same = (row[name] == value for name, value in (*about, *named.items()))
        return select(*(func.sum(row[name]).label(name) for name in MEASURES)).where(*same)

    row = (performance if named else performance_rollup).c
    quarters = sums(row).where(span.rest(row.bucket_start))
    if span.days is None:
        return quarters
    days = performance_day.c
    none = [days[name] == "" for name in CONTEXT_DIMENSIONS if not named]
    return union_all(quarters, sums(days).where(days.by_context == int(bool(named)), *none, span.whole()))


@dataclass(frozen=True)
class Scope:
    """What a report covers: all of `brands` and of `partners` (None: of any), within the ids named."""

    brands: Ids = None
    partners: Ids = None
    brand_id: str | None = None
    partner_id: str | None = None
    slot_id: str | None = None

    def parts(self) -> list[Part]:
        """Brands and partners whose common sums, times 1 or -1, make up the scope.

        What is of a visible brand and of a visible partner is in two of them, and is taken off once.
        """
        brands = None if self.brand_id is None else frozenset({self.brand_id})
        partners = None if self.partner_id is None else frozenset({self.partner_id})
        if self.brands is None or self.partners is None:
            return [(1, brands, partners)]
        if self.brand_id in self.brands or self.partner_id in self.partners:
            return [(1, brands, partners)]
        own = self.brands if brands is None else frozenset()
        theirs = self.partners if partners is None else frozenset()
        either = [(1, own, partners), (1, brands, theirs), (-1, own, theirs)]
        return [part for part in either if frozenset() not in part]


def slices(
    connection: Connection,
    scope: Scope,
    since: datetime,
    until: datetime,
    granularity: Granularity,
    zone: ZoneInfo,
) -> list[Slice]:
    """What happened in the quarter hours that start in [since, until) within `scope`, per currency: one slice
    lies within an hour or day of `zone`, of which there may be several slices, also negative ones."""
    parts = scope.parts()
    if not parts:  # nobody's
        return []
    days: list[datetime] = []
    if granularity == "day" and scope.slot_id is None and _series(parts) * (until - since) > _FEW:
        days = _whole_days(connection, since, until, zone)
    found: list[Slice] = []
    if quarters := _between(since, until, days):
        rows = [rows_of(connection, scope.slot_id, brands, partners) for _, brands, partners in parts]
        steps = _steps(connection.dialect.name, since, until, granularity, zone)
        sums = select(func.min(_SUM.bucket_start), _SUM.currency, *_sums_of(_SUM))
        query = sums.where(_within(quarters)).group_by(*steps, _SUM.currency)
        found += _signed(connection, query, parts, rows)
    if days:
        row = performance_day.c
        rows = [days_of(brands, partners) for _, brands, partners in parts]
        kept = row.day.in_([day.date() for day in days])
        query = select(row.day, row.currency, *_sums_of(row)).where(kept).group_by(row.day, row.currency)
        for one in _signed(connection, query, parts, rows):
            found.append(replace(one, at=midnight(one.at)))
    return found


def _series(parts: Sequence[Part]) -> int:
    """How many rows a quarter hour has in them."""
    return sum(
        (len(brands) if brands else 1) * (len(partners) if partners else 1) for _, brands, partners in parts
    )


def _whole_days(connection: Connection, since: datetime, until: datetime, zone: ZoneInfo) -> list[datetime]:
    """The days of [since, until), by their start, whose sums are kept and which are days of `zone` too."""
    span = sealed_days.span(connection, since, until)
    if span.days is None:
        return []
    first, end = span.days
    return utc_days(midnight(first), midnight(end), zone)


def _between(since: datetime, until: datetime, days: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """What `days` leave of [since, until)."""
    found = []
    for day in days:
        if since < day:
            found.append((since, day))
        since = day + timedelta(days=1)
    return [*found, (since, until)] if since < until else found


def _signed(
    connection: Connection, query: Select[Any], parts: Sequence[Part], rows: Sequence[ColumnElement[bool]]
) -> Iterator[Slice]:
    """The slices of `query` over the `rows` of each part, times its sign."""
    if len(parts) == 1:  # added, not taken off from anything
        for at, currency, impressions, cost, revenue in connection.execute(query.where(rows[0])):
            yield Slice(at, currency, int(impressions), cost, revenue)
        return
    signs = (literal(sign) for sign, _, _ in parts)
    queries = [query.where(row).add_columns(sign) for row, sign in zip(rows, signs, strict=True)]
    for at, currency, impressions, cost, revenue, sign in connection.execute(union_all(*queries)):
        yield Slice(at, currency, sign * int(impressions), sign * cost, sign * revenue)


def _sums_of(row: Any) -> list[ColumnElement[Any]]:
    return [func.sum(row[name]) for name in ("impressions", "cost", "revenue")]


def _within(stretches: Sequence[tuple[datetime, datetime]]) -> ColumnElement[bool]:
    """Quarter hours that start in one of these."""
    at = _SUM.bucket_start
    return or_(*(and_(at >= since, at < until) for since, until in stretches))


def _steps(
    dialect: str, since: datetime, until: datetime, granularity: Granularity, zone: ZoneInfo
) -> list[ColumnElement[Any]]:
    """What tells the local hours or days of the rollup's quarter hours apart."""
    bucket = _SUM.bucket_start
    shifts = offsets(since, until, zone)
    server = dialect != "sqlite"
    seconds = func.to_seconds(bucket) if server else cast(func.strftime("%s", bucket), Integer)
    # As numbers, for the database groups these several times as fast as dates.
    steps: list[ColumnElement[Any]] = [
        (seconds + _ahead(bucket, shifts)).op("DIV" if server else "/", precedence=_BEFORE_PLUS)(
            _SECONDS[granularity]
        )
    ]
    if len(shifts) > 1:  # an hour that comes twice is two
        steps.append(case(*((bucket < at, number) for number, (at, _) in enumerate(shifts)), else_=-1))
    return steps


def _ahead(moment: ColumnElement[datetime], shifts: Sequence[tuple[datetime, timedelta]]) -> Any:
    """By how many seconds local time is ahead of UTC: by each of `shifts` up to its moment."""
    *before, (_, last) = shifts
    seconds = int(last.total_seconds())
    if not before:
        return seconds
    return case(*((moment < at, int(ahead.total_seconds())) for at, ahead in before), else_=seconds)
