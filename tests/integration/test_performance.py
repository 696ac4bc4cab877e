"""Events on real servers: each counted exactly once, whoever else is sending."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from adbid.data.tables import performance_event
from adbid.domain.errors import Invalid
from adbid.domain.events import Event
from tests.support.performance import (  # noqa: F401  # fixtures
    CELL,
    NOW,
    THREADS,
    Store,
    at_once,
    database_with_catalog,
    fresh_store,
    statuses,
    store_maker,
)


def test_accepted_is_counted_everywhere(store: Store) -> None:
    results = store.ingest([store.event("e1"), store.event("e2", "click"), store.event("e3", "conversion")])
    assert statuses(results) == ["accepted"] * 3
    assert store.totals() == {CELL: (2, 2, 2, Decimal("1.20"), Decimal("3.75"))}
    assert store.pending() == []
    store.check_redis()


def test_a_batch_takes_the_same_few_statements_whatever_its_size(store: Store) -> None:
    if store.database.engine.dialect.name == "sqlite":
        pytest.skip("SQLite runs in this process: rows cost no round trips")

    def inserts() -> int:
        with store.database.engine.connect() as connection:
            rows = connection.exec_driver_sql("SHOW GLOBAL STATUS LIKE 'Com_insert'").all()
        return int(rows[0][1])

    def adjusted(number: int) -> Event:
        return store.adjustment(f"r{number}", "restatement", f"e{number}", count=number + 3)

    for first, size in ((0, 1), (1, 1_000)):
        numbers = range(first, first + size)
        before = inserts()
        outcomes = [store.event(f"e{n}", event_time=NOW - timedelta(hours=n)) for n in numbers]
        assert set(statuses(store.ingest(outcomes))) == {"accepted"}
        assert inserts() - before == 5  # events, totals, days, their rollup, outbox
        before = inserts()
        assert set(statuses(store.ingest([adjusted(n) for n in numbers]))) == {"accepted"}
        assert inserts() - before == 6  # the originals too
    store.check_redis()


def test_one_batch_for_many_partners(store: Store) -> None:
    batch = [store.event(f"e{place % 5}", partner_id=f"p{399 - place}") for place in range(300)]
    assert statuses(store.ingest(batch)) == ["accepted"] * 300
    assert statuses(store.ingest(batch)) == ["duplicate"] * 300
    retractions = [
        store.adjustment("x", "retraction", event.event_id, partner_id=event.partner_id) for event in batch
    ]
    assert statuses(store.ingest(retractions)) == ["accepted"] * 300
    assert statuses(store.ingest(retractions)) == ["duplicate"] * 300


def test_the_same_batch_from_everywhere_at_once_counts_once(store: Store) -> None:
    batch = [store.event(f"e{place}") for place in range(40)]
    batch += [store.adjustment(f"r{place}", "restatement", f"e{place}", count=3) for place in range(10)]
    batch += [store.adjustment(f"x{place}", "retraction", f"e{place}") for place in range(5)]
    answers = at_once(THREADS, lambda _: store.ingest(batch))
    for results in zip(*answers, strict=True):
        assert sorted(statuses(results)) == ["accepted"] + ["duplicate"] * (THREADS - 1)
    assert store.totals() == {CELL: (75, 0, 0, Decimal("14.00"), Decimal("43.75"))}
    store.check_redis()


def test_overlapping_batches_at_once_count_each_event_once(store: Store) -> None:
    def batch(place: int) -> list[Event]:
        numbers = [(place * 7 + offset) % 60 for offset in range(30)]
        return [store.event(f"e{number}", event_time=NOW - timedelta(hours=number % 5)) for number in numbers]

    answers = at_once(THREADS, lambda place: store.ingest(batch(place)))
    accepted = [result.event_id for results in answers for result in results if result.status == "accepted"]
    assert len(accepted) == len(set(accepted)) == len({e.event_id for p in range(THREADS) for e in batch(p)})
    assert {code for results in answers for code in statuses(results)} == {"accepted", "duplicate"}
    assert sum(int(str(measures[0])) for measures in store.totals().values()) == 2 * len(accepted)
    store.check_redis()


def test_one_event_retracted_from_everywhere_at_once_is_retracted_once(store: Store) -> None:
    store.ingest([store.event("e1"), store.event("e2")])
    answers = at_once(
        THREADS, lambda place: store.ingest([store.adjustment(f"x{place}", "retraction", "e1")])
    )
    assert sorted(statuses([results[0] for results in answers])) == ["accepted"] + ["already_retracted"] * 7
    assert store.totals() == {CELL: (2, 0, 0, Decimal("0.40"), Decimal("1.25"))}
    store.check_redis()


def test_restatements_at_once_follow_each_other(store: Store) -> None:
    store.ingest([store.event("e1")])

    def restatement(place: int) -> Event:
        return store.adjustment(f"r{place}", "restatement", "e1", count=place + 3)

    answers = at_once(THREADS, lambda place: store.ingest([restatement(place)]))
    assert statuses([results[0] for results in answers]) == ["accepted"] * THREADS
    [(impressions, *_)] = store.totals().values()
    assert impressions in range(3, 3 + THREADS)
    store.check_redis()


def test_totals_beyond_what_can_be_kept_are_refused_whole(store: Store) -> None:
    huge = Decimal("999999999999.999999")
    assert statuses(store.ingest([store.event("e1", cost=huge)])) == ["accepted"]
    with pytest.raises(Invalid, match="too large"):
        store.ingest([store.event("e2"), store.event("e3", event_time=NOW - timedelta(days=1))])
    with store.database.read() as connection:
        assert (
            connection.scalar(select(func.count()).where(performance_event.c.partner_id == store.partner))
            == 1
        )
    assert list(store.totals().values()) == [(2, 0, 0, huge, Decimal("1.25"))]
