"""What happened, as exact sums: from the rollup, and from `performance` where a context is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Integer, Select, case, cast, func, select

from adbid.data.rollup import rows_of
from adbid.data.tables import performance, performance_rollup
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES
from adbid.domain.reporting import Granularity, Slice, offsets

Place = tuple[str, str, str, tuple[str, ...]]
"""(brand, partner, slot, context values) of a bid."""

Ids = frozenset[str] | None
"""Of brands or of partners; None is all of them."""

_ROW = performance.c
_SUM = performance_rollup.c
_BEFORE_PLUS = 8  # as SQLAlchemy ranks a division
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
    counts = connection.execute(observed_query(place, since, until)).one()
    impressions, clicks, conversions = (int(number or 0) for number in counts[:3])
    cost, revenue = (amount or Decimal(0) for amount in counts[3:])
    return Totals(impressions, clicks, conversions, cost, revenue)


def observed_query(place: Place, since: datetime, until: datetime) -> Select[Any]:
    """The query of `observed`."""
    brand_id, partner_id, slot_id, context = place
    named = {name: value for name, value in zip(CONTEXT_DIMENSIONS, context, strict=True) if value}
    row = (performance if named else performance_rollup).c
    return select(*(func.sum(row[name]) for name in MEASURES)).where(
        row.slot_id == slot_id,
        row.brand_id == brand_id,
        row.partner_id == partner_id,
        row.bucket_start >= since,
        row.bucket_start < until,
        *(row[name] == value for name, value in named.items()),
    )


@dataclass(frozen=True)
class Scope:
    """What a report covers: all of `brands` and of `partners` (None: of any), within the ids named."""

    brands: Ids = None
    partners: Ids = None
    brand_id: str | None = None
    partner_id: str | None = None
    slot_id: str | None = None

    def parts(self) -> list[tuple[int, Ids, Ids]]:
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
    found = []
    for sign, brands, partners in scope.parts():
        rows = rows_of(connection, scope.slot_id, brands, partners)
        query = slices_query(connection.dialect.name, rows, since, until, granularity, zone)
        for at, currency, impressions, cost, revenue in connection.execute(query):
            found.append(Slice(at, currency, sign * int(impressions), sign * cost, sign * revenue))
    return found


def slices_query(
    dialect: str,
    rows: ColumnElement[bool],
    since: datetime,
    until: datetime,
    granularity: Granularity,
    zone: ZoneInfo,
) -> Select[Any]:
    """The query of `slices` over those `rows` of the rollup: the database gathers the local hours or days."""
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
    sums = (func.sum(_SUM.impressions), func.sum(_SUM.cost), func.sum(_SUM.revenue))
    return (
        select(func.min(bucket), _SUM.currency, *sums)
        .where(rows, bucket >= since, bucket < until)
        .group_by(*steps, _SUM.currency)
    )


def _ahead(moment: ColumnElement[datetime], shifts: Sequence[tuple[datetime, timedelta]]) -> Any:
    """By how many seconds local time is ahead of UTC: by each of `shifts` up to its moment."""
    *before, (_, last) = shifts
    seconds = int(last.total_seconds())
    if not before:
        return seconds
    return case(*((moment < at, int(ahead.total_seconds())) for at, ahead in before), else_=seconds)
