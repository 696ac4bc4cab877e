"""The rollup is what the events add up to, to the micro, whatever happened to them and whoever asks."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, update

import migrations
from adbid.data import reports, rollup
from adbid.data.database import Database
from adbid.data.reports import Scope
from adbid.data.tables import performance, performance_event, performance_rollup
from adbid.domain.decay import MEASURES
from adbid.domain.errors import Unavailable
from adbid.domain.reporting import Granularity, Point, points
from migrations.__main__ import main
from tests.support import past, sums
from tests.support.performance import (  # noqa: F401  # fixtures
    NOW,
    THREADS,
    Store,
    at_once,
    database_with_catalog,
    fresh_store,
    statuses,
    store_maker,
)

ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), NOW + timedelta(days=1)
ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]
BRANDS, SLOTS = ["b0", "b1", "berlin"], ["s0", "s1"]
MONEY = st.integers(0, 10**9).map(lambda micros: Decimal(micros).scaleb(-6))
IDS = st.integers(0, 5).map(lambda number: f"e{number}")
TIMES = st.integers(0, 40 * 96).map(lambda quarters: NOW - quarters * timedelta(minutes=15))
OUTCOMES = st.fixed_dictionaries(
    {
        "event_id": IDS,
        "type_": st.sampled_from(["impression", "click", "conversion"]),
        "event_time": st.sampled_from([NOW, NOW - timedelta(minutes=20)]) | TIMES,
        "brand_id": st.sampled_from(BRANDS),
        "slot_id": st.sampled_from(SLOTS),
        "context": st.sampled_from([("mobile", "", "", "", ""), ("tv", "banner", "", "DE", "")]),
        "count": st.integers(1, 1000),
        "cost": MONEY,
        "revenue": MONEY,
    }
)
ADJUSTMENTS = st.fixed_dictionaries(
    {
        "event_id": st.integers(0, 5).map(lambda number: f"a{number}"),
        "type_": st.sampled_from(["restatement", "retraction"]),
        "adjusts": IDS,
        "count": st.none() | st.integers(1, 1000),
        "cost": st.none() | MONEY,
        "revenue": st.none() | MONEY,
    }
)
# Often the same again: repeats, and events that were retracted or restated before.
HISTORIES = st.lists(st.one_of(OUTCOMES, OUTCOMES, ADJUSTMENTS), min_size=1, max_size=10).flatmap(
    lambda said: st.lists(st.sampled_from(said), min_size=1, max_size=20)
)


@pytest.fixture(name="clean")
def clean_stores(stores: Callable[[], Store]) -> Callable[[], Store]:
    """Stores in whose database nothing has happened yet."""

    def fresh() -> Store:
        store = stores()
        with store.database.engine.begin() as connection:
            for table in (performance_event, performance, performance_rollup):
                connection.execute(delete(table))
        return store

    return fresh


def sent(store: Store, said: dict[str, Any]) -> Any:
    return store.adjustment(**said) if "adjusts" in said else store.event(**said)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES, cuts=st.sets(st.integers(1, 19)), zone=st.sampled_from(ZONES))
def test_any_history_in_any_batches_is_rolled_up(
    clean: Callable[[], Store], history: list[dict[str, Any]], cuts: set[int], zone: str
) -> None:
    store = clean()
    edges = [0, *sorted(cut for cut in cuts if cut < len(history)), len(history)]
    for start, end in pairwise(edges):
        store.ingest([sent(store, said) for said in history[start:end]])
    happened = sums.happened(store.database)
    assert sums.stored(store.database) == sums.expected(happened)
    granularity: Granularity
    for granularity in ("hour", "day"):
        alone = [*sums.slices(one for one in happened if one[3] >= NOW - timedelta(days=30))]
        asked = over_time(store.database, Scope(), granularity, zone)
        assert asked == without_nothing(points(alone, granularity, ZoneInfo(zone)))

    left = [one["event_id"] for one in history if "adjusts" not in one]
    store.ingest([store.adjustment(f"x-{event_id}", "retraction", event_id) for event_id in left])
    assert sums.stored(store.database) == {}


def over_time(database: Database, scope: Scope, granularity: Granularity, zone: str) -> list[Point]:
    since = NOW - timedelta(days=30)
    with database.read() as connection:
        found = reports.slices(
            connection, scope, since, NOW + timedelta(hours=1), granularity, ZoneInfo(zone)
        )
    return without_nothing(points(found, granularity, ZoneInfo(zone)))


def without_nothing(found: list[Point]) -> list[Point]:
    return [point for point in found if point.impressions or point.cost or point.revenue]


SCOPES = [
    Scope(),
    Scope(brand_id="b1"),
    Scope(partner_id="p1"),
    Scope(slot_id="s2"),
    Scope(brand_id="b1", partner_id="p1"),
    Scope(brand_id="b1", slot_id="s2"),
    Scope(partner_id="p1", slot_id="s2"),
    Scope(brand_id="b1", partner_id="p1", slot_id="s2"),
    Scope(frozenset({"b1", "b2"}), frozenset()),
    Scope(frozenset(), frozenset({"p1"}), slot_id="s2"),
    Scope(frozenset({"b1"}), frozenset({"p1", "p2"})),
    Scope(frozenset({"b1"}), frozenset({"p1"}), slot_id="s2"),
    Scope(frozenset({"b1"}), frozenset({"p1"}), brand_id="b2"),
]


@pytest.fixture(scope="module", name="past_database")
def database_with_a_past(database_url: str) -> Iterator[Database]:
    from tests.support.servers import fresh_database

    with fresh_database(database_url) as url, Database(url, statement_timeout=None) as made:
        past.catalog(made)
        past.store(made, past.random_rows(400))
        yield made


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: str(SCOPES.index(scope)))
def test_every_scope_is_the_sum_of_what_lies_in_it(past_database: Database, scope: Scope) -> None:
    rows = past.random_rows(400)
    inside = [
        (
            cell.slot_id,
            cell.brand_id,
            cell.partner_id,
            cell.bucket_start,
            past.CURRENCIES[cell.brand_id],
            totals,
        )
        for cell, totals in rows.items()
        if cell.bucket_start >= NOW - timedelta(days=30)
        and (
            scope.brands is None
            or cell.brand_id in scope.brands
            or (scope.partners is not None and cell.partner_id in scope.partners)
        )
        and scope.brand_id in (None, cell.brand_id)
        and scope.partner_id in (None, cell.partner_id)
        and scope.slot_id in (None, cell.slot_id)
    ]
    assert inside
    expected = without_nothing(points(sums.slices(inside), "day", ZoneInfo("Asia/Kathmandu")))
    assert over_time(past_database, scope, "day", "Asia/Kathmandu") == expected


def test_senders_at_once_leave_the_exact_sums(clean: Callable[[], Store]) -> None:
    store = clean()

    def send(place: int) -> Any:
        partner = f"p{399 - place}"
        events = [
            store.event(f"e{n}", "click", partner_id=partner, brand_id=BRANDS[n % 3], slot_id=SLOTS[n % 2])
            for n in range(30)
        ]
        store.ingest(events)
        return store.ingest(
            [
                store.adjustment(f"r{n}", "restatement", f"e{n}", partner_id=partner, cost=Decimal("0.07"))
                for n in range(0, 30, 2)
            ]
        )

    for results in at_once(THREADS, send):
        assert set(statuses(results)) == {"accepted"}
    assert sums.stored(store.database) == sums.expected(sums.happened(store.database))
    total = sums.stored(store.database)["", "", "", NOW - timedelta(minutes=22), "USD"]
    assert total[1] == THREADS * 30 * 2
    assert total[3] == THREADS * 15 * (Decimal("0.40") + Decimal("0.07"))


def test_a_sum_may_be_larger_than_any_amount(clean: Callable[[], Store]) -> None:
    store = clean()
    most = Decimal("999999999999.999999")
    batch = [store.event(f"e{n}", cost=most, brand_id=brand) for n, brand in enumerate(BRANDS)]
    assert statuses(store.ingest(batch)) == ["accepted"] * 3
    assert sums.stored(store.database)["", "", "", NOW - timedelta(minutes=22), "USD"][3] == 3 * most


def test_a_repair_finds_nothing_to_do(past_database: Database) -> None:
    before = sums.stored(past_database)
    assert rollup.repair(past_database, *ALWAYS) == 0
    assert before
    assert sums.stored(past_database) == before


def test_a_repair_makes_it_what_it_should_be(past_database: Database) -> None:
    before = sums.stored(past_database)
    row = performance_rollup.c

    def damage(connection: Any) -> None:
        connection.execute(delete(performance_rollup).where(row.partner_id == "p1"))
        connection.execute(update(performance_rollup).where(row.brand_id == "b2").values(cost=7, clicks=3))
        late = {"slot_id": "s9", "brand_id": "b0", "partner_id": "p0", "bucket_start": NOW, "currency": "USD"}
        connection.execute(performance_rollup.insert(), [{**late, **dict.fromkeys(MEASURES, 5)}])

    past_database.transaction(damage)
    assert sums.stored(past_database) != before
    assert rollup.repair(past_database, *ALWAYS) > 0
    assert sums.stored(past_database) == before
    assert rollup.repair(past_database, *ALWAYS) == 0


def test_a_migration_rolls_up_what_was_counted_before(new_database_url: str) -> None:
    with Database(new_database_url, statement_timeout=None) as database:
        migrations.upgrade(database, "0004")
        past.catalog_rows(database)
        rows = past.random_rows(300)
        past.store_cells(database, rows)
        migrations.upgrade(database)
        happened = [
            (
                cell.slot_id,
                cell.brand_id,
                cell.partner_id,
                cell.bucket_start,
                past.CURRENCIES[cell.brand_id],
                totals,
            )
            for cell, totals in rows.items()
        ]
        assert sums.stored(database) == sums.expected(happened)


def test_there_is_one_repair_at_a_time(past_database: Database) -> None:
    url = past_database.engine.url.render_as_string(hide_password=False)
    lock = rollup.lock_name(past_database)
    server = past_database.engine.dialect.name != "sqlite"  # whose writers are alone anyhow
    with Database(url) as other, past_database.engine.connect() as connection:
        if server:
            assert connection.scalar(select(func.get_lock(lock, 0))) == 1
            with pytest.raises(Unavailable, match="repairing"):
                rollup.repair(other, *ALWAYS)
            connection.scalar(select(func.release_lock(lock)))
        assert rollup.repair(other, *ALWAYS) == 0


def test_the_command_repairs(
    past_database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sums.stored(past_database)
    monkeypatch.setenv("DATABASE_URL", past_database.engine.url.render_as_string(hide_password=False))
    past_database.transaction(lambda connection: connection.execute(delete(performance_rollup)))
    assert main(["repair"]) == 0
    assert sums.stored(past_database) == before
    assert "rows of the rollup were wrong" in capsys.readouterr().out
