"""Places to count events in: each a database with a catalog, an empty Redis and a partner of its own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from threading import Barrier
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import redis
from sqlalchemy import delete, select

from adbid.data import brand_days, outbox, tables
from adbid.data.counters import Counters, Generation, Increment, decayed, expand
from adbid.data.database import Database
from adbid.data.ledger import Ledger
from adbid.data.outbox import Delta, Outbox
from adbid.data.tables import brand_day, performance, performance_delta, performance_event
from adbid.domain.context import CONTEXT_DIMENSIONS, market
from adbid.domain.decay import MEASURES
from adbid.domain.events import OUTCOMES, Event
from adbid.domain.ledger import Budget, Candidate, Won
from adbid.engine.batch import Result
from adbid.engine.performance import PerformanceIngest
from tests.support.world import BRAND, PARTNER, SLOT, STRATEGY

NOW = datetime(2026, 11, 20, 9, 7, tzinfo=UTC)
THREADS = 8
ZONES = {"auckland": "Pacific/Auckland", "berlin": "Europe/Berlin", "los angeles": "America/Los_Angeles"}
"""Brands by the time zone they are in; `b0` and `b1` are in UTC."""

CURRENT = Generation("g1", NOW - timedelta(days=1))


@dataclass
class Store:
    """A database with a catalog, an empty Redis, and a partner that no test before has used."""

    database: Database
    client: redis.Redis
    partner: str

    @property
    def counters(self) -> Counters:
        return Counters(self.client)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.database, self.counters)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.client)

    def ingest(
        self,
        batch: Sequence[Event],
        outbox_: Outbox | None = None,
        now: datetime = NOW,
        ledger: Ledger | None = None,
    ) -> list[Result]:
        use_case = PerformanceIngest(self.database, outbox_ or self.outbox, ledger or self.ledger)
        return use_case.ingest(batch, visible_partners=None, now=now)

    def win(self, decision_id: str, *, now: datetime = NOW, **said: object) -> Won:
        """A bid that wins its slot, reserving 0.40 of a budget of 1,000 unless something else is `said`."""
        bid = {"bid_id": "bid", "brand_id": "b0", "partner_id": self.partner, "slot_id": "s0"}
        terms = {"pricing_model": "CPC", "day": now.date(), "micros": 400_000, **said}
        budget = Budget(terms["day"], 1_000_000_000, 1)  # type: ignore[arg-type]
        candidate = Candidate(**{**bid, **terms, "budget": budget})  # type: ignore[arg-type]
        self.ledger.decide(decision_id, b"request", b"record", [[candidate]], now)
        [won] = self.ledger.won([(decision_id, candidate.bid_id)]).values()
        return won

    def event(self, event_id: str, type_: str = "impression", **said: object) -> Event:
        sent = Event(
            partner_id=self.partner,
            event_id=event_id,
            type=type_,
            event_time=NOW - timedelta(minutes=20),
            brand_id="b0",
            slot_id="s0",
            context=("mobile", "", "", "", ""),
            pricing_model="CPC",
            currency="USD",
            decision_id="",
            bid_id="",
            adjusts_event_id="",
            count=2,
            cost=Decimal("0.40"),
            revenue=Decimal("1.25"),
        )
        return replace(sent, **said)  # type: ignore[arg-type]

    def adjustment(self, event_id: str, type_: str, adjusts: str, **said: object) -> Event:
        unsaid: dict[str, object] = dict.fromkeys(("brand_id", "slot_id", "pricing_model"), "")
        unsaid |= {"context": ("",) * 5, "count": None, "cost": None, "revenue": None, "event_time": NOW}
        return self.event(event_id, type_, adjusts_event_id=adjusts, **{**unsaid, **said})

    def totals(self) -> dict[tuple[object, ...], tuple[object, ...]]:
        """What this partner's events add up to, per cell; without what is nothing."""
        names = ("bucket_start", "brand_id", "slot_id", *CONTEXT_DIMENSIONS)
        with self.database.read() as connection:
            query = select(performance).where(performance.c.partner_id == self.partner)
            rows = connection.execute(query).mappings().all()
        found = {tuple(row[name] for name in names): tuple(row[name] for name in MEASURES) for row in rows}
        return {cell: measures for cell, measures in found.items() if any(measures)}

    def days(self) -> dict[tuple[str, date], tuple[object, ...]]:
        """What brands' days hold: a number per `MEASURES`, what was spent, the revision. Without what is
        nothing again."""
        with self.database.read() as connection:
            rows = brand_days.recent(connection, date.min)
            found = {(row.brand_id, row.day): astuple(row)[2:] for row in rows}
        return {day: numbers for day, numbers in found.items() if any(numbers[:-1])}

    def check_days(self) -> None:
        """Each brand's day is the sum of its events: by when they happened, and `spent` by budget day."""
        expected: dict[tuple[str, date], list[Any]] = {}
        with self.database.read() as connection:
            rows = connection.execute(select(performance_event)).mappings().all()
        for row in rows:
            if row["partner_id"] != self.partner or row["event_type"] not in OUTCOMES:
                continue
            brand = row["brand_id"]
            zone = ZoneInfo(ZONES.get(brand, "UTC"))
            happened = expected.setdefault((brand, row["event_time"].astimezone(zone).date()), [0] * 6)
            paid = expected.setdefault((brand, row["budget_day"]), [0] * 6)
            happened[OUTCOMES.index(row["event_type"])] += row["current_count"]
            happened[3] += row["current_cost"]
            happened[4] += row["current_revenue"]
            paid[5] += row["current_cost"]
        found = {day: list(numbers[:-1]) for day, numbers in self.days().items()}
        assert found == {day: numbers for day, numbers in expected.items() if any(numbers)}

    def pending(self) -> list[Delta]:
        with self.database.read() as connection:
            return list(outbox.pending(connection))

    def check_redis(self, generation: Generation = CURRENT) -> None:
        """Redis holds what `performance` adds up to, to the last few bits."""
        increments = [
            Increment(
                market("USD", "retail"),
                str(cell[1]),
                self.partner,
                str(cell[2]),
                tuple(map(str, cell[3:])),
                cell[0],  # type: ignore[arg-type]
                tuple(map(float, measures)),  # type: ignore[arg-type]
            )
            for cell, measures in self.totals().items()
        ]
        names, gains = expand(increments, generation.landmark)
        keys = self.client.keys(generation.key("*"))
        stored = {key.decode() for key in keys if b":applied:" not in key}
        assert set(map(generation.key, names)) <= stored
        values = self.client.mget(sorted(stored)) if stored else []
        found = dict(zip(sorted(stored), decayed(values, NOW, NOW), strict=True))
        expected = dict(zip(map(generation.key, names), gains, strict=True))
        for key, sums in found.items():
            wanted = expected.get(key, np.zeros(sums.size)).reshape(sums.shape)
            # Amounts of up to 1,000 came and went here: their rounding errors are all that may be left.
            np.testing.assert_allclose(sums, wanted, rtol=1e-12, atol=1e-9)


@pytest.fixture(scope="module", name="event_database")
def database_with_catalog(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool_size=THREADS)
    tables.metadata.create_all(made.engine)
    history = {"version": 1, "created_at": NOW, "updated_at": NOW}
    with made.engine.begin() as connection:
        for table, defaults, ids in (
            (tables.brand_strategy, {**STRATEGY, "vpi_multiplier": 1}, ["plain"]),
            (tables.brand, {**BRAND, "strategy_id": "plain"}, ["b0", "b1"]),
            *[
                (tables.brand, {**BRAND, "strategy_id": "plain", "timezone": zone}, [brand])
                for brand, zone in ZONES.items()
            ],
            (tables.partner, PARTNER, [f"p{number}" for number in range(400)]),
            (tables.ad_slot, SLOT, ["s0", "s1"]),
        ):
            connection.execute(table.insert(), [{"id": i, "name": i, **defaults, **history} for i in ids])
    yield made
    made.dispose()


@pytest.fixture(scope="module", name="stores")
def store_maker(event_database: Database, redis_server_url: str) -> Iterator[Callable[[], Store]]:
    """Makes fresh stores, for tests that need one per example."""
    numbers = count()
    with redis.Redis.from_url(redis_server_url) as client:

        def fresh() -> Store:
            client.flushdb()
            with event_database.engine.begin() as connection:
                for table in (performance_delta, brand_day):
                    connection.execute(delete(table))
            store = Store(event_database, client, f"p{next(numbers)}")
            store.counters.publish(CURRENT)
            for partition in store.ledger.partitions:
                client.set(partition.alive, "since the test began")
            return store

        yield fresh


@pytest.fixture(name="store")
def fresh_store(stores: Callable[[], Store]) -> Store:
    return stores()


def statuses(results: Sequence[Result]) -> list[str]:
    return [result.code or result.status for result in results]


def at_once(number: int, work: Callable[[int], list[Result]]) -> list[list[Result]]:
    """The results of so many calls of `work`, started together."""
    start = Barrier(number)

    def one(place: int) -> list[Result]:
        start.wait()
        return work(place)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


CELL = (NOW - timedelta(minutes=22), "b0", "s0", "mobile", "", "", "", "")
