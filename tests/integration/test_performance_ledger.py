"""Events that follow from decisions: booked on the decision's day, and each reservation ends once."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import select

from adbid.data.ledger import Ledger
from adbid.data.tables import performance_event
from adbid.domain.events import Event
from adbid.domain.ledger import Won
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

TODAY, YESTERDAY = date(2026, 11, 20), date(2026, 11, 19)
DECIDED = NOW - timedelta(hours=12)  # yesterday evening
D = Decimal


def following(store: Store, won: Won, event_id: str, type_: str, **said: object) -> Event:
    """An event that names the bid it follows from."""
    names = {"decision_id": won.decision_id, "bid_id": won.bid_id, "brand_id": won.brand_id}
    return store.event(event_id, type_, **{**names, "pricing_model": won.pricing_model, "count": 1, **said})


def money(store: Store, brand: str, day: date) -> tuple[int, int, int]:
    """Spent, reserved and ever granted in the ledger, in micros."""
    [account] = store.ledger.accounts([(brand, day)]).values()
    return account.spent, account.reserved, account.granted


def unreachable() -> Ledger:
    return Ledger(redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)))


class Dies(Ledger):
    """The ledger of a process that ends once its batch has committed."""

    def settle(self, *_: object) -> None:  # type: ignore[override]
        raise KeyboardInterrupt


def test_a_conversion_of_the_next_day_is_paid_from_the_day_of_its_decision(store: Store) -> None:
    won = store.win("d1", pricing_model="CPA", micros=12_000_000, day=YESTERDAY, now=DECIDED)
    assert money(store, "b0", YESTERDAY) == (0, 12_000_000, 12_000_000)
    store.ingest([following(store, won, "e1", "conversion", cost=D("12.50"), revenue=D("31.00"))])
    assert store.days() == {
        ("b0", YESTERDAY): (0, 0, 0, D(0), D(0), D("12.50"), 1),
        ("b0", TODAY): (0, 0, 1, D("12.50"), D("31.00"), D(0), 1),
    }
    assert money(store, "b0", YESTERDAY) == (12_500_000, 0, 12_000_000)
    store.check_days()


def test_corrections_move_the_money_of_the_decisions_day(store: Store) -> None:
    won = store.win("d1", day=YESTERDAY, now=DECIDED)
    store.ingest([following(store, won, "e1", "click", cost=D("0.40"))])
    assert money(store, "b0", YESTERDAY) == (400_000, 0, 400_000)
    store.ingest([store.adjustment("r1", "restatement", "e1", cost=D("0.55"))])
    assert money(store, "b0", YESTERDAY) == (550_000, 0, 400_000)
    for _ in range(2):
        store.ingest([store.adjustment("r2", "retraction", "e1")])
        assert money(store, "b0", YESTERDAY) == (0, 0, 400_000)
    with store.database.read() as connection:
        own = performance_event.c.partner_id == store.partner
        days = connection.scalars(select(performance_event.c.budget_day).where(own)).all()
    assert days == [YESTERDAY] * 3
    store.check_days()


@pytest.mark.parametrize(
    ("pricing", "paid"), [("CPM", "impression"), ("CPC", "click"), ("CPA", "conversion")]
)
def test_only_what_a_bid_is_paid_for_ends_its_reservation(store: Store, pricing: str, paid: str) -> None:
    won = store.win("d1", pricing_model=pricing, micros=400_000)
    kinds = ["impression", "click", "conversion"]
    kinds.sort(key=lambda kind: kind == paid)
    for place, kind in enumerate(kinds):
        store.ingest([following(store, won, kind, kind, cost=D(0))])
        assert money(store, "b0", TODAY)[1] == (0 if place == 2 else 400_000)
    store.ingest([following(store, won, "once more", paid, cost=D(0))])
    assert money(store, "b0", TODAY) == (0, 0, 400_000)


def test_an_event_that_contradicts_its_decision_changes_nothing(store: Store) -> None:
    won = store.win("d1")
    other = f"p{int(store.partner[1:]) + 100}"
    wrong = [
        following(store, won, "e1", "click", brand_id="b1"),
        following(store, won, "e2", "click", slot_id="s1"),
        following(store, won, "e3", "click", pricing_model="CPM"),
        following(store, won, "e4", "click", partner_id=other, brand_id="b1"),
    ]
    results = store.ingest(wrong)
    assert {(one.status, one.code) for one in results} == {("rejected", "contradicts_decision")}
    fields = ["brand_id", "slot_id", "pricing_model", "partner_id"]
    assert [one.message for one in results] == [f"{name}: decision d1 says otherwise" for name in fields]
    assert store.days() == {}
    assert money(store, "b0", TODAY) == (0, 400_000, 400_000)
    assert statuses(store.ingest([following(store, won, "e1", "click")])) == ["accepted"]


def test_a_reservation_left_open_by_a_process_that_ended_is_closed_by_the_repetition(store: Store) -> None:
    won = store.win("d1")
    event = following(store, won, "e1", "click")
    with pytest.raises(KeyboardInterrupt):
        store.ingest([event], ledger=Dies(store.client))
    assert money(store, "b0", TODAY) == (0, 400_000, 400_000)
    assert statuses(store.ingest([event])) == ["duplicate"]
    assert money(store, "b0", TODAY)[1:] == (0, 400_000)


def test_without_the_ledger_events_count_on_their_own_day(store: Store) -> None:
    won = store.win("d1", day=YESTERDAY, now=DECIDED)
    events = [following(store, won, "e1", "click"), following(store, won, "e2", "click", slot_id="s1")]
    assert statuses(store.ingest(events, ledger=unreachable())) == ["accepted"] * 2
    assert store.days() == {("b0", TODAY): (0, 2, 0, D("0.80"), D("2.50"), D("0.80"), 1)}
    # Not another partner's, not even as a repetition: it never was of this decision.
    assert statuses(store.ingest([events[1]])) == ["duplicate"]
    assert money(store, "b0", YESTERDAY)[1] == 400_000


def test_of_a_decision_that_is_forgotten_nothing_is_known(store: Store) -> None:
    won = Won("d0", "bid", "b0", store.partner, "s0", "CPC", YESTERDAY, 400_000)
    store.ingest([following(store, won, "e1", "click"), following(store, won, "e2", "click", bid_id="")])
    assert store.days() == {("b0", TODAY): (0, 2, 0, D("0.80"), D("2.50"), D("0.80"), 1)}


@pytest.mark.parametrize(
    ("brand", "decided", "day"),
    [
        ("auckland", "2026-11-18T10:30:00+00:00", date(2026, 11, 18)),  # half past eleven at night there
        ("auckland", "2026-11-18T11:30:00+00:00", date(2026, 11, 19)),
        ("los angeles", "2026-11-18T07:30:00+00:00", date(2026, 11, 17)),
        ("los angeles", "2026-11-18T08:30:00+00:00", date(2026, 11, 18)),
    ],
)
def test_around_midnight_where_the_brand_is(store: Store, brand: str, decided: str, day: date) -> None:
    at = datetime.fromisoformat(decided)
    won = store.win("d1", brand_id=brand, day=day, now=at)
    later = at + timedelta(hours=1)
    store.ingest([following(store, won, "e1", "click", event_time=later)], now=later)
    paid = {key: numbers[5] for key, numbers in store.days().items() if numbers[5]}
    assert paid == {(brand, day): D("0.40")}
    assert money(store, brand, day) == (400_000, 0, 400_000)
    store.check_days()


def test_the_ledger_ends_up_with_what_mysql_says_whoever_comes_first(store: Store) -> None:
    wins = [[store.win(f"d{place}-{n}") for n in range(20)] for place in range(THREADS)]

    def work(place: int) -> list[object]:
        return [
            result
            for n, won in enumerate(wins[place])
            for result in store.ingest([following(store, won, f"e{place}-{n}", "click", cost=D("0.37"))])
        ]

    at_once(THREADS, work)  # type: ignore[arg-type]
    assert store.days()["b0", TODAY][5:] == (D("0.37") * 20 * THREADS, 20 * THREADS)
    assert money(store, "b0", TODAY) == (370_000 * 20 * THREADS, 0, 400_000 * 20 * THREADS)
