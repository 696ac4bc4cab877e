"""Sealed days are what the events add up to, whatever comes late, and nobody can tell that they are read."""

import math
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from threading import Event as Signal
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from adbid.data import evidence, reports, rollup, sealed_days, sealing
from adbid.data.database import Database
from adbid.data.reports import Scope
from adbid.data.tables import (
    performance,
    performance_day,
    performance_event,
    performance_rollup,
    performance_seal,
)
from adbid.domain.decay import HALF_LIVES_DAYS
from adbid.domain.reporting import Slice, points
from tests.integration.test_history import visible
from tests.integration.test_rollup import HISTORIES, SCOPES, sent
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
from tests.support.servers import fresh_database

DAY = timedelta(days=1)
OPEN = (NOW - sealing.OVER).date()
"""The first day that isn't sealed yet."""


@pytest.fixture(name="clean")
def clean_stores(stores: Callable[[], Store]) -> Callable[[], Store]:
    """Stores in whose database nothing has happened and no day is sealed."""

    def fresh() -> Store:
        store = stores()
        with store.database.engine.begin() as connection:
            for table in (performance_event, performance, performance_rollup, performance_day):
                connection.execute(delete(table))
            connection.execute(delete(performance_seal))
            rows = [{"name": name, "finished": ""} for name in ("counted", "sealed")]
            connection.execute(performance_seal.insert(), rows)
        return store

    return fresh


def check(store: Store) -> None:
    """Every counted day holds its events' sums, and no other day anything."""
    with store.database.read() as connection:
        row = performance_seal.c
        counted = connection.scalar(select(row.until_day).where(row.name == "counted")) or date.min
    happened = sums.happened_in_context(store.database)
    same(
        sums.days_stored(store.database),
        sums.days_expected(one for one in happened if one[4].date() < counted),
    )


def same(found: sums.Sums, expected: sums.Sums) -> None:
    assert {key: exact for key, (exact, _) in found.items()} == {
        key: exact for key, (exact, _) in expected.items()
    }
    for key, (_, decayed) in found.items():
        np.testing.assert_allclose(decayed, expected[key][1], rtol=1e-9, atol=1e-9)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=HISTORIES,
    cuts=st.sets(st.integers(1, 19)),
    days_ago=st.lists(st.integers(0, 45), min_size=1, max_size=20),
)
def test_any_history_is_sealed_whenever_its_days_are(
    clean: Callable[[], Store], history: list[dict[str, Any]], cuts: set[int], days_ago: list[int]
) -> None:
    """Between the batches more and more days are sealed, so that a part of what they bring comes late."""
    store = clean()
    edges = [0, *sorted(cut for cut in cuts if cut < len(history)), len(history)]
    moments = [*sorted(days_ago, reverse=True), 0]
    for place, (start, end) in enumerate(pairwise(edges)):
        store.ingest([sent(store, said) for said in history[start:end]])
        sealing.seal(store.database, NOW - moments[min(place, len(moments) - 1)] * DAY, math.inf)
        check(store)
    sealing.seal(store.database, NOW, math.inf)
    check(store)
    if sums.happened(store.database):
        with store.database.read() as connection:
            assert sealed_days.sealed_until(connection) in (None, OPEN)
    left = [one["event_id"] for one in history if "adjusts" not in one]
    store.ingest([store.adjustment(f"x-{event_id}", "retraction", event_id) for event_id in left])
    assert sums.days_stored(store.database) == {}


def test_a_day_is_sealed_a_day_after_its_end(clean: Callable[[], Store]) -> None:
    store = clean()
    midnight = sealed_days.midnight(OPEN)
    store.ingest([store.event("e1", event_time=midnight - timedelta(minutes=1)), store.event("e2")])
    assert sealing.seal(store.database, midnight + DAY - timedelta(minutes=1), math.inf) == 0
    assert sums.days_stored(store.database) == {}
    assert sealing.seal(store.database, midnight + DAY, math.inf) == 1
    assert sealing.seal(store.database, NOW, math.inf) == 0
    assert {key[9] for key in sums.days_stored(store.database)} == {OPEN - DAY}
    check(store)


def test_what_is_broken_off_goes_on_where_it_was(
    clean: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = clean()
    brands = ("b0", "b1", "berlin")
    before = NOW - 2 * DAY
    store.ingest([store.event(brand, brand_id=brand, event_time=before) for brand in brands])
    clock = iter(range(10))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    assert sealing.seal(store.database, NOW, 2) == 0  # the fourth look at the clock is past it
    monkeypatch.undo()
    found = {key[2] for key in sums.days_stored(store.database)}
    with store.database.read() as connection:
        assert sealed_days.sealed_until(connection) is None
        query = select(performance_seal.c.finished).where(performance_seal.c.name == "sealed")
        assert connection.scalar(query) == "b1"
    assert found < {*brands, ""}
    late = [store.event(f"{brand}-late", brand_id=brand, event_time=before) for brand in brands]
    store.ingest(late)  # into brands that are done and into those that aren't
    assert sealing.seal(store.database, NOW, math.inf) == 1
    check(store)
    assert {key[2] for key in sums.days_stored(store.database)} == {*brands, ""}


def test_senders_and_two_sealers_at_once_leave_the_exact_sums(clean: Callable[[], Store]) -> None:
    store = clean()
    done = Signal()

    def seal() -> None:
        moment = NOW - 7 * DAY
        while not done.is_set() or moment < NOW:
            sealing.seal(store.database, moment, math.inf)
            moment = min(moment + timedelta(hours=6), NOW)

    def send(place: int) -> Any:
        partner = f"p{399 - place}"
        results = []
        for number in range(8):
            at = NOW - (number % 5) * DAY - timedelta(hours=place)
            own: dict[str, Any] = {"partner_id": partner, "event_time": at}
            events = [store.event(f"e{number}-{n}", "click", slot_id=f"s{n % 2}", **own) for n in range(10)]
            results += store.ingest(events)
            back = [
                store.adjustment(
                    f"r{number}-{n}", "restatement", f"e{number}-{n}", partner_id=partner, cost=Decimal(7)
                )
                for n in range(0, 10, 2)
            ]
            results += store.ingest(back)
        return results

    sealers = [Thread(target=seal) for _ in range(2)]
    for sealer in sealers:
        sealer.start()
    try:
        answers = at_once(THREADS, send)
    finally:
        done.set()
        for sealer in sealers:
            sealer.join()
    for results in answers:
        assert set(statuses(results)) == {"accepted"}
    check(store)
    with store.database.read() as connection:
        assert sealed_days.sealed_until(connection) == OPEN


ROWS = past.random_rows(400)
LATE = past.random_rows(60, seed=7)


@pytest.fixture(scope="module", params=[60, 20, 0], name="sealed")
def sealed_database(request: pytest.FixtureRequest, database_url: str) -> Iterator[Database]:
    """A past of 50 days, sealed until so many days ago, to which more has come since."""
    with fresh_database(database_url) as url, Database(url, statement_timeout=None) as made:
        past.catalog(made)
        past.store(made, ROWS)
        past.seal(made, past.AT - request.param * DAY)

        def late(connection: Any) -> None:
            sealed_days.add(connection, LATE, past.CURRENCIES)

        made.transaction(late)
        past.store(made, LATE)
        with made.read() as connection:
            until = sealed_days.sealed_until(connection)
        oldest = min(cell.bucket_start for cell in ROWS)
        assert (until is not None) == (oldest < past.AT - request.param * DAY - 2 * DAY)
        yield made


def everything() -> list[tuple[Any, Any]]:
    return [*ROWS.items(), *LATE.items()]


@pytest.mark.parametrize("ago", [timedelta(), timedelta(days=3, hours=5, minutes=15), timedelta(days=33)])
def test_evidence_is_the_same_however_much_is_sealed(sealed: Database, ago: timedelta) -> None:
    at = past.AT - ago
    paths = [past.path_of(cell) for cell in list(ROWS)[:25]]
    paths += [
        (past.market_of("b0"), "b0", "p0", "s0", ("", "", "", "", "")),
        (past.market_of("b0"), "b0", "p0", "s0", ("", "banner", "", "", "")),
        ("", "nobody", "p0", "s0", ("mobile", "", "", "", "")),
    ]
    with sealed.read() as connection:
        found = evidence.evidence_before(connection, paths, at)
    expected = sum(
        past.added_up({cell: totals for cell, totals in rows.items() if cell.bucket_start < at}, paths, at)
        for rows in (ROWS, LATE)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    assert (found >= 0).all()
    assert found[:25].any()


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (timedelta(days=48), timedelta(days=2)),
        (timedelta(days=30, minutes=7), timedelta()),
        (timedelta(days=40, hours=9), timedelta(days=10, hours=9)),  # from midnight to midnight
        (timedelta(hours=20), timedelta(hours=10)),  # within a day
        (timedelta(days=20, hours=8), timedelta(days=20)),
    ],
)
@pytest.mark.parametrize(
    "context",
    [("", "", "", "", ""), ("mobile", "", "", "", ""), ("", "", "", "US", ""), ("tv", "", "", "", "")],
)
def test_what_was_observed_is_the_same_however_much_is_sealed(
    sealed: Database, first: timedelta, last: timedelta, context: tuple[str, ...]
) -> None:
    since, until = past.AT - first, past.AT - last
    rows = [
        totals
        for cell, totals in everything()
        if (cell.brand_id, cell.partner_id, cell.slot_id) == ("b0", "p1", "s2")
        and since <= cell.bucket_start < until
        and all(asked in ("", said) for asked, said in zip(context, cell.context, strict=True))
    ]
    expected = [sum(column) for column in zip(*rows, strict=True)] or [0, 0, 0, Decimal(0), Decimal(0)]
    with sealed.read() as connection:
        found = reports.observed(connection, ("b0", "p1", "s2", context), since, until)
    assert [found.impressions, found.clicks, found.conversions, found.cost, found.revenue] == expected


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: str(SCOPES.index(scope)))
@pytest.mark.parametrize(
    ("first", "last"),
    [
        (timedelta(days=48), timedelta(minutes=10)),  # clocks go back within
        (timedelta(days=30, hours=9), timedelta(days=5, hours=9)),  # from midnight to midnight
    ],
)
def test_value_over_days_is_the_same_however_much_is_sealed(
    sealed: Database, scope: Scope, first: timedelta, last: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_FEW", timedelta())
    since, until = past.AT - first, past.AT - last
    alone = [
        Slice(cell.bucket_start, past.CURRENCIES[cell.brand_id], impressions, cost, revenue)
        for cell, (impressions, _, _, cost, revenue) in everything()
        if since <= cell.bucket_start < until and visible(scope, cell)
    ]
    with sealed.read() as connection:
        for zone in ("UTC", "Europe/London", "America/New_York"):
            there = ZoneInfo(zone)
            found = reports.slices(connection, scope, since, until, "day", there)
            assert points(found, "day", there) == points(alone, "day", there)


def test_a_repair_makes_days_what_they_should_be(sealed: Database) -> None:
    before = sums.days_stored(sealed)
    assert rollup.repair(sealed, *rollup.ALWAYS) == 0
    row = performance_day.c

    def damage(connection: Any) -> None:
        connection.execute(delete(performance_day).where(row.partner_id == "p1"))
        connection.execute(update(performance_day).where(row.brand_id == "b2").values(cost=7, clicks_3d=3))

    sealed.transaction(damage)
    if before:
        assert rollup.repair(sealed, *rollup.ALWAYS) > 0
    same(sums.days_stored(sealed), before)
    assert rollup.repair(sealed, *rollup.ALWAYS) == 0


def test_columns_follow_the_grid_of_half_lives() -> None:
    assert [life for life in HALF_LIVES_DAYS if f"cost_{life:g}d" not in performance_day.c] == []
