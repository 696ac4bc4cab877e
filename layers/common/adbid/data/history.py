"""What happened, read from `performance`: in a stream, as evidence at a past moment, and as exact sums."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    extract,
    false,
    func,
    literal,
    or_,
    select,
    union_all,
)

from adbid.data.tables import brand, performance
from adbid.domain.context import CONTEXT_DIMENSIONS, LEVELS, chain
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, age_days, quarter_hour, weights
from adbid.domain.reporting import Slice

Array = NDArray[np.float64]

Place = tuple[str, str, str, tuple[str, ...]]
"""(brand, partner, slot, context values) of a bid."""

Path = tuple[str, str, str, str, tuple[str, ...]]
"""(vertical, brand, partner, slot, context values) of a bid: what names its cells."""

HORIZON = timedelta(days=40 * max(HALF_LIVES_DAYS))
"""Older rows aren't read: 40 of the longest half-life leave less than 1e-12 of an event."""

_ROWS_PER_PAGE = 10_000

_ROW = performance.c
_MEASURES = tuple(_ROW[name] for name in MEASURES)
_CONTEXT = tuple(_ROW[name] for name in CONTEXT_DIMENSIONS)
_VERTICAL = func.coalesce(brand.c.vertical, "")
_PATH = (_VERTICAL, _ROW.brand_id, _ROW.partner_id, _ROW.slot_id, *_CONTEXT)
_JOINED = performance.outerjoin(brand, brand.c.id == _ROW.brand_id)


@dataclass(frozen=True)
class Chunk:
    """Rows of `performance` in columns. `paths` are (vertical, brand, partner, slot, context values…), flat;
    `measures` is [rows, `decay.MEASURES`]."""

    bucket_start: list[datetime]
    paths: list[tuple[str, ...]]
    measures: Array


def stream(connection: Connection, since: datetime, until: datetime) -> Iterator[Chunk]:
    """The rows of [since, until) by primary key, page by page, each with its brand's vertical."""
    query = (
        select(_ROW.bucket_start, _ROW.cell_hash, *_PATH, *_MEASURES)
        .select_from(_JOINED)
        .where(_ROW.bucket_start < until)
        .order_by(_ROW.bucket_start, _ROW.cell_hash)
        .limit(_ROWS_PER_PAGE)
    )
    last = 2 + len(_PATH)
    page = query.where(_ROW.bucket_start >= since)
    while True:
        rows = connection.execute(page).all()
        if rows:
            yield Chunk(
                [row[0] for row in rows],
                [tuple(row[2:last]) for row in rows],
                np.array([row[last:] for row in rows], dtype=np.float64),
            )
        if len(rows) < _ROWS_PER_PAGE:
            return
        start, cell = rows[-1][:2]
        after = or_(_ROW.bucket_start > start, _ROW.cell_hash > cell)
        page = query.where(_ROW.bucket_start >= start, after)


def cells_of(path: tuple[str, ...]) -> list[str | None]:
    """The cells of one of `Chunk.paths`, as `context.chain` names them."""
    vertical, brand_id, partner_id, slot_id, *context = path
    return chain(vertical, brand_id, partner_id, slot_id, tuple(context))


def decayed_sums(groups: Sequence[int] | NDArray[np.intp], count: int, ages: Array, measures: Array) -> Array:
    """[count, H, M]: the rows' measures weighed by 2^(ages / half-life) and summed by group.

    `groups` numbers each row's group below `count`; `ages` are days, as `decay.weights` takes them.
    """
    weighed = weights(ages)
    sums = np.empty((count, len(HALF_LIVES_DAYS), len(MEASURES)))
    for tempo in range(len(HALF_LIVES_DAYS)):
        for measure in range(len(MEASURES)):
            values = weighed[:, tempo] * measures[:, measure]
            sums[:, tempo, measure] = np.bincount(groups, values, count)
    return sums


def evidence_before(connection: Connection, paths: Sequence[Path], at: datetime) -> Array:
    """What was known of each path before `at`, from the quarter hours that end by then: [n, L, H, M].

    The same numbers as the sums in Redis have at that moment, by one query: the rows of the brands in
    question one by one, all others added up per quarter hour and vertical. It passes over every row within
    HORIZON, because the coarsest cells are made of all of them.
    """
    cells: dict[str, int] = {}
    index = [
        -1 if cell is None else cells.setdefault(cell, len(cells)) for path in paths for cell in chain(*path)
    ]
    groups: dict[tuple[int, ...], int] = {}  # the cells asked for that a row lies in, numbered
    known: dict[tuple[str, ...], int] = {}  # each path's group

    def group(path: tuple[str, ...]) -> int:
        number = known.get(path)
        if number is None:
            touched = tuple([cells[cell] for cell in cells_of(path) if cell in cells])
            number = known[path] = groups.setdefault(touched, len(groups))
        return number

    sums = np.zeros((0, len(HALF_LIVES_DAYS), len(MEASURES)))
    last = 1 + len(_PATH)
    query = _of_brands(sorted({path[1] for path in paths}), at - HORIZON, quarter_hour(at))
    for rows in connection.execution_options(yield_per=_ROWS_PER_PAGE).execute(query).partitions():
        numbers = [group(tuple(row[1:last])) for row in rows]
        ages = np.array([-age_days(row[0], at) for row in rows])
        gained = decayed_sums(
            numbers, len(groups), ages, np.array([row[last:] for row in rows], dtype=np.float64)
        )
        gained[: len(sums)] += sums
        sums = gained
    evidence = np.zeros((len(cells) + 1, len(HALF_LIVES_DAYS), len(MEASURES)))  # the last row: skipped levels
    for touched, number in groups.items():
        evidence[list(touched)] += sums[number]
    return evidence[np.array(index, dtype=np.intp).reshape(len(paths), len(LEVELS))]


def _of_brands(brands: Sequence[str], since: datetime, until: datetime) -> CompoundSelect[Any]:
    """Quarter hours, paths and measures: every row of `brands`, and one per quarter hour and vertical that
    adds up the other brands, with "" for their ids."""
    bucket = _ROW.bucket_start
    within = (bucket >= since, bucket < until)
    others = (
        select(bucket, _VERTICAL, *(literal("") for _ in _PATH[1:]), *map(func.sum, _MEASURES))
        .select_from(_JOINED)
        .where(*within, _ROW.brand_id.not_in(brands))
        .group_by(bucket, brand.c.vertical)
    )
    asked = select(bucket, *_PATH, *_MEASURES).select_from(_JOINED).where(*within, _ROW.brand_id.in_(brands))
    return union_all(others, asked)


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
    brand_id, partner_id, slot_id, context = place
    query = select(*map(func.sum, _MEASURES)).where(
        _ROW.slot_id == slot_id,
        _ROW.brand_id == brand_id,
        _ROW.bucket_start >= since,
        _ROW.bucket_start < until,
        _ROW.partner_id == partner_id,
        *(column == value for column, value in zip(_CONTEXT, context, strict=True) if value),
    )
    counts = connection.execute(query).one()
    impressions, clicks, conversions = (int(number or 0) for number in counts[:3])
    cost, revenue = (amount or Decimal(0) for amount in counts[3:])
    return Totals(impressions, clicks, conversions, cost, revenue)


@dataclass(frozen=True)
class Scope:
    """Which rows a report covers: those of `brands` or `partners` (None: of all), and of the ids named."""

    brands: frozenset[str] | None = None
    partners: frozenset[str] | None = None
    brand_id: str | None = None
    partner_id: str | None = None
    slot_id: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        named = {"brand_id": self.brand_id, "partner_id": self.partner_id, "slot_id": self.slot_id}
        conditions = [_ROW[column] == value for column, value in named.items() if value is not None]
        if self.brands is not None and self.partners is not None:
            visible = [_ROW.brand_id.in_(sorted(self.brands))] if self.brands else []
            visible += [_ROW.partner_id.in_(sorted(self.partners))] if self.partners else []
            conditions.append(or_(false(), *visible))
        return conditions


def slices(
    connection: Connection, scope: Scope, since: datetime, until: datetime, *, quarters: bool
) -> list[Slice]:
    """What happened in [since, until) within `scope`, per UTC hour and currency; per quarter hour with
    `quarters`, for time zones whose hours start within UTC's."""
    bucket = _ROW.bucket_start
    step = (bucket,) if quarters else (func.date(bucket), extract("hour", bucket))
    sums = (func.sum(_ROW.impressions), func.sum(_ROW.cost), func.sum(_ROW.revenue))
    query = (
        select(func.min(bucket), brand.c.currency, *sums)
        .join_from(performance, brand, brand.c.id == _ROW.brand_id)
        .where(bucket >= since, bucket < until, *scope.conditions())
        .group_by(*step, brand.c.currency)
    )
    return [
        Slice(start, currency, int(impressions), cost, revenue)
        for start, currency, impressions, cost, revenue in connection.execute(query)
    ]
