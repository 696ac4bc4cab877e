"""From committed totals to the sums in Redis, exactly once: a transactional outbox.

A batch's increments are stored as one *delta* in the transaction that changes the totals, and are added in
Redis once it has committed. A delta that could not be added then (Redis down, sums lost, process gone) stays
pending and is added later.

A rebuild replaces the sums by those of a snapshot, which holds some deltas and not others. No delta is added
twice or missed as long as both sides keep to this:

- An adder asks for the generation *before* it commits or looks up a delta, and adds to that generation or,
  when that is no longer current, not at all. So what it adds was never in its generation's snapshot.
- A rebuild marks as added, before it publishes its generation, the deltas that its snapshot shows as pending
  (`pending`), and afterwards adds all that its snapshot didn't show (`missing`), added elsewhere or not.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from redis.exceptions import RedisError
from sqlalchemy import Connection, Select, delete, insert, select, update

from adbid.data.counters import Counters, Generation, Increment
from adbid.data.database import Database
from adbid.data.tables import performance_delta
from adbid.domain.errors import Unavailable

logger = logging.getLogger(__name__)

SETTLING = timedelta(seconds=5)
"""A younger pending delta is left to the process that committed it."""

REPEATABLE = timedelta(days=6)
"""How long a delta may be added again; Redis remembers for a day longer that it was. After that, rebuild."""

KEPT = timedelta(days=2)
"""How long a delta is kept after it was added: longer than any rebuild takes."""

SLOWEST_COMMIT = timedelta(hours=1)
"""A delta is visible at most this long after its `created_at`, clocks that differ included."""

_PURGED_AT_ONCE = 1_000
_PURGED_EVERY = 50  # deltas: so that purging costs each batch next to nothing

_id = performance_delta.c.id
_created_at = performance_delta.c.created_at
_applied_at = performance_delta.c.applied_at
_DELTAS = select(_id, performance_delta.c.payload)

Delta = tuple[int, list[Increment]]


def add(connection: Connection, increments: Sequence[Increment], now: datetime) -> int:
    """Store `increments` as a pending delta; its number."""
    row = {"created_at": now, "payload": _encode(increments)}
    key = connection.execute(insert(performance_delta), row).inserted_primary_key
    assert key is not None
    return int(key[0])


def pending(connection: Connection) -> Iterator[Delta]:
    """Every delta that nobody has reported as added."""
    return _deltas(connection, _DELTAS.where(_applied_at.is_(None)).order_by(_id))


def seen(connection: Connection, now: datetime) -> set[int]:
    """The deltas that a snapshot made at `now` shows, as far back as one it doesn't show may be."""
    return set(connection.scalars(select(_id).where(_created_at >= now - SLOWEST_COMMIT)))


def missing(connection: Connection, shown: Collection[int], now: datetime) -> Iterator[Delta]:
    """The deltas that the snapshot made at `now` didn't show: `shown` is what `seen` said of it."""
    recent = set(connection.scalars(select(_id).where(_created_at >= now - SLOWEST_COMMIT)))
    for number in sorted(recent.difference(shown)):
        yield from _deltas(connection, _DELTAS.where(_id == number))


def report(connection: Connection, numbers: Collection[int], now: datetime) -> None:
    """Record that deltas have been added."""
    unreported = _id.in_(sorted(numbers)) & _applied_at.is_(None)
    connection.execute(update(performance_delta).where(unreported).values(applied_at=now))


def purge(connection: Connection, now: datetime) -> int:
    """Delete some deltas that are no longer needed; how many."""
    old = select(_id).where(_applied_at < now - KEPT).limit(_PURGED_AT_ONCE)
    numbers = connection.scalars(old).all()
    connection.execute(delete(performance_delta).where(_id.in_(numbers)))
    return len(numbers)


class Outbox:
    """Adds deltas in Redis. What fails here costs freshness, never the truth: it is logged and not raised."""

    def __init__(self, database: Database, counters: Counters) -> None:
        self._database = database
        self._counters = counters

    def generation(self) -> Generation | None:
        """Where deltas committed from now on belong; None when Redis is down or its sums are lost."""
        try:
            return self._counters.current()
        except RedisError as error:
            logger.warning("the sums in Redis cannot be reached: %s", error)
            return None

    def deliver(self, generation: Generation, deltas: Sequence[Delta], now: datetime) -> int:
        """Add deltas that were committed or looked up after `generation` was asked for; how many it were."""
        added: list[int] = []
        try:
            for number, increments in deltas:
                if not self._counters.add(generation, str(number), increments):
                    break  # replaced: whether its successor holds the delta, the next `drain` can tell
                added.append(number)
        except RedisError as error:
            logger.warning("delta %s stays pending: %s", number, error)
        if added:
            self._report(added, now)
        return len(added)

    def drain(self, generation: Generation, now: datetime, limit: int) -> int:
        """Add up to `limit` deltas that were left pending, oldest first; how many it were."""
        settled = _created_at.between(now - REPEATABLE, now - SETTLING)
        query = _DELTAS.where(_applied_at.is_(None), settled).order_by(_id).limit(limit)
        try:
            with self._database.read() as connection:
                left = list(_deltas(connection, query))
        except Unavailable as error:
            logger.warning("pending deltas cannot be looked up: %s", error)
            return 0
        return self.deliver(generation, left, now)

    def drain_all(self, now: datetime, limit: int) -> int:
        """`drain` for one who doesn't deliver anything else: nobody's next batch has to come along for
        pending deltas to be added. 0 also when Redis is down or its sums are lost."""
        generation = self.generation()
        return 0 if generation is None else self.drain(generation, now, limit)

    def _report(self, added: Sequence[int], now: datetime) -> None:
        def work(connection: Connection) -> None:
            report(connection, added, now)
            if any(number % _PURGED_EVERY == 0 for number in added):
                purge(connection, now)

        try:
            self._database.transaction(work)
        except Unavailable as error:
            logger.warning("deltas %s were added but not reported: %s", added, error)


def _deltas(connection: Connection, query: Select[Any]) -> Iterator[Delta]:
    for number, payload in connection.execute(query):
        yield number, [_decode(fields) for fields in orjson.loads(payload)]


def _encode(increments: Sequence[Increment]) -> bytes:
    return orjson.dumps(
        [
            (
                one.market,
                one.brand_id,
                one.partner_id,
                one.slot_id,
                one.context,
                int(one.bucket_start.timestamp()),
                one.measures,
            )
            for one in increments
        ]
    )


def _decode(fields: list[Any]) -> Increment:
    market, brand, partner, slot, context, bucket, measures = fields
    bucket_start = datetime.fromtimestamp(bucket, UTC)
    return Increment(market, brand, partner, slot, tuple(context), bucket_start, tuple(measures))
