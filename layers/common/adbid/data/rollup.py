"""What `performance` adds up to, quarter hour by quarter hour, for whoever asks about more than a few cells.

A row of `performance_rollup` is one quarter hour and currency of a slot, brand and partner; "" there stands
for all of them. Of the eight combinations, those in `_KEPT` are kept: the other two (a slot's, a slot's with
one brand) are the sums over the slot's partners, few as they are. The rows are added to in the transaction
that adds to `performance`, by the same amounts, so that corrections, reversals and repeats leave both alike.

Quarter hours, because the hours and days of every time zone are made of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects import mysql, sqlite

from adbid.data import sealing
from adbid.data.database import Database, upsert
from adbid.data.tables import ALL as ALL
from adbid.data.tables import brand, performance, performance_day, performance_rollup
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES
from adbid.domain.errors import Unavailable
from adbid.domain.events import Cell, Totals, plus

ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Scope = tuple[str, str, str]
"""(slot, brand, partner), each an id or `ALL`."""

_Key = tuple[str, str, str, datetime, str]  # a scope, the quarter hour, the currency

IDS = ("slot_id", "brand_id", "partner_id")
_KEPT = (
    ("slot_id", "brand_id", "partner_id"),
    ("slot_id", "partner_id"),
    ("brand_id", "partner_id"),
    ("brand_id",),
    ("partner_id",),
    (),
)
_COLUMNS = (*IDS, "bucket_start", "currency", *MEASURES)

_ROW = performance_rollup.c


def add(connection: Connection, gains: Mapping[Cell, Totals], currencies: Mapping[str, str]) -> None:
    """Add what the totals gained. `currencies` by brand. Raises DataError for what no sum can hold."""
    finest: dict[_Key, Totals] = {}
    for cell, gain in gains.items():
        key = (cell.slot_id, cell.brand_id, cell.partner_id, cell.bucket_start, currencies[cell.brand_id])
        _gain(finest, key, gain)
    # Each from the coarsest that has it all: far fewer additions than from the cells.
    slots, pairs = _without(finest, "brand_id"), _without(finest, "slot_id")
    brands, partners = _without(pairs, "partner_id"), _without(pairs, "brand_id")
    sums = {**finest, **slots, **pairs, **brands, **partners, **_without(partners, "partner_id")}
    rows = [dict(zip(_COLUMNS, (*key, *totals), strict=True)) for key, totals in sums.items()]
    upsert(connection, performance_rollup, rows, add=MEASURES)


def repair(database: Database, since: datetime, until: datetime) -> int:
    """Make the rows of [since, until) what `performance` adds up to, whatever they were, and then those of
    its sealed days; how many were wrong.

    For events that were counted by code which knew nothing of the rollup. Each statement adds the difference
    that one snapshot shows, so that what is counted meanwhile is kept. Raises Unavailable while another
    repair runs: both would add the same.
    """
    mended = 0
    with database.engine.connect() as connection:
        connection.execution_options(adbid_writes=True)
        server = connection.dialect.name != "sqlite"  # there writers are alone
        if server and connection.scalar(select(func.get_lock(lock_name(database), 0))) != 1:
            raise Unavailable("repair_running", "Another process is repairing the rollup.")
        connection.commit()
        try:
            for kept in _KEPT:
                with connection.begin():
                    mended += _add_difference(connection, kept, since, until)
            mended += sealing.repair(connection, since, until)
        finally:
            if server:
                connection.scalar(select(func.release_lock(lock_name(database))))
                connection.commit()
    return mended


def lock_name(database: Database) -> str:
    """Of the lock that a repair of this database holds; such locks are the whole server's."""
    return f"adbid_rollup {database.engine.url.database}"[:64]


def _add_difference(connection: Connection, kept: Sequence[str], since: datetime, until: datetime) -> int:
    difference = _difference(kept, since, until)
    wrong = connection.scalar(select(func.count()).select_from(difference.subquery()))
    if wrong and connection.dialect.name == "sqlite":
        plain = sqlite.insert(performance_rollup).from_select(_COLUMNS, difference)
        more = {name: _ROW[name] + plain.excluded[name] for name in MEASURES}
        connection.execute(plain.on_conflict_do_update(index_elements=_COLUMNS[:5], set_=more))
    elif wrong:
        into = mysql.insert(performance_rollup).from_select(_COLUMNS, difference)
        more = {name: _ROW[name] + into.inserted[name] for name in MEASURES}
        connection.execute(into.on_duplicate_key_update(more))
    return wrong or 0


def _difference(kept: Sequence[str], since: datetime, until: datetime) -> Select[Any]:
    """What is missing of one combination's rows (negative: too much), where anything is."""
    row = performance.c
    within = (row.bucket_start >= since, row.bucket_start < until)
    ids = [row[name] if name in kept else literal(ALL).label(name) for name in IDS]
    keys = [*(row[name] for name in kept), row.bucket_start, brand.c.currency]
    happened = (
        select(
            *ids, row.bucket_start, brand.c.currency, *(func.sum(row[name]).label(name) for name in MEASURES)
        )
        .join_from(performance, brand, brand.c.id == row.brand_id)
        .where(*within)
        .group_by(*keys)
    )
    same = [(_ROW[name] != ALL) if name in kept else (_ROW[name] == ALL) for name in IDS]
    stored = select(*(_ROW[name] for name in _COLUMNS[:5]), *((-_ROW[name]).label(name) for name in MEASURES))
    stored = stored.where(*same, _ROW.bucket_start >= since, _ROW.bucket_start < until)
    both = union_all(happened, stored).subquery()
    sums = [func.sum(both.c[name]) for name in MEASURES]
    every = [both.c[name] for name in _COLUMNS[:5]]
    return select(*every, *sums).group_by(*every).having(or_(*(one != 0 for one in sums)))


def rows_of(
    connection: Connection, slot_id: str | None, brands: Iterable[str] | None, partners: Iterable[str] | None
) -> ColumnElement[bool]:
    """The rows that add up to what happened in a slot, to one of `brands` and with one of `partners`; None is
    any. No quarter hour of any of them is in two of these rows."""
    if slot_id is not None and partners is None:
        partners = _partners_of(connection, slot_id)
    return (_ROW.slot_id == (slot_id or ALL)) & _is(_ROW.brand_id, brands) & _is(_ROW.partner_id, partners)


def days_of(brands: Iterable[str] | None, partners: Iterable[str] | None) -> ColumnElement[bool]:
    """The rows of `performance_day` that add up to the same, in any slot."""
    row = performance_day.c
    no_context = and_(row.by_context == 0, *(row[name] == "" for name in CONTEXT_DIMENSIONS))
    return no_context & (row.slot_id == ALL) & _is(row.brand_id, brands) & _is(row.partner_id, partners)


def _is(column: ColumnElement[str], ids: Iterable[str] | None) -> ColumnElement[bool]:
    return column == ALL if ids is None else column.in_(sorted(ids))


def _partners_of(connection: Connection, slot_id: str) -> list[str]:
    """Who ever had anything in a slot: the index is skipped through, not read."""
    query = select(_ROW.partner_id).where(_ROW.slot_id == slot_id, _ROW.brand_id == ALL).distinct()
    return list(connection.scalars(query))


def _without(sums: Mapping[_Key, Totals], name: str) -> dict[_Key, Totals]:
    """`sums` over all ids of that name."""
    place = IDS.index(name)
    found: dict[_Key, Totals] = {}
    for key, totals in sums.items():
        scope = [*key[:3]]
        scope[place] = ALL
        _gain(found, (scope[0], scope[1], scope[2], key[3], key[4]), totals)
    return found


def _gain(sums: dict[_Key, Totals], key: _Key, more: Totals) -> None:
    known = sums.get(key)
    sums[key] = more if known is None else plus(known, more)
