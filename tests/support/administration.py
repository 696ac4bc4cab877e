"""For tests of the administration: a migrated database, its use cases, and values of every kind."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import insert, select

import migrations
from adbid.data.cache import FeatureCache
from adbid.data.database import Database
from adbid.data.tables import audit_log, performance
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.engine.administration import Actor, Administration

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
ALICE = Actor("alice", "request-1")

_numbers = count()


@pytest.fixture(name="database", scope="module")
def migrated_database(database_url: str) -> Iterator[Database]:
    with Database(database_url, pool_size=4, statement_timeout=None) as made:
        migrations.upgrade(made)
        yield made


@pytest.fixture(name="clock")
def ticking_clock() -> Callable[[], datetime]:
    """Every look at it is a second later."""
    ticks = count()
    return lambda: START + timedelta(seconds=next(ticks))


@pytest.fixture(name="moved")
def noted_moves() -> list[tuple[str, str, str]]:
    return []


@pytest.fixture(name="administration")
def use_cases(
    database: Database, redis_client: Redis, clock: Callable[[], datetime], moved: list[tuple[str, str, str]]
) -> Administration:
    cache = FeatureCache(redis_client)
    return Administration(database, cache, clock=clock, move_brand=lambda *said: moved.append(said))


def new(prefix: str) -> str:
    """An id nobody else uses: the tests share one database."""
    return f"{prefix} {next(_numbers)}/ü"


def strategy(**values: Any) -> dict[str, Any]:
    key = new("strategy")
    numbers = {
        "vpi_multiplier": Decimal("1.1"),
        "probe_share": Decimal("0.1"),
        "exploration_share": Decimal(0),
    }
    return {"id": key, "name": key, "priority": 5, **numbers, **values}


def brand(**values: Any) -> dict[str, Any]:
    key = new("brand")
    return {
        "id": key,
        "name": key,
        "vertical": "travel",
        "strategy_id": "growth",
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "daily_budget": Decimal("250.5"),
        "target_roas": Decimal("2.5"),
        "status": "active",
        **values,
    }


def partner(**values: Any) -> dict[str, Any]:
    key = new("partner")
    return {"id": key, "name": key, "quality": Decimal("0.8"), **values}


def slot(**values: Any) -> dict[str, Any]:
    key = new("slot")
    numbers = {"placement_score": Decimal("0.7"), "floor": Decimal("1.25")}
    return {"id": key, "name": key, "partner_id": None, "currency": "EUR", **numbers, **values}


def prior(**values: Any) -> dict[str, Any]:
    scope = dict.fromkeys(("vertical", "brand_id", "partner_id", "slot_id", "device_type"), "")
    return {**scope, "id": new("prior"), "prior_clicks": Decimal(3), "prior_imps": Decimal(100), **values}


def vertical_prior(**values: Any) -> dict[str, Any]:
    return prior(**{"vertical": new("vertical"), **values})


def happened(database: Database, **ids: str) -> None:
    """One impression of a brand, a partner and a slot."""
    row = {
        "bucket_start": START,
        "cell_hash": next(_numbers).to_bytes(16, "big"),
        **dict.fromkeys(("brand_id", "partner_id", "slot_id"), "somebody else"),
        **dict.fromkeys(CONTEXT_DIMENSIONS, ""),
        "pricing_model": "CPM",
        "impressions": 1,
        "clicks": 0,
        "conversions": 0,
        "cost": Decimal(1),
        "revenue": Decimal(0),
        **ids,
    }
    database.transaction(lambda connection: connection.execute(insert(performance).values(row)))


def audit(database: Database, item_id: str) -> list[dict[str, Any]]:
    query = select(audit_log).where(audit_log.c.object_id == item_id).order_by(audit_log.c.id)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def version(number: int) -> Callable[[int], bool]:
    return lambda seen: seen == number
