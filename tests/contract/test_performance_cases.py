"""Golden cases of POST /api/performance: calls, exact answers and the totals they leave, as JSON files."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from adbid import wiring
from adbid.data.tables import performance
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES
from adbid.domain.money import format_money
from functions.ingest.app import handler
from functions.ingest.models import AnyEvent
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

CASES = sorted((Path(__file__).parent / "cases" / "performance").glob("*.json"))

CATALOG = {
    "strategies": [{"id": "plain", "vpi_multiplier": 1}],
    "brands": [{"id": "b1", "strategy_id": "plain"}, {"id": "b2", "strategy_id": "plain", "currency": "EUR"}],
    "partners": [{"id": "p1"}, {"id": "p2"}],
    "slots": [{"id": "s1"}, {"id": "s2", "partner_id": "p2"}],
}
PARTNER = {"scope": "partner", "partner_ids": ["p1"], "brand_ids": []}
IDS = ("brand_id", "partner_id", "slot_id", *CONTEXT_DIMENSIONS, "pricing_model")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, world: World) -> None:  # noqa: F811
    case = json.loads(path.read_text())
    world.set(CATALOG)
    for call in case["calls"]:
        event = http_event("POST", "/api/performance", call["request"], claims=call.get("claims", PARTNER))
        answer = handler(event, None)
        assert answer["statusCode"] == call.get("status", 200)
        assert json.loads(answer["body"]) == call["answer"]
    assert totals() == case["performance"]


def totals() -> list[dict[str, Any]]:
    """What is counted, without what is nothing."""
    with wiring.database().read() as connection:
        query = select(performance).order_by(performance.c.bucket_start, *IDS)
        rows = connection.execute(query).mappings().all()
    return [_shown(row) for row in rows if any(row[measure] for measure in MEASURES)]


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"bucket_start": row["bucket_start"].isoformat()}
    for name in (*IDS, *MEASURES):
        value = row[name]
        if value:
            shown[name] = format_money(value) if isinstance(value, Decimal) else value
    return shown


def test_every_context_dimension_may_be_reported() -> None:
    for kind in AnyEvent.__origin__.__args__:
        assert set(CONTEXT_DIMENSIONS) <= set(kind.__annotations__) | set(kind.__optional_keys__)
