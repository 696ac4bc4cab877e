"""Golden cases of POST /api/performance: calls, exact answers and what they leave, as JSON files.

A case may name bids that were won before; they reserve nothing, as those of a brand without a budget.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from adbid import wiring
from adbid.data import brand_days
from adbid.data.tables import performance
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES
from adbid.domain.ledger import Candidate
from adbid.domain.money import format_money
from functions.ingest.app import handler
from functions.ingest.models import AnyEvent
from tests.support.world import NOW, World, http_event, world  # noqa: F401  # a fixture

CASES = sorted((Path(__file__).parent / "cases" / "performance").glob("*.json"))

CATALOG = {
    "strategies": [{"id": "plain", "vpi_multiplier": 1}],
    "brands": [{"id": "b1", "strategy_id": "plain"}, {"id": "b2", "strategy_id": "plain", "currency": "EUR"}],
    "partners": [{"id": "p1"}, {"id": "p2"}],
    "slots": [{"id": "s1"}, {"id": "s2", "partner_id": "p2"}, {"id": "s3"}],
}
PARTNER = {"scope": "partner", "partner_ids": ["p1"], "brand_ids": []}
IDS = ("brand_id", "partner_id", "slot_id", *CONTEXT_DIMENSIONS, "pricing_model")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, world: World) -> None:  # noqa: F811
    case = json.loads(path.read_text())
    world.set(CATALOG)
    for won in case.get("won", ()):
        win(**won)
    for call in case["calls"]:
        event = http_event("POST", "/api/performance", call["request"], claims=call.get("claims", PARTNER))
        answer = handler(event, None)
        assert answer["statusCode"] == call.get("status", 200)
        assert json.loads(answer["body"]) == call["answer"]
    assert totals() == case["performance"]
    if "days" in case:
        assert days() == case["days"]


def win(decision_id: str, day: str, **bid: str) -> None:
    candidate = Candidate(**bid, day=date.fromisoformat(day), micros=0, budget=None)  # type: ignore[arg-type]
    wiring.ledger().decide(decision_id, b"request", b"record", [[candidate]], NOW)


def totals() -> list[dict[str, Any]]:
    """What is counted, without what is nothing."""
    with wiring.database().read() as connection:
        query = select(performance).order_by(performance.c.bucket_start, *IDS)
        rows = connection.execute(query).mappings().all()
    return [
        _shown(row, "bucket_start", (*IDS, *MEASURES))
        for row in rows
        if any(row[measure] for measure in MEASURES)
    ]


def days() -> list[dict[str, Any]]:
    """The same of brands' days."""
    with wiring.database().read() as connection:
        rows = [asdict(row) for row in brand_days.recent(connection, date.min)]
    return [_shown(row, "day", ("brand_id", *MEASURES, "spent")) for row in rows]


def _shown(row: Mapping[Any, Any], when: str, names: Iterable[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {when: row[when].isoformat()}
    for name in names:
        value = row[name]
        if value:
            shown[name] = format_money(value) if isinstance(value, Decimal) else value
    return shown


def test_every_context_dimension_may_be_reported() -> None:
    for kind in AnyEvent.__origin__.__args__:
        assert set(CONTEXT_DIMENSIONS) <= set(kind.__annotations__) | set(kind.__optional_keys__)
