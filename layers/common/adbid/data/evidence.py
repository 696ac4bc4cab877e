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
    bindparam,
    func,
    literal,
    select,
    text,
    tuple_,
    type_coerce,
    union_all,
)

from adbid.data.rollup import ALL, Scope
from adbid.data.tables import brand, performance, performance_rollup
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


def evidence_before(connection: Connection, paths: Sequence[Path], at: datetime) -> Array:
    """What was known of each path before `at`, from the quarter hours that end by then: [n, L, H, M].

    The same numbers as the sums in Redis have at that moment, by one query. Down to the slot it reads the
    rollup; of the contexts below, the rows of the slots and brands in question.
    """
    if not paths:
        return np.zeros((0, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    until = quarter_hour(at)
    cells: dict[str, int] = {}
    index = [
        -1 if cell is None else cells.setdefault(cell, len(cells)) for path in paths for cell in chain(*path)
    ]
    sums = np.zeros((len(cells) + 1, _WIDTH))  # the last row: skipped levels
    rows = connection.execute(_query(connection, paths, until))
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
    evidence = sums.reshape(-1, len(HALF_LIVES_DAYS), len(MEASURES)) * _units(connection)
    evidence *= weights(-age_days(until, at))[:, None]
    return evidence[np.array(index, dtype=np.intp).reshape(len(paths), len(LEVELS))]


def _cell(currency: str, slot: str, brand_id: str, partner: str) -> str | None:
    level = (
        "global" if brand_id == ALL else "brand" if partner == ALL else "partner" if slot == ALL else "slot"
    )
    return chain(market(currency, ""), brand_id, partner, slot, ())[LEVELS.index(level)]


def _query(connection: Connection, paths: Sequence[Path], until: datetime) -> CompoundSelect[Any]:
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
    queries = [_of_scopes(connection, scopes, {currency for currency, _ in markets}, until)]
    if markets:
        queries.append(_of_markets(connection, markets, until))
    if places:
        queries.append(_of_contexts(connection, places, devices, until))
    return union_all(*queries)


def _of_scopes(
    connection: Connection, scopes: set[Scope], currencies: set[str], until: datetime
) -> Select[Any]:
    """Of everything only what is in `currencies`; a brand's has one."""
    row = performance_rollup.c
    names = [row[name] for name in _NAMES]
    rows = select(row.currency, *names).where(
        tuple_(*names).in_(sorted(scopes)), (row.brand_id != ALL) | row.currency.in_(sorted(currencies))
    )
    found, sums = _decayed(connection, rows, row, until)
    ids = [found[name] for name in _NAMES]
    query = select(literal("ids"), found.currency, literal(""), *ids, *_no_context(), *sums)
    return query.group_by(found.currency, *ids)


def _of_markets(connection: Connection, markets: set[tuple[str, str]], until: datetime) -> Select[Any]:
    row = performance_rollup.c
    rows = (
        select(brand.c.currency, brand.c.vertical)
        .join_from(brand, performance_rollup, row.brand_id == brand.c.id)
        .where(
            tuple_(brand.c.currency, brand.c.vertical).in_(sorted(markets)),
            row.slot_id == ALL,
            row.partner_id == ALL,
        )
    )
    found, sums = _decayed(connection, rows, row, until)
    nothing = [literal("") for _ in _NAMES]
    query = select(literal("market"), found.currency, found.vertical, *nothing, *_no_context(), *sums)
    return query.group_by(found.currency, found.vertical)


def _of_contexts(
    connection: Connection, places: set[Scope], devices: set[str], until: datetime
) -> Select[Any]:
    """Every cell below a slot's has the bid's own device type, or none where the bid says none."""
    row = performance.c
    names = [row[name] for name in _NAMES]
    rows = select(*names, *(row[name] for name in CONTEXT_DIMENSIONS)).where(
        tuple_(*names).in_(sorted(places)), row[CONTEXT_DIMENSIONS[0]].in_(sorted(devices))
    )
    # By guesses of its own, MySQL would now and then rather read everything.
    rows = rows.with_hint(performance, f"FORCE INDEX ({_BY_PLACE})", "mysql")
    found, sums = _decayed(connection, rows, row, until)
    ids = [found[name] for name in (*_NAMES, *CONTEXT_DIMENSIONS)]
    return select(literal("context"), literal(""), literal(""), *ids, *sums).group_by(*ids)


def _no_context() -> list[ColumnElement[str]]:
    return [literal("") for _ in CONTEXT_DIMENSIONS]


def _decayed(
    connection: Connection, rows: Select[Any], row: Any, until: datetime
) -> tuple[Any, list[ColumnElement[float]]]:
    """The columns of `rows`, and every measure's sum at every half-life, each quarter hour weighed by its age
    at `until`."""
    now: ColumnElement[datetime] = bindparam(None, until, row.bucket_start.type)
    if connection.dialect.name == "sqlite":
        seconds = func.strftime("%s", row.bucket_start, type_=Real) - func.strftime("%s", now, type_=Real)
    else:
        seconds = func.timestampdiff(text("SECOND"), now, row.bucket_start, type_=Real)
    weights_ = [
        func.pow(2.0, seconds / (_DAY_SECONDS * half_life), type_=Real).label(f"weight_{place}")
        for place, half_life in enumerate(HALF_LIVES_DAYS)
    ]
    measures = [type_coerce(row[name], Real).label(name) for name in MEASURES]
    within = row.bucket_start >= until - HORIZON, row.bucket_start < until
    # The limit makes the database keep the weights of a row instead of working them out for every sum.
    found = rows.add_columns(*measures, *weights_).where(*within).limit(_EVERY).subquery().c
    return found, [
        func.sum(found[name] * found[weight.name], type_=Real) for weight in weights_ for name in MEASURES
    ]


def _units(connection: Connection) -> Array:
    """What one of each measure is as the database keeps it: SQLite has whole micros."""
    micros = connection.dialect.name == "sqlite"
    return np.array(
        [1 / MICROS if micros and isinstance(performance.c[name].type, Money) else 1.0 for name in MEASURES]
    )
