"""The check of the ledger: silent while the money adds up, and each way in which it doesn't is told."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from adbid.data import ledger_checks
from adbid.data.ledger import Difference, Ledger, Spent
from adbid.data.tables import brand_day, performance_event
from tests.support.performance import (  # noqa: F401  # fixtures
    NOW,
    Store,
    database_with_catalog,
    fresh_store,
    store_maker,
)

TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
D = Decimal


@pytest.fixture
def books(store: Store) -> Store:
    """Brand b0 has paid 0.40 today and 0.55 yesterday, and has 0.40 promised today."""
    with store.database.engine.begin() as connection:
        connection.execute(performance_event.delete())  # those of the tests before
    days = {"today": NOW, "yesterday": NOW - timedelta(days=1)}
    for name, at in days.items():
        store.win(name, now=at)
        known = {"decision_id": name, "bid_id": "bid", "count": 1, "event_time": at - timedelta(minutes=1)}
        store.ingest([store.event(f"paid {name}", "click", cost=D("0.40"), **known)], now=at)
    store.ingest([store.adjustment("more", "restatement", "paid yesterday", cost=D("0.55"))])
    store.win("open")
    return store


def told(books: Store, ledger: Ledger | None = None) -> list[Difference]:
    return ledger_checks.check(books.database, ledger or books.ledger, NOW)


def test_what_adds_up_is_not_told(books: Store) -> None:
    assert books.ledger.accounts([("b0", TODAY)])["b0", TODAY].spent == 400_000
    assert books.ledger.accounts([("b0", YESTERDAY)])["b0", YESTERDAY].spent == 550_000
    assert told(books) == []


def test_a_balance_that_is_not_the_sum_of_its_reservations(books: Store) -> None:
    key = books.ledger.partition("b0").day(f"b0\x1f{TODAY}")
    books.client.hincrby(key, "reserved", -1)
    assert told(books) == [Difference("b0", TODAY, "reserved", 399_999, "open", 400_000)]


def test_redis_spent_something_else_than_the_database(books: Store) -> None:
    books.ledger.settle([], [Spent("b0", TODAY, 400_007, 9)], NOW)
    assert told(books) == [Difference("b0", TODAY, "spent in Redis", 400_007, "in brand_day", 400_000)]
    books.ledger.settle([], [Spent("b0", TODAY, 400_000, 10)], NOW)
    assert told(books) == [Difference("b0", TODAY, "revision in Redis", 10, "in brand_day", 1)]


def test_redis_has_not_heard_of_a_day(books: Store) -> None:
    own = books.ledger.partition("b0")
    books.client.delete(own.day(f"b0\x1f{YESTERDAY}"), own.open(f"b0\x1f{YESTERDAY}"))
    books.client.zrem(own.days, f"b0\x1f{YESTERDAY}")
    assert told(books) == [Difference("b0", YESTERDAY, "spent in Redis", 0, "in brand_day", 550_000)]


def test_a_day_is_not_the_sum_of_its_events(books: Store) -> None:
    today = (brand_day.c.brand_id == "b0") & (brand_day.c.day == TODAY)
    more = update(brand_day).where(today).values(spent=D("0.400001"))
    books.database.transaction(lambda connection: connection.execute(more))
    assert told(books) == [
        Difference("b0", TODAY, "spent in Redis", 400_000, "in brand_day", 400_001),
        Difference("b0", TODAY, "spent in brand_day", 400_001, "of events", 400_000),
    ]


def test_an_event_is_booked_on_another_day(books: Store) -> None:
    paid = performance_event.c.event_id == "paid yesterday"
    moved = update(performance_event).where(paid).values(budget_day=TODAY)
    books.database.transaction(lambda connection: connection.execute(moved))
    assert told(books) == [
        Difference("b0", YESTERDAY, "spent in brand_day", 550_000, "of events", 0),
        Difference("b0", TODAY, "spent in brand_day", 400_000, "of events", 950_000),
    ]


def test_of_days_before_events_had_theirs_only_redis_is_compared(books: Store) -> None:
    undated = update(performance_event).values(budget_day=None)
    books.database.transaction(lambda connection: connection.execute(undated))
    assert told(books) == []
    books.ledger.settle([], [Spent("b0", TODAY, 7, 9)], NOW)
    assert told(books) == [Difference("b0", TODAY, "spent in Redis", 7, "in brand_day", 400_000)]


def test_a_lost_ledger_is_no_difference_until_it_is_restored(books: Store) -> None:
    books.client.flushdb()
    assert told(books) == []
    books.client.set(books.ledger.partitions[0].alive, "not restored, though it says so")
    assert [(one.day, one.name, one.micros) for one in told(books)] == [
        (YESTERDAY, "spent in Redis", 0),
        (TODAY, "spent in Redis", 0),
    ]


class Late(Ledger):
    """A ledger that hears of a payment only after it was looked at once."""

    looked = 0

    def check(self) -> list[Difference]:
        self.looked += 1
        if self.looked == 2:
            self.settle([], [Spent("b0", TODAY, 400_000, 1)], NOW)
        return super().check()


def test_what_is_just_being_written_is_looked_up_again(books: Store) -> None:
    key = books.ledger.partition("b0").day(f"b0\x1f{TODAY}")
    books.client.hset(key, mapping={"spent": 0, "revision": 0})
    assert told(books) != []
    late = Late(books.client)
    assert (told(books, late), late.looked) == ([], 2)
