"""Redis out of step with MySQL: what is accepted is added there in the end, and once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import delete

from adbid.data import outbox, rebuild
from adbid.data.counters import Counters, Generation, Increment
from adbid.data.outbox import Delta, Outbox
from adbid.data.tables import performance
from adbid.domain.context import market
from adbid.domain.decay import quarter_hour
from adbid.engine.batch import Result
from tests.support.performance import (  # noqa: F401  # fixtures
    CELL,
    CURRENT,
    NOW,
    Store,
    at_once,
    database_with_catalog,
    fresh_store,
    statuses,
    store_maker,
)


def unreachable(store: Store) -> Outbox:
    """An outbox whose Redis does not answer."""
    nobody = redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    return Outbox(store.database, Counters(nobody))


class Dies(Outbox):
    """An outbox of a process that ends once its batch has committed."""

    def deliver(self, generation: Generation, deltas: Sequence[Delta], now: datetime) -> int:
        raise KeyboardInterrupt


class Forgets(Outbox):
    """An outbox of a process that ends between adding in Redis and reporting it."""

    def _report(self, added: Sequence[int], now: datetime) -> None:
        raise KeyboardInterrupt


def later(minutes: float = 1) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_without_redis_events_are_accepted_and_added_later(store: Store) -> None:
    assert statuses(store.ingest([store.event("e1")], unreachable(store))) == ["accepted"]
    assert len(store.pending()) == 1
    store.ingest([store.event("e2")], now=later())  # the next batch takes along what was left
    assert store.pending() == []
    store.check_redis()


@pytest.mark.parametrize("process", [Dies, Forgets])
def test_a_process_that_ends_after_its_commit_leaves_what_drain_finishes(
    store: Store, process: type[Outbox]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.ingest([store.event("e1")], process(store.database, store.counters))
    assert statuses(store.ingest([store.event("e1")])) == ["duplicate"]
    assert len(store.pending()) == 1  # too young: its process might still be at it
    assert store.outbox.drain(CURRENT, later(), 10) == 1
    assert store.pending() == []
    store.check_redis()
    assert store.outbox.drain(CURRENT, later(), 10) == 0


def test_whoever_looks_after_the_outbox_adds_what_nobody_comes_along_for(store: Store) -> None:
    for number in range(5):
        store.ingest([store.event(f"e{number}")], unreachable(store))
    assert unreachable(store).drain_all(later(), 10) == 0
    assert [store.outbox.drain_all(later(), 3) for _ in range(3)] == [3, 2, 0]
    assert store.pending() == []
    store.check_redis()
    store.client.flushdb()  # nowhere to add: the rebuild takes care of it
    store.ingest([store.event("e5")], unreachable(store))
    assert store.outbox.drain_all(later(), 10) == 0
    assert len(store.pending()) == 1


def test_two_drains_at_once_add_once(store: Store) -> None:
    for number in range(5):
        store.ingest([store.event(f"e{number}")], unreachable(store))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.outbox.drain(CURRENT, later(), 10), range(4)))
    assert store.pending() == []
    store.check_redis()


def test_lost_sums_leave_deltas_pending_for_the_rebuild(store: Store) -> None:
    store.client.flushdb()
    store.ingest([store.event("e1")])
    assert len(store.pending()) == 1


def test_nothing_is_added_to_a_generation_that_came_after_the_commit(store: Store) -> None:
    # Its snapshot may hold the delta already: only one who looks the delta up afterwards can tell.
    held = store.outbox
    store.ingest([store.event("e1")], unreachable(store))
    successor = Generation("g2", CURRENT.landmark)
    store.counters.publish(successor)
    assert held.deliver(CURRENT, store.pending(), NOW) == 0
    assert len(store.pending()) == 1
    assert held.drain(successor, later(), 10) == 1
    store.check_redis(successor)


def test_what_redis_may_have_forgotten_is_not_added_again(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.ingest([store.event("e1")], Forgets(store.database, store.counters))
    assert store.outbox.drain(CURRENT, NOW + timedelta(days=7), 10) == 0


def test_a_rebuild_can_tell_what_its_snapshot_showed(store: Store) -> None:
    store.ingest([store.event("e1")])
    store.ingest([store.event("e2")], unreachable(store))
    with store.database.read() as connection:
        shown = outbox.seen(connection, NOW)
        [(waiting, increments)] = outbox.pending(connection)
    store.ingest([store.event("e3")], now=later())
    with store.database.read() as connection:
        [(number, late)] = outbox.missing(connection, shown, NOW)
    assert waiting in shown
    assert number not in shown
    measures = (2.0, 0.0, 0.0, 0.4, 1.25)
    context = ("mobile", "", "", "", "")
    place = market("USD", "retail"), "b0", store.partner, "s0", context
    expected = [Increment(*place, quarter_hour(CELL[0]), measures)]
    assert increments == late == expected


def test_rebuilds_amid_events_neither_miss_nor_double_any(store: Store) -> None:
    def work(place: int) -> list[Result]:
        if place == 0:
            for _ in range(10):
                rebuild.rebuild(store.database, store.counters, NOW)
            return []
        outbox_ = unreachable(store) if place == 1 else store.outbox
        for number in range(20):
            batch = [store.event(f"e{place}-{number}-{one}") for one in range(3)]
            store.ingest(batch, outbox_, now=later(number))  # so that each drains what is left of others
        return []

    store.database.transaction(lambda connection: connection.execute(delete(performance)))
    at_once(5, work)
    last = store.counters.current()
    assert last is not None
    store.outbox.drain(last, later(60), 1_000)
    assert store.pending() == []
    assert store.totals() == {CELL: (480, 0, 0, Decimal("96.00"), Decimal("300.00"))}
    store.check_redis(last)


def test_added_deltas_are_purged_in_the_end(store: Store) -> None:
    store.ingest([store.event("e1")])
    store.ingest([store.event("e2")], unreachable(store))
    assert store.database.transaction(lambda connection: outbox.purge(connection, later())) == 0
    after = NOW + outbox.KEPT + timedelta(seconds=1)
    assert store.database.transaction(lambda connection: outbox.purge(connection, after)) == 1
    assert len(store.pending()) == 1
