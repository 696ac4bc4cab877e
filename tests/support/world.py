"""A small world for tests: a database, an empty Redis, a fixed clock, and API Gateway's events."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Table

from adbid import wiring
from adbid.data import tables
from adbid.data.counters import Generation, Increment
from adbid.domain.context import context_of, market

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FAR_FUTURE = 4_102_444_800

STRATEGY = {"priority": 0, "probe_share": 0, "exploration_share": 0}
BRAND = {
    "vertical": "retail",
    "currency": "USD",
    "timezone": "UTC",
    "daily_budget": None,
    "target_roas": 2,
    "status": "active",
}
PARTNER = {"quality": 0.5}
SLOT = {"partner_id": None, "placement_score": 0.5, "floor": 0, "currency": "USD"}


@dataclass
class World:
    """Where a test's handlers find their data. `clock` is the time they see."""

    clock: datetime = NOW

    def set(self, catalog: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Stores strategies, brands, partners and slots, each with defaults for what it leaves out."""
        kinds: list[tuple[str, Table, Mapping[str, Any]]] = [
            ("strategies", tables.brand_strategy, STRATEGY),
            ("brands", tables.brand, BRAND),
            ("partners", tables.partner, PARTNER),
            ("slots", tables.ad_slot, SLOT),
        ]
        history = {"version": 1, "created_at": NOW, "updated_at": NOW}

        def store(connection: Connection) -> None:
            for name, table, defaults in kinds:
                for item in catalog.get(name, ()):
                    row = {"name": item["id"], **defaults, **history, **item}
                    connection.execute(table.insert().values(row))
            for prior in catalog.get("priors", ()):
                scope = dict.fromkeys(tables.SCOPE, "")
                connection.execute(tables.prior.insert().values({**scope, **history, **prior}))

        wiring.database().transaction(store)

    def past(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Counts what happened in Redis: measures per brand, partner, slot and context at a time."""
        increments = [
            Increment(
                market(row.get("currency", "USD"), row.get("vertical", "retail")),
                row["brand_id"],
                row["partner_id"],
                row["slot_id"],
                context_of(row),
                datetime.fromisoformat(row.get("at", NOW.isoformat())),
                tuple(
                    float(row.get(measure, 0))
                    for measure in ("impressions", "clicks", "conversions", "cost", "revenue")
                ),
            )
            for row in rows
        ]
        generation = Generation("g", NOW)
        wiring.counters().publish(generation)
        assert wiring.counters().add(generation, "past", increments)


@pytest.fixture
def world(
    tmp_path_factory: pytest.TempPathFactory, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterable[World]:
    """A fresh world on SQLite and a real Redis."""
    yield from _world(f"sqlite:///{tmp_path_factory.mktemp('world')}/adbid.db", redis_url, monkeypatch)


def _world(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterable[World]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    made = World()
    monkeypatch.setattr(wiring, "now", lambda: made.clock)
    wiring.reset()
    tables.metadata.create_all(wiring.database().engine)
    yield made
    wiring.database().dispose()
    wiring.redis_client().close()
    wiring.reset()


def http_event(
    method: str,
    path: str,
    body: Any = None,
    *,
    claims: Mapping[str, Any] | None = None,
    query: str = "",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An API Gateway HTTP API event (payload 2.0) whose token the authorizer has verified."""
    lists = ("brand_ids", "partner_ids")
    given = {"sub": "tester", "scope": "admin", "exp": FAR_FUTURE, **(claims or {})}
    context = {name: json.dumps(value) if name in lists else str(value) for name, value in given.items()}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": "api.example", "content-type": "application/json", **(headers or {})},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "test-request",
            "stage": "$default",
            "authorizer": {"lambda": context},
        },
        "body": body if isinstance(body, str) or body is None else json.dumps(body),
        "isBase64Encoded": False,
    }
