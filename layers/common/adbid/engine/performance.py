"""A batch of events in, one result per event out: each counted exactly once, and durable when accepted.

An event that names the decision and the bid it follows from is booked on the decision's budget day, ends the
bid's reservation if it is what the bid is paid for, and may not contradict the decision. The ledger in Redis
remembers that for some days. Of an older decision, of one it lost, or while it can't be reached, nothing is
known here: the event is then booked on the day it happened.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from adbid.data import brand_days, catalog, events, outbox, rollup, sealed_days
from adbid.data.counters import Increment
from adbid.data.database import Database
from adbid.data.ledger import Ledger, Spent
from adbid.data.outbox import Outbox
from adbid.domain.events import Event, Key, Record
from adbid.domain.ledger import Won
from adbid.engine.batch import Batch, Bid, Catalog, Result, out_of_range, rejected, unknown_partner

logger = logging.getLogger(__name__)

_DRAINED_AT_ONCE = 4  # a sender doesn't wait for long on account of what others left behind


class PerformanceIngest:
    """The use case, over one database, the sums in Redis, and the ledger; without one no event is known to
    follow from a decision."""

    def __init__(self, database: Database, outbox_: Outbox, ledger: Ledger | None = None) -> None:
        self._database = database
        self._outbox = outbox_
        self._ledger = ledger

    def ingest(
        self, batch: Sequence[Event | Result], *, visible_partners: frozenset[str] | None, now: datetime
    ) -> list[Result]:
        """One result per item of `batch`, in its order; an item that is a Result already (an event that can't
        be read) stays as it is. `visible_partners` are those the caller may report for, None for all.

        Raises Unavailable when the database can't be reached; then the same batch may be sent again.
        """
        own = [item for item in batch if isinstance(item, Event) and _visible(item, visible_partners)]
        known = iter(self._ingest(own, now) if own else ())
        return [
            item
            if isinstance(item, Result)
            else next(known)
            if _visible(item, visible_partners)
            else rejected(item.event_id, unknown_partner(item))
            for item in batch
        ]

    def _ingest(self, batch: Sequence[Event], now: datetime) -> list[Result]:
        generation = self._outbox.generation()  # before the commit: see `adbid.data.outbox`
        won = self._won(batch)
        counted = self._count(batch, won or {}, now)
        if won is not None and (counted.closed or counted.spent):
            self._settle(counted, now)
        if generation is not None:
            new = [] if counted.delta is None else [(counted.delta, counted.increments)]
            if self._outbox.deliver(generation, new, now) == len(new):
                self._outbox.drain(generation, now, _DRAINED_AT_ONCE)
        return counted.results

    def _won(self, batch: Sequence[Event]) -> Mapping[Bid, Won] | None:
        """The bids that events follow from, as far as the ledger remembers; None when it can't be asked."""
        if self._ledger is None:
            return None
        bids = {(one.decision_id, one.bid_id) for one in batch if one.decision_id and one.bid_id}
        try:
            return self._ledger.won(bids) if bids else {}
        except RedisError as error:
            logger.warning("the ledger cannot be reached, events are booked on their own days: %s", error)
            return None

    def _count(self, batch: Sequence[Event], won: Mapping[Bid, Won], now: datetime) -> "_Counted":
        try:
            return self._database.transaction(
                lambda connection: _count(connection, batch, won, now), retry_integrity=True
            )
        except DataError as error:
            raise out_of_range() from error

    def _settle(self, counted: "_Counted", now: datetime) -> None:
        assert self._ledger is not None
        try:
            self._ledger.settle(counted.closed, counted.spent, now)
        except RedisError as error:  # the monitor tells it what was spent, and reservations end by themselves
            logger.warning("the ledger cannot be reached, it learns later what was spent: %s", error)


@dataclass(frozen=True, slots=True)
class _Counted:
    """What one transaction did: a result per event, what is to be added in Redis, which reservations have
    ended, and what the days they are booked on have spent now."""

    results: list[Result]
    delta: int | None
    increments: list[Increment]
    closed: list[Won]
    spent: list[Spent]


def _count(
    connection: Connection, events_: Sequence[Event], won: Mapping[Bid, Won], now: datetime
) -> _Counted:
    hashes, originals = _known(connection, events_)
    batch = Batch(hashes, originals, _catalog(connection, events_, originals), won)
    results = [batch.take(event, now) for event in events_]
    # The events first: a batch that meets the same ids elsewhere stops here, before it has locked any totals.
    # What most batches share comes last, so that they wait for each other no longer than the commit takes.
    events.add(connection, batch.new.values(), now)
    events.update(connection, batch.changed.values(), now)
    cells = batch.cells()
    events.add_totals(connection, cells)
    increments = batch.increments(cells)
    delta = outbox.add(connection, increments, now) if increments else None
    days = batch.days()
    brand_days.add(connection, days)
    spent = brand_days.spent(connection, [day for day, gain in days.items() if gain.spent])
    currencies = {one.id: one.currency for one in batch.brands}
    sealed_days.add(connection, cells, currencies)
    rollup.add(connection, cells, currencies)
    return _Counted(results, delta, increments, list(batch.charged.values()), spent)


def _catalog(connection: Connection, events_: Sequence[Event], originals: Mapping[Key, Record]) -> Catalog:
    """What the events name. It stays as it is until they have been counted: else a brand could be deleted
    meanwhile because nothing was counted for it yet."""
    brands = {one.brand_id for one in (*events_, *[record.event for record in originals.values()])} - {""}
    partners = {event.partner_id for event in events_}
    slots = {event.slot_id for event in events_} - {""}
    events.hold(connection, brands, partners, slots)
    return Catalog(
        catalog.load_brands(connection, brands),
        catalog.load_partners(connection, partners),
        catalog.load_slots(connection, slots),
    )


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


def _visible(event: Event, partners: frozenset[str] | None) -> bool:
    return partners is None or event.partner_id in partners
