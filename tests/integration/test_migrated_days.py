"""What was counted before days were kept: the migration adds up brands' days, and corrections find them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Connection, select

import migrations
from adbid.data import brand_days, ledger_checks, ledger_snapshots, tables
from adbid.data.counters import Counters
from adbid.data.database import Database
from adbid.data.ledger import Ledger
from adbid.data.outbox import Outbox
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.events import COUNTED, Event
from adbid.engine.performance import PerformanceIngest
from tests.support.world import BRAND, PARTNER

NOW = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
ZONES = {"delhi": "Asia/Kolkata", "angeles": "America/Los_Angeles", "utc": "UTC"}
BEFORE = [  # what was counted before days were kept: brand, quarter hour, clicks, cost, revenue
    ("delhi", datetime(2026, 11, 20, 18, 15, tzinfo=UTC), 1, "0.25", "1"),  # 23:45
    ("delhi", datetime(2026, 11, 20, 18, 30, tzinfo=UTC), 2, "0.000001", "2"),  # 0:00 of the 21st
    ("delhi", datetime(2026, 11, 20, 18, 30, tzinfo=UTC), 4, "0.5", "0"),  # in another cell
    ("angeles", datetime(2026, 11, 1, 6, 45, tzinfo=UTC), 1, "1", "0"),  # 23:45 in October
    ("angeles", datetime(2026, 11, 1, 7, tzinfo=UTC), 2, "2", "0"),  # a day of 25 hours begins
    ("angeles", datetime(2026, 11, 2, 7, 45, tzinfo=UTC), 4, "4", "3"),  # and ends
    ("angeles", datetime(2026, 11, 2, 8, tzinfo=UTC), 8, "8", "0"),
    ("utc", datetime(2026, 11, 20, 18, 30, tzinfo=UTC), 1, "0.1", "0"),
    ("gone", datetime(2026, 11, 20, 23, 45, tzinfo=UTC), 1, "0.1", "0"),  # a brand that was deleted
]
DAYS = {  # clicks, cost, revenue, by hand
    ("delhi", date(2026, 11, 20)): (1, "0.25", "1"),
    ("delhi", date(2026, 11, 21)): (6, "0.500001", "2"),
    ("angeles", date(2026, 10, 31)): (1, "1", "0"),
    ("angeles", date(2026, 11, 1)): (6, "6", "3"),
    ("angeles", date(2026, 11, 2)): (8, "8", "0"),
    ("utc", date(2026, 11, 20)): (1, "0.1", "0"),
    ("gone", date(2026, 11, 20)): (1, "0.1", "0"),
}


@pytest.fixture
def empty(new_database_url: str) -> Iterator[Database]:
    with Database(new_database_url, statement_timeout=None) as database:
        yield database


def before_days_were_kept(connection: Connection) -> None:
    """Each of `BEFORE` as an event, and as what it has added to `performance`."""
    history = {"version": 1, "created_at": NOW, "updated_at": NOW}
    for brand, zone in ZONES.items():
        common = {**BRAND, "id": brand, "name": brand, "strategy_id": "balanced", "timezone": zone}
        connection.execute(tables.brand.insert().values(**common, **history))
    connection.execute(tables.partner.insert().values(**PARTNER, id="p", name="p", **history))
    for number, (brand, at, clicks, cost, revenue) in enumerate(BEFORE):
        amounts = {"cost": Decimal(cost), "revenue": Decimal(revenue)}
        place = {"brand_id": brand, "partner_id": "p", "slot_id": "s", "pricing_model": "CPC"}
        place |= dict.fromkeys(CONTEXT_DIMENSIONS, "")
        cell = {"bucket_start": at, "cell_hash": bytes([number]) * 16, "impressions": 0, "conversions": 0}
        connection.execute(tables.performance.insert().values(**place, **cell, clicks=clicks, **amounts))
        event: dict[str, Any] = {**place, **dict.fromkeys(("decision_id", "bid_id", "adjusts_event_id"), "")}
        event |= {"event_id": str(number), "event_type": "click", "event_time": at, "received_at": at}
        event |= {"currency": "USD", "event_count": clicks, **amounts, "state": COUNTED}
        event |= {"current_count": clicks, "body_hash": bytes(32)}
        event |= {f"current_{name}": amount for name, amount in amounts.items()}
        connection.execute(tables.performance_event.insert().values(event))


def test_days_of_before_are_added_up_where_their_brand_is(empty: Database) -> None:
    migrations.upgrade(empty, "0003")
    empty.transaction(before_days_were_kept)
    migrations.upgrade(empty, "0004")
    with empty.read() as connection:
        days = [dict(one) for one in connection.execute(select(tables.brand_day)).mappings()]
        undated = connection.execute(select(tables.performance_event.c.budget_day)).scalars().all()
    assert {(day.pop("brand_id"), day.pop("day")): day for day in days} == {
        key: {
            "impressions": 0,
            "clicks": clicks,
            "conversions": 0,
            "cost": Decimal(cost),
            "revenue": Decimal(revenue),
            "spent": Decimal(cost),
            "revision": 1,
        }
        for key, (clicks, cost, revenue) in DAYS.items()
    }
    assert undated == [None] * len(BEFORE)  # a correction finds the day: `adbid.engine.batch`


def test_what_is_corrected_later_moves_the_day_that_was_added_up(
    empty: Database, redis_client: Redis
) -> None:
    migrations.upgrade(empty, "0003")
    empty.transaction(before_days_were_kept)
    migrations.upgrade(empty)
    counters, ledger = Counters(redis_client), Ledger(redis_client)
    ingest = PerformanceIngest(empty, Outbox(empty, counters), ledger)
    nothing: dict[str, Any] = dict.fromkeys(("brand_id", "slot_id", "pricing_model"), "")
    nothing |= dict.fromkeys(("count", "cost", "revenue"))
    [result] = ingest.ingest(
        [
            Event(
                partner_id="p",
                event_id="less",
                type="restatement",
                event_time=NOW,
                context=("",) * len(CONTEXT_DIMENSIONS),
                currency="USD",
                decision_id="",
                bid_id="",
                adjusts_event_id="1",
                **{**nothing, "cost": Decimal(0)},
            )
        ],
        visible_partners=None,
        now=NOW,
    )
    assert (result.status, result.code) == ("accepted", "")
    key = ("delhi", date(2026, 11, 21))
    with empty.read() as connection:
        [moved] = brand_days.of_brand(connection, *key)
    assert (moved.day, moved.cost, moved.spent, moved.revision) == (key[1], Decimal("0.5"), Decimal("0.5"), 2)
    assert ledger.accounts([key])[key].spent == 500_000
    assert ledger_snapshots.restore(empty, ledger, NOW)
    assert ledger_checks.check(empty, ledger, NOW) == []
    assert len(ledger.days()) == 4  # those of November 20 and 21
