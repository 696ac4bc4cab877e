"""The events that were accepted, and the totals they add up to."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, or_, select, tuple_

from adbid.data.database import insert_many, upsert
from adbid.data.tables import ad_slot, brand, partner, performance, performance_event
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES
from adbid.domain.events import Amounts, Cell, Event, Key, Record, Totals

KEPT = timedelta(days=400)
"""How long an event is kept after it was received: over a year, so that any month's report can still be
corrected in the year after. As long it can be adjusted, and sent again without being counted again."""

_KEYS_PER_QUERY = 500  # keeps IN lists ranges on every server, and SQLite's expressions shallow
_SEPARATOR = "\x1f"

_ONE_PARTNER = (performance_event.c.partner_id == bindparam("partner")) & performance_event.c.event_id.in_(
    bindparam("ids", expanding=True)
)
_HASHES = select(performance_event.c.partner_id, performance_event.c.event_id, performance_event.c.body_hash)
_RECORDS = select(performance_event).with_for_update()


def body_hashes(connection: Connection, keys: Collection[Key]) -> dict[Key, bytes]:
    """The body hashes of the events among `keys` that were accepted before."""
    return {(row[0], row[1]): row[2] for row in _rows(connection, _HASHES, keys)}


def lock(connection: Connection, keys: Collection[Key]) -> dict[Key, Record]:
    """The records of the events among `keys` that exist; nobody changes them until the transaction ends."""
    found = [_record(row._mapping) for row in _rows(connection, _RECORDS, keys)]
    return {record.event.key: record for record in found}


def add(connection: Connection, records: Iterable[Record], received_at: datetime) -> None:
    """Insert new events. Raises IntegrityError when one of them was accepted meanwhile."""
    # In key order, so that two batches which meet wait for each other instead of deadlocking.
    ordered = sorted(records, key=lambda record: record.event.key)
    if ordered:
        insert_many(connection, performance_event, [_row(record, received_at) for record in ordered])


def update(connection: Connection, records: Iterable[Record], received_at: datetime) -> None:
    """Store what locked events count from now on."""
    rows = [_row(record, received_at) for record in records]
    counts = ("current_count", "current_cost", "current_revenue", "state", "budget_day")
    upsert(connection, performance_event, rows, replace=counts)


def add_totals(connection: Connection, gains: Mapping[Cell, Totals]) -> None:
    """Add to the totals of each cell."""
    rows = [_total(cell, totals) for cell, totals in gains.items()]
    upsert(connection, performance, rows, add=MEASURES)


def hold(
    connection: Connection, brands: Iterable[str], partners: Iterable[str], slots: Iterable[str]
) -> None:
    """Nobody changes or deletes these brands, partners and slots until the transaction ends.

    Shared locks, so that batches don't wait for each other; SQLite's writers are alone anyhow.
    """
    for table, ids in ((brand, brands), (partner, partners), (ad_slot, slots)):
        query = select(table.c.id).where(table.c.id.in_(bindparam("ids", expanding=True)))
        if wanted := sorted(set(ids)):
            in_key_order = query.order_by(table.c.id).with_for_update(read=True)
            connection.execute(in_key_order, {"ids": wanted}).all()


def purge(connection: Connection, now: datetime, limit: int) -> int:
    """Forget up to `limit` events that were received longer than `KEPT` ago; how many it were: less than
    `limit` when none is left. Their totals and days stay; their ids are free, and nothing can adjust them.
    """
    event = performance_event.c
    old = event.received_at < now - KEPT
    query = select(event.partner_id, event.event_id).where(old).order_by(event.received_at).limit(limit)
    keys = sorted((row[0], row[1]) for row in connection.execute(query))
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        some = tuple_(event.partner_id, event.event_id).in_(keys[start : start + _KEYS_PER_QUERY])
        connection.execute(delete(performance_event).where(some))
    return len(keys)


def cell_hash(cell: Cell) -> bytes:
    """16 bytes that stand for everything a cell is about, except its quarter hour."""
    fields = (cell.brand_id, cell.partner_id, cell.slot_id, *cell.context, cell.pricing_model)
    return blake2b(_SEPARATOR.join(fields).encode(), digest_size=16).digest()


def _rows(connection: Connection, query: Any, keys: Collection[Key]) -> Iterator[Any]:
    ordered = iter(sorted(set(keys)))
    while some := list(islice(ordered, _KEYS_PER_QUERY)):
        partners: dict[str, list[str]] = {}
        for partner_id, event in some:
            partners.setdefault(partner_id, []).append(event)
        if len(partners) == 1:  # nearly always; one statement that SQLAlchemy compiles once
            ((partner_id, ids),) = partners.items()
            yield from connection.execute(query.where(_ONE_PARTNER), {"partner": partner_id, "ids": ids})
        else:
            yield from connection.execute(query.where(or_(*[_of(*pair) for pair in partners.items()])))


def _of(partner_id: str, ids: list[str]) -> ColumnElement[bool]:
    return and_(performance_event.c.partner_id == partner_id, performance_event.c.event_id.in_(ids))


def _row(record: Record, received_at: datetime) -> dict[str, Any]:
    event, sent, current = record.event, record.sent, record.current
    return {
        "partner_id": event.partner_id,
        "event_id": event.event_id,
        "event_type": event.type,
        "event_time": event.event_time,
        "received_at": received_at,
        "brand_id": event.brand_id,
        "slot_id": event.slot_id,
        **dict(zip(CONTEXT_DIMENSIONS, event.context, strict=True)),
        "pricing_model": event.pricing_model,
        "currency": event.currency,
        "decision_id": event.decision_id,
        "bid_id": event.bid_id,
        "adjusts_event_id": event.adjusts_event_id,
        "event_count": sent.count,
        "cost": sent.cost,
        "revenue": sent.revenue,
        "current_count": current.count,
        "current_cost": current.cost,
        "current_revenue": current.revenue,
        "state": record.state,
        "body_hash": record.body_hash,
        "budget_day": record.budget_day,
    }


def _record(row: Mapping[Any, Any]) -> Record:
    sent = Amounts(row["event_count"], row["cost"], row["revenue"])
    event = Event(
        partner_id=row["partner_id"],
        event_id=row["event_id"],
        type=row["event_type"],
        event_time=row["event_time"],
        brand_id=row["brand_id"],
        slot_id=row["slot_id"],
        context=tuple([row[dimension] for dimension in CONTEXT_DIMENSIONS]),
        pricing_model=row["pricing_model"],
        currency=row["currency"],
        decision_id=row["decision_id"],
        bid_id=row["bid_id"],
        adjusts_event_id=row["adjusts_event_id"],
        count=sent.count,
        cost=sent.cost,
        revenue=sent.revenue,
    )
    current = Amounts(row["current_count"], row["current_cost"], row["current_revenue"])
    return Record(event, row["body_hash"], sent, current, row["state"], row["budget_day"])


def _total(cell: Cell, totals: tuple[int | Decimal, ...]) -> dict[str, Any]:
    return {
        "bucket_start": cell.bucket_start,
        "cell_hash": cell_hash(cell),
        "brand_id": cell.brand_id,
        "partner_id": cell.partner_id,
        "slot_id": cell.slot_id,
        **dict(zip(CONTEXT_DIMENSIONS, cell.context, strict=True)),
        "pricing_model": cell.pricing_model,
        **dict(zip(MEASURES, totals, strict=True)),
    }
