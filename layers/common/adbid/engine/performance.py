"""A batch of events in, one result per event out: each counted exactly once, and durable when accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from adbid.data import catalog, events, outbox
from adbid.data.counters import Increment
from adbid.data.database import Database
from adbid.data.outbox import Outbox
from adbid.domain.entities import BrandFeatures, PartnerFeatures, SlotFeatures
from adbid.domain.errors import Invalid
from adbid.domain.events import (
    NOTHING,
    Amounts,
    Cell,
    Event,
    Key,
    Record,
    Totals,
    accept,
    adjust,
    cell_of,
    change,
    check_brand,
    check_slot,
    check_time,
)

_TOTAL_LIMIT = Decimal(1_000_000_000_000)  # what DECIMAL(18,6) holds
_ZERO: Totals = (0, 0, 0, Decimal(0), Decimal(0))
_DRAINED_AT_ONCE = 4  # a sender doesn't wait for long on account of what others left behind


@dataclass(frozen=True, slots=True)
class Result:
    """Of one event: `accepted`, `duplicate`, `conflict`, or `rejected` with a code and a message."""

    event_id: str | None
    status: str
    code: str = ""
    message: str = ""


def rejected(event_id: str | None, why: Invalid) -> Result:
    """The result of an event that can't be counted."""
    return Result(event_id, "rejected", why.code, why.message)


class PerformanceIngest:
    """The use case, over one database and the sums in Redis."""

    def __init__(self, database: Database, outbox_: Outbox) -> None:
        self._database = database
        self._outbox = outbox_

    def ingest(
        self, batch: Sequence[Event | Result], *, visible_partners: frozenset[str] | None, now: datetime
    ) -> list[Result]:
        """One result per item of `batch`, in its order; an item that is a Result already (an event that can't
        be read) stays as it is. `visible_partners` are those the caller may report for, None for all.

        Raises Unavailable when the database can't be reached; then the same batch may be sent again.
        """
        own = [item for item in batch if isinstance(item, Event) and _visible(item, visible_partners)]
        generation = self._outbox.generation() if own else None  # before the commit: see `adbid.data.outbox`
        counted = self._count(own, now) if own else _Counted([], None, [])
        if generation is not None:
            new = [] if counted.delta is None else [(counted.delta, counted.increments)]
            if self._outbox.deliver(generation, new, now) == len(new):
                self._outbox.drain(generation, now, _DRAINED_AT_ONCE)
        known = iter(counted.results)
        return [
            item
            if isinstance(item, Result)
            else next(known)
            if _visible(item, visible_partners)
            else rejected(item.event_id, _unknown_partner(item))
            for item in batch
        ]

    def _count(self, batch: Sequence[Event], now: datetime) -> "_Counted":
        try:
            return self._database.transaction(
                lambda connection: _count(connection, batch, now), retry_integrity=True
            )
        except DataError as error:
            raise _out_of_range() from error


@dataclass(frozen=True, slots=True)
class _Counted:
    """What one transaction did: a result per event, and what is to be added in Redis."""

    results: list[Result]
    delta: int | None
    increments: list[Increment]


class _Batch:
    """The batch as far as it has been gone through: what is known, and what changes."""

    def __init__(
        self,
        hashes: dict[Key, bytes],
        originals: dict[Key, Record],
        brands: dict[str, BrandFeatures],
        partners: dict[str, PartnerFeatures],
        slots: dict[str, SlotFeatures],
    ) -> None:
        self._hashes = hashes
        self._originals = originals
        self._brands = brands
        self._partners = partners
        self._slots = slots
        self.new: dict[Key, Record] = {}
        self.changed: dict[Key, Record] = {}
        self.gains: dict[Cell, Totals] = {}

    def take(self, event: Event, now: datetime) -> Result:
        """Decide on the next event."""
        body_hash = event.body_hash()
        known = self._hashes.get(event.key)
        if known is not None:
            return Result(event.event_id, "duplicate" if known == body_hash else "conflict")
        try:
            if event.partner_id not in self._partners:
                raise _unknown_partner(event)
            check_time(event, now)
            if event.adjusts is None:
                self._take_outcome(event, body_hash)
            else:
                self._take_adjustment(event, event.adjusts, body_hash)
        except Invalid as why:
            return rejected(event.event_id, why)
        self._hashes[event.key] = body_hash
        return Result(event.event_id, "accepted")

    def _take_outcome(self, event: Event, body_hash: bytes) -> None:
        check_brand(event, self._brands.get(event.brand_id))
        check_slot(event, self._slots.get(event.slot_id))
        record = accept(event, body_hash)
        self._gain(event, NOTHING, record.current)
        self.new[event.key] = record

    def _take_adjustment(self, event: Event, adjusts: Key, body_hash: bytes) -> None:
        original = self.new.get(adjusts) or self.changed.get(adjusts) or self._originals.get(adjusts)
        if original is None:
            raise Invalid("unknown_event", f"adjusts_event_id: there is no event {event.adjusts_event_id}")
        after, record = adjust(original, event, body_hash)
        check_brand(event, self._brands.get(original.event.brand_id))
        self._gain(original.event, original.current, after.current)
        (self.new if adjusts in self.new else self.changed)[adjusts] = after
        self.new[event.key] = record

    def _gain(self, outcome: Event, before: Amounts, after: Amounts) -> None:
        cell = cell_of(outcome)
        gained = self.gains.get(cell, _ZERO)
        more = change(outcome, before, after)
        cost, revenue = gained[3] + more[3], gained[4] + more[4]
        if max(abs(cost), abs(revenue)) >= _TOTAL_LIMIT:
            raise _out_of_range()
        self.gains[cell] = (gained[0] + more[0], gained[1] + more[1], gained[2] + more[2], cost, revenue)

    def increments(self) -> list[Increment]:
        """What the totals gain, as the sums in Redis take it."""
        return [
            Increment(
                self._brands[cell.brand_id].vertical,
                cell.brand_id,
                cell.partner_id,
                cell.slot_id,
                cell.context,
                cell.bucket_start,
                tuple([float(number) for number in totals]),
            )
            for cell, totals in self.gains.items()
        ]


def _count(connection: Connection, events_: Sequence[Event], now: datetime) -> _Counted:
    hashes, originals = _known(connection, events_)
    brand_ids = {event.brand_id for event in (*events_, *[record.event for record in originals.values()])}
    batch = _Batch(
        hashes,
        originals,
        catalog.load_brands(connection, brand_ids - {""}),
        catalog.load_partners(connection, {event.partner_id for event in events_}),
        catalog.load_slots(connection, {event.slot_id for event in events_} - {""}),
    )
    results = [batch.take(event, now) for event in events_]
    batch.gains = {cell: gain for cell, gain in batch.gains.items() if gain != _ZERO}
    # The events first: a batch that meets the same ids elsewhere stops here, before it has locked any totals.
    events.add(connection, batch.new.values(), now)
    events.update(connection, batch.changed.values(), now)
    events.add_totals(connection, batch.gains)
    increments = batch.increments()
    return _Counted(results, outbox.add(connection, increments, now) if increments else None, increments)


def _known(connection: Connection, events_: Sequence[Event]) -> tuple[dict[Key, bytes], dict[Key, Record]]:
    """The body hashes of those of `events_` that were accepted before, and the events that they adjust.

    The adjusted ones are locked before the hashes are read, so that an adjustment which someone else has
    just finished is a duplicate here, and not a second adjustment.
    """
    keys = {event.key for event in events_}
    adjusted = {event.adjusts for event in events_ if event.adjusts is not None}
    while True:
        originals = events.lock(connection, adjusted)
        hashes = events.body_hashes(connection, keys)
        if adjusted & hashes.keys() <= originals.keys():  # else one appeared between the two queries
            return hashes, originals


def _out_of_range() -> Invalid:
    return Invalid("amount_out_of_range", "cost, revenue: a quarter hour's total would get too large")


def _visible(event: Event, partners: frozenset[str] | None) -> bool:
    return partners is None or event.partner_id in partners


def _unknown_partner(event: Event) -> Invalid:
    return Invalid("unknown_partner", f"partner_id: there is no partner {event.partner_id}")
