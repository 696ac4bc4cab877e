"""What ingest leaves of each brand's days: counted on the day it happened, paid from its budget day."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event as Signal
from threading import Thread

import pytest
from sqlalchemy import select, update

from adbid.data import brand_days, catalog, events
from adbid.data.cache import FeatureCache
from adbid.data.catalog import BRAND, PARTNER, SLOT, Item, Kind
from adbid.data.ledger import Spent
from adbid.data.tables import performance_event
from adbid.domain.errors import Conflict, Invalid
from adbid.domain.events import CLOCK_SKEW
from adbid.domain.ledger import day_bounds
from adbid.engine.administration import Actor, Administration
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

TODAY = date(2026, 11, 20)
D = Decimal


def test_a_day_adds_up_what_happened_on_it(store: Store) -> None:
    yesterday = NOW - timedelta(days=1)
    store.ingest([store.event("e1"), store.event("e2", "click", cost=D("0.75"), event_time=yesterday)])
    store.ingest([store.event("e3", "conversion", count=1, cost=D(0), revenue=D("31.00"))])
    assert store.days() == {
        ("b0", TODAY - timedelta(days=1)): (0, 2, 0, D("0.75"), D("1.25"), D("0.75"), 1),
        ("b0", TODAY): (2, 0, 1, D("0.40"), D("32.25"), D("0.40"), 2),
    }
    store.check_days()


def test_corrections_move_money_back_and_repetitions_change_nothing(store: Store) -> None:
    click = store.event("e1", "click", event_time=NOW - timedelta(days=3))
    restatement = store.adjustment("r1", "restatement", "e1", cost=D("0.25"))
    retraction = store.adjustment("r2", "retraction", "e1")
    day = ("b0", date(2026, 11, 17))
    for batch in ([click], [click]):
        store.ingest(batch)
        assert store.days() == {day: (0, 2, 0, D("0.40"), D("1.25"), D("0.40"), 1)}
    for batch in ([restatement], [click, restatement]):
        store.ingest(batch)
        assert store.days() == {day: (0, 2, 0, D("0.25"), D("1.25"), D("0.25"), 2)}
    for batch in ([retraction], [click, restatement, retraction]):
        store.ingest(batch)
        assert store.days() == {}
    with store.database.read() as connection:
        assert brand_days.spent(connection, [day]) == [Spent(*day, 0, 3)]


def test_what_comes_and_goes_within_a_batch_leaves_no_trace(store: Store) -> None:
    store.ingest([store.event("e1"), store.adjustment("r1", "retraction", "e1")])
    with store.database.read() as connection:
        assert list(brand_days.recent(connection, TODAY)) == []


@pytest.mark.parametrize(
    ("brand", "last_moment"),
    [
        ("b0", "2026-11-18T23:59:59.999999+00:00"),
        ("auckland", "2026-11-18T10:59:59.999999+00:00"),  # UTC+13 in summer
        ("los angeles", "2026-11-19T07:59:59.999999+00:00"),  # UTC-8 in winter
    ],
)
def test_a_day_ends_at_midnight_where_the_brand_is(store: Store, brand: str, last_moment: str) -> None:
    last = datetime.fromisoformat(last_moment)
    first = last + timedelta(microseconds=1)
    store.ingest([store.event("e1", brand_id=brand, event_time=last, count=1)])
    store.ingest([store.event("e2", brand_id=brand, event_time=first, count=5)])
    days = {day.day: numbers[0] for (_, day), numbers in store.days().items()}
    assert days == {18: 1, 19: 5}
    store.check_days()


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2025, 10, 26), 25)])
def test_the_days_on_which_clocks_change_are_as_long_as_they_are(store: Store, day: date, hours: int) -> None:
    start, end = day_bounds(day, "Europe/Berlin")
    assert end - start == timedelta(hours=hours)
    times = [start + quarter * timedelta(minutes=15) for quarter in range(-4, hours * 4 + 4)]
    batch = [
        store.event(f"e{place}", brand_id="berlin", event_time=at, count=1, cost=D("0.10"), revenue=D(0))
        for place, at in enumerate(times)
    ]
    store.ingest(batch)
    found = store.days()
    assert found["berlin", day] == (4 * hours, 0, 0, D("0.4") * hours, D(0), D("0.4") * hours, 1)
    assert [found["berlin", day + timedelta(days=n)][0] for n in (-1, 1)] == [4, 4]


def test_events_from_before_days_were_kept_are_corrected_on_the_day_they_happened(store: Store) -> None:
    at = datetime(2026, 11, 18, 11, 30, tzinfo=UTC)  # the 19th in Auckland
    store.ingest([store.event("e1", brand_id="auckland", event_time=at)])
    forget = update(performance_event).where(performance_event.c.partner_id == store.partner)
    store.database.transaction(lambda connection: connection.execute(forget.values(budget_day=None)))
    store.ingest([store.adjustment("r1", "restatement", "e1", cost=D("0.15"))])
    day = ("auckland", date(2026, 11, 19))
    assert store.days() == {day: (2, 0, 0, D("0.15"), D("1.25"), D("0.15"), 2)}
    with store.database.read() as connection:
        query = select(performance_event.c.budget_day)
        assert set(connection.scalars(query.where(performance_event.c.partner_id == store.partner))) == {
            day[1]
        }


def test_batches_at_once_add_up(store: Store) -> None:
    def batch(place: int) -> list[object]:
        times = [NOW - timedelta(hours=hour) for hour in range(48)]
        return [
            store.event(f"e{place}-{n}", "click", brand_id=("b0", "b1", "auckland")[n % 3], event_time=at)
            for n, at in enumerate(times)
        ]

    for results in at_once(THREADS, lambda place: store.ingest(batch(place))):  # type: ignore[arg-type]
        assert set(statuses(results)) == {"accepted"}
    assert {numbers[-1] for numbers in store.days().values()} == {THREADS}
    store.check_days()


def test_a_day_beyond_what_can_be_kept_is_refused_whole(store: Store) -> None:
    huge = D("999999999999")
    store.ingest([store.event("e1", cost=huge, event_time=NOW - timedelta(hours=1))])
    with pytest.raises(Invalid, match="a day's total would get too large"):
        store.ingest([store.event("e2", cost=D(1), event_time=NOW - timedelta(hours=2))])
    before = {"cost": huge, "event_time": NOW - timedelta(days=1)}
    batch = [store.event("e3", **before), store.event("e4", **before), store.event("e5", cost=D("0.5"))]
    assert statuses(store.ingest(batch)) == ["accepted", "amount_out_of_range", "accepted"]
    store.check_days()


def test_reading_days(store: Store) -> None:
    for ago in range(4):
        at = NOW - timedelta(days=ago)
        batch = [store.event(f"{brand}{ago}", brand_id=brand, event_time=at) for brand in ("b0", "b1")]
        store.ingest(batch)
    since = TODAY - timedelta(days=2)
    with store.database.read() as connection:
        assert [(row.brand_id, row.day.day) for row in brand_days.recent(connection, since)] == [
            *[("b0", 18), ("b0", 19), ("b0", 20)],
            *[("b1", 18), ("b1", 19), ("b1", 20)],
        ]
        assert [row.day.day for row in brand_days.of_brand(connection, "b1", since)] == [18, 19, 20]
        assert brand_days.sums(connection, since) == {
            brand: (6, 0, 0, D("1.20"), D("3.75")) for brand in ("b0", "b1")
        }
        days = [("b1", TODAY), ("b0", since), ("nobody", TODAY)]
        assert set(brand_days.spent(connection, days)) == {
            Spent("b0", since, 400_000, 1),
            Spent("b1", TODAY, 400_000, 1),
        }


@pytest.mark.parametrize("kind", [BRAND, PARTNER, SLOT], ids=lambda kind: kind.name)
def test_what_events_are_just_coming_in_for_cannot_be_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch, kind: Kind[Item]
) -> None:
    administration = Administration(store.database, FeatureCache(store.client), clock=lambda: NOW)
    new = {
        BRAND: {"vertical": "retail", "strategy_id": "plain", "currency": "USD", "timezone": "UTC"}
        | {"daily_budget": None, "target_roas": D(2), "status": "active"},
        PARTNER: {"quality": D("0.5")},
        SLOT: {"partner_id": None, "placement_score": D("0.5"), "floor": D(0), "currency": "USD"},
    }[kind]
    name = f"{kind.name} of {store.partner}"
    administration.create(kind, {"id": name, "name": name, **new}, Actor("tester", ""))
    counting, outcome = Signal(), []

    def deleting() -> None:
        counting.wait()
        try:
            administration.delete(kind, name, None, Actor("tester", ""))
            outcome.append("deleted")
        except Conflict as error:
            outcome.append(error.code)

    add = events.add

    def slow(*arguments: object) -> None:
        counting.set()
        deleter.join(0.3)  # long enough for it to be done, if nothing held it up
        add(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(events, "add", slow)
    deleter = Thread(target=deleting)
    deleter.start()
    field = f"{'slot' if kind is SLOT else kind.name}_id"
    assert statuses(store.ingest([store.event("e1", **{field: name})])) == ["accepted"]
    deleter.join()
    assert outcome == ["in_use"]
    with store.database.read() as connection:
        assert catalog.get(connection, kind, name) is not None


def test_events_are_forgotten_so_long_after_they_were_received(store: Store) -> None:
    received = NOW - events.KEPT
    old = [store.event(f"e{n}", event_time=received - timedelta(hours=n)) for n in range(5)]
    store.ingest(old, now=received + CLOCK_SKEW)
    store.ingest([store.event("late", event_time=received - timedelta(days=900))])

    def purged(now: datetime) -> int:
        return store.database.transaction(lambda connection: events.purge(connection, now, 3))

    assert purged(NOW) == 0
    after = NOW + CLOCK_SKEW + timedelta(seconds=1)
    assert [purged(after) for _ in range(3)] == [3, 2, 0]
    assert statuses(
        store.ingest([*old[:1], store.event("late", event_time=received - timedelta(days=900))])
    ) == [
        "accepted",
        "duplicate",
    ]
    assert store.totals() != {}
