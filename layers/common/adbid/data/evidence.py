"""What was known of a bid's cells at some moment, without Redis: decayed sums made by the database."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Table,
    bindparam,
    func,
    literal,
    select,
    text,
    tuple_,
    type_coerce,
    union_all,
)

from adbid.data import sealed_days
from adbid.data.rollup import ALL, Scope
from adbid.data.sealed_days import Span
from adbid.data.tables import DECAYED, brand, performance, performance_day, performance_rollup
from adbid.data.types import Money, Real
from adbid.domain.context import CONTEXT_DIMENSIONS, FIRST_CONTEXT_LEVEL, LEVELS, chain, market, parts
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, age_days, quarter_hour, weights
from adbid.domain.money import MICROS

Array = NDArray[np.float64]

Path = tuple[str, str, str, str, tuple[str, ...]]
"""(market, brand, partner, slot, context values) of a bid: what names its cells."""

HORIZON = timedelta(days=40 * max(HALF_LIVES_DAYS))
"""Older rows aren't read: 40 of the longest half-life leave less than 1e-12 of an event."""

_VERTICAL = LEVELS.index("vertical")
_WIDTH = len(HALF_LIVES_DAYS) * len(MEASURES)
_NAMES = ("slot_id", "brand_id", "partner_id")
_DAY_SECONDS = 86_400.0
_EVERY = 2**62
_BY_PLACE = "ix_performance_place"
_DAYS = performance_day


def evidence_before(connection: Connection, paths: Sequence[Path], at: datetime) -> Array:
    """What was known of each path before `at`, from the quarter hours that end by then: [n, L, H, M].

    The same numbers as the sums in Redis have at that moment, by one query (and another, for how far whole
    days are added up). Down to the slot it reads those days and the rollup; of the contexts below, the days'
    and the rows of the slots and brands in question.
    """
    if not paths:
        return np.zeros((0, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    until = quarter_hour(at)
    cells: dict[str, int] = {}
    index = [
        -1 if cell is None else cells.setdefault(cell, len(cells)) for path in paths for cell in chain(*path)
    ]
    sums = np.zeros((len(cells) + 1, _WIDTH))  # the last row: skipped levels
    span = sealed_days.span(connection, until - HORIZON, until)
    rows = connection.execute(_query(connection, paths, span))
    for kind, currency, vertical, slot, brand_id, partner, *rest in rows:
        context = tuple(rest[: len(CONTEXT_DIMENSIONS)])
        numbers = np.array(rest[len(CONTEXT_DIMENSIONS) :], dtype=np.float64)
        if kind == "market":
            found = chain(market(currency, vertical), "", "", "", ())[_VERTICAL : _VERTICAL + 1]
        elif kind == "context":
            found = chain("", brand_id, partner, slot, context)[FIRST_CONTEXT_LEVEL:]
        else:
            found = [_cell(currency, slot, brand_id, partner)]
        for cell in found:
            place = None if cell is None else cells.get(cell)
            if place is not None:
                sums[place] += numbers
    # What late events added to a day and took away again may leave a rounding error below nothing.
    evidence = np.maximum(sums, 0.0).reshape(-1, len(HALF_LIVES_DAYS), len(MEASURES)) * _units(connection)
    evidence *= weights(-age_days(until, at))[:, None]
    return evidence[np.array(index, dtype=np.intp).reshape(len(paths), len(LEVELS))]


def _cell(currency: str, slot: str, brand_id: str, partner: str) -> str | None:
    level = (
        "global" if brand_id == ALL else "brand" if partner == ALL else "partner" if slot == ALL else "slot"
    )
    return chain(market(currency, ""), brand_id, partner, slot, ())[LEVELS.index(level)]


def _query(connection: Connection, paths: Sequence[Path], span: Span) -> CompoundSelect[Any]:
    """Rows of (kind, currency, vertical, slot, brand, partner, context…, a sum per half-life and measure)."""
    markets = {parts(path[0]) for path in paths if path[0]}
    scopes: set[Scope] = {(ALL, ALL, ALL)}
    places: set[Scope] = set()
    devices: set[str] = set()
    for _, brand_id, partner, slot, context in paths:
        scopes |= {(ALL, brand_id, ALL), (ALL, brand_id, partner), (slot, brand_id, partner)}
        if any(context):
            places.add((slot, brand_id, partner))
            devices.add(context[0])
    currencies = {currency for currency, _ in markets}
    queries = []
    for by_days in (False, True) if span.days else (False,):
        above, below = (_DAYS, _DAYS) if by_days else (performance_rollup, performance)
        queries.append(_of_scopes(connection, above, scopes, currencies, span))
        if markets:
            queries.append(_of_markets(connection, above, markets, span))
        if places:
            queries.append(_of_contexts(connection, below, places, devices, span))
    return union_all(*queries)


def _of_scopes(
    connection: Connection, table: Table, scopes: set[Scope], currencies: set[str], span: Span
) -> Select[Any]:
    """Of everything only what is in `currencies`; a brand's has one."""
    row = table.c
    names = [row[name] for name in _NAMES]
    rows = select(row.currency, *names).where(
        tuple_(*names).in_(sorted(scopes)), (row.brand_id != ALL) | row.currency.in_(sorted(currencies))
    )
    found, sums = _decayed(connection, rows, table, span, by_context=0)
    ids = [found[name] for name in _NAMES]
    query = select(literal("ids"), found.currency, literal(""), *ids, *_no_context(), *sums)
    return query.group_by(found.currency, *ids)


def _of_markets(
    connection: Connection, table: Table, markets: set[tuple[str, str]], span: Span
) -> Select[Any]:
    row = table.c
    rows = (
        select(brand.c.currency, brand.c.vertical)
        .join_from(brand, table, row.brand_id == brand.c.id)
        .where(
            tuple_(brand.c.currency, brand.c.vertical).in_(sorted(markets)),
            row.slot_id == ALL,
            row.partner_id == ALL,
        )
    )
    found, sums = _decayed(connection, rows, table, span, by_context=0)
    nothing = [literal("") for _ in _NAMES]
    query = select(literal("market"), found.currency, found.vertical, *nothing, *_no_context(), *sums)
    return query.group_by(found.currency, found.vertical)


def _of_contexts(
    connection: Connection, table: Table, places: set[Scope], devices: set[str], span: Span
) -> Select[Any]:
    """Every cell below a slot's has the bid's own device type, or none where the bid says none."""
    row = table.c
    names = [row[name] for name in _NAMES]
    rows = select(*names, *(row[name] for name in CONTEXT_DIMENSIONS)).where(
        tuple_(*names).in_(sorted(places)), row[CONTEXT_DIMENSIONS[0]].in_(sorted(devices))
    )
    if table is performance:
        # By guesses of its own, MySQL would now and then rather read everything.
        rows = rows.with_hint(performance, f"FORCE INDEX ({_BY_PLACE})", "mysql")
    found, sums = _decayed(connection, rows, table, span, by_context=1)
    ids = [found[name] for name in (*_NAMES, *CONTEXT_DIMENSIONS)]
    return select(literal("context"), literal(""), literal(""), *ids, *sums).group_by(*ids)


def _no_context() -> list[ColumnElement[str]]:
    return [literal("") for _ in CONTEXT_DIMENSIONS]


def _decayed(
    connection: Connection, rows: Select[Any], table: Table, span: Span, *, by_context: int
) -> tuple[Any, list[ColumnElement[float]]]:
    """The columns of `rows`, and every measure's sum at every half-life, each quarter hour (or day, whose
    quarter hours are weighed within it) weighed by its age at the end of `span`."""
    days = table is _DAYS
    start: ColumnElement[Any] = table.c.day if days else table.c.bucket_start
    now: ColumnElement[datetime] = bindparam(None, span.until, performance.c.bucket_start.type)
    if connection.dialect.name == "sqlite":
        seconds = func.strftime("%s", start, type_=Real) - func.strftime("%s", now, type_=Real)
    else:
        seconds = func.timestampdiff(text("SECOND"), now, start, type_=Real)
    weights_ = [
        func.pow(2.0, seconds / (_DAY_SECONDS * half_life), type_=Real).label(f"weight_{place}")
        for place, half_life in enumerate(HALF_LIVES_DAYS)
    ]
    names = DECAYED if days else MEASURES * len(HALF_LIVES_DAYS)
    measures = [type_coerce(table.c[name], Real).label(name) for name in dict.fromkeys(names)]
    within = [span.whole(), _DAYS.c.by_context == by_context] if days else [span.rest(start)]
    if days and not by_context:
        within += [table.c[name] == "" for name in CONTEXT_DIMENSIONS]
    # The limit makes the database keep the weights of a row instead of working them out for every sum.
    found = rows.add_columns(*measures, *weights_).where(*within).limit(_EVERY).subquery().c
    weighed = zip(names, (weight for weight in weights_ for _ in MEASURES), strict=True)
    return found, [func.sum(found[name] * found[weight.name], type_=Real) for name, weight in weighed]


def _units(connection: Connection) -> Array:
    """What one of each measure is as the database keeps it: SQLite has whole micros."""
    micros = connection.dialect.name == "sqlite"
    return np.array(
        [1 / MICROS if micros and isinstance(performance.c[name].type, Money) else 1.0 for name in MEASURES]
    )
