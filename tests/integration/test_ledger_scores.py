"""The ledger as scores meet it: many at once, days of 23 and 25 hours, and no Redis to be had."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from adbid import wiring
from functions.ingest.app import handler as ingest
from functions.score.app import handler as score
from tests.support.processes import free_port
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

COST = 2_500
"""What an impression at 2.50 per thousand reserves, in micros."""

BID = {
    "id": "b",
    "brand_id": "limited",
    "partner_id": "p",
    "slot_id": "s",
    "pricing_model": "CPM",
    "amount": "2.50",
    "currency": "USD",
}
PREDICTIONS = (
    "value_per_impression",
    "predicted_ctr",
    "predicted_cvr",
    "predicted_revenue",
    "predicted_cost",
    "predicted_roas",
)

_numbers = count()


def market(world: World, *, budget: str, timezone: str = "UTC") -> None:  # noqa: F811
    """`limited` may spend its budget a day, `free` anything."""
    world.set(
        {
            "strategies": [{"id": "plain", "vpi_multiplier": 1}],
            "brands": [
                {"id": "limited", "strategy_id": "plain", "daily_budget": budget, "timezone": timezone},
                {"id": "free", "strategy_id": "plain"},
            ],
            "partners": [{"id": "p"}],
            "slots": [{"id": "s"}],
        }
    )


def answer(*bids: dict[str, Any], **said: Any) -> dict[str, Any]:
    body = {"id": f"r{next(_numbers)}", "bids": [{**BID, **bid} for bid in bids or ({},)], **said}
    response = score(http_event("POST", "/api/score", body), None)
    assert response["statusCode"] == 200, response["body"]
    found: dict[str, Any] = json.loads(response["body"])
    return found


def reasons() -> list[str]:
    """Why the only bid didn't win; nothing when it did."""
    [result] = answer()["results"]
    found: list[str] = result["reasons"]
    assert result["status"] == ("rejected" if found else "won")
    return found


def win_and_pay() -> None:
    decided = answer()
    assert [result["status"] for result in decided["results"]] == ["won"]
    event = {name: BID[name] for name in ("brand_id", "partner_id", "slot_id", "pricing_model", "currency")}
    event |= {"event_id": f"e{next(_numbers)}", "type": "impression", "event_time": wiring.now().isoformat()}
    event |= {"decision_id": decided["decision_id"], "bid_id": "b", "cost": "0.0025", "revenue": "0.01"}
    response = ingest(http_event("POST", "/api/performance", {"events": [event]}), None)
    assert json.loads(response["body"])["results"] == [{"event_id": event["event_id"], "status": "accepted"}]


def test_sixteen_threads_end_at_exactly_the_last_affordable_win(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market(world, budget="0.0351")  # 14 impressions, and 100 micros that buy none
    monkeypatch.setenv("REDIS_TIMEOUT", "10")  # a busy machine is no outage
    wiring.close()
    assert reasons() == []

    def spend(_: int) -> int:
        loop = asyncio.new_event_loop()  # as the local gateway gives each of its threads one
        asyncio.set_event_loop(loop)
        try:
            asked = [reasons() for _ in range(4)]
        finally:
            loop.close()
        assert [one for one in asked if one not in ([], ["budget_exhausted"])] == []
        return asked.count([])

    with ThreadPoolExecutor(16) as pool:
        assert 1 + sum(pool.map(spend, range(16))) == 14
    [held] = wiring.ledger().accounts([("limited", world.clock.date())]).values()
    assert (held.reserved, held.granted, held.remaining) == (14 * COST, 14 * COST, 100)
    assert wiring.ledger().check() == []


@pytest.mark.parametrize(
    ("timezone", "day", "start", "end"),
    [
        ("Europe/Berlin", date(2026, 10, 25), "2026-10-24T22:00", "2026-10-25T23:00"),  # 2:30 comes twice
        ("Europe/Berlin", date(2026, 3, 29), "2026-03-28T23:00", "2026-03-29T22:00"),  # and never
        ("America/Havana", date(2026, 11, 1), "2026-11-01T04:00", "2026-11-02T05:00"),  # 0:30 comes twice
        ("Africa/Cairo", date(2026, 4, 24), "2026-04-23T22:00", "2026-04-24T21:00"),  # there is no midnight
    ],
)
def test_a_day_has_one_budget_however_many_hours_it_has(
    world: World,  # noqa: F811
    timezone: str,
    day: date,
    start: str,
    end: str,
) -> None:
    market(world, budget="0.01", timezone=timezone)
    begin, over = [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end)]
    world.clock = begin - timedelta(seconds=1)
    assert [reasons() for _ in range(5)] == [[]] * 4 + [["budget_exhausted"]]
    world.clock = begin
    for _ in range(4):
        win_and_pay()
    while world.clock < over:
        assert reasons() == ["budget_exhausted"], world.clock
        world.clock += timedelta(minutes=30)
    world.clock = over - timedelta(seconds=1)
    assert reasons() == ["budget_exhausted"]
    world.clock = over
    assert reasons() == []
    around = [("limited", day + timedelta(days=number)) for number in (-1, 0, 1)]
    accounts = wiring.ledger().accounts(around).values()
    assert [(held.granted, held.spent) for held in accounts] == [
        (4 * COST, 0),
        (4 * COST, 4 * COST),
        (COST, 0),
    ]


@pytest.mark.parametrize(
    ("lost", "degraded"),
    [
        ("LEDGER_URL", ["no_revenue_data", "ledger_unavailable"]),
        ("REDIS_URL", ["cache_unavailable", "no_revenue_data", "ledger_unavailable"]),
    ],
)
def test_without_redis_predictions_are_answered_and_no_money_is_promised(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
    degraded: list[str],
) -> None:
    market(world, budget="0.01")
    bids = [{}, {"id": "z", "brand_id": "free", "amount": "1.00"}]
    before = {result["bid_id"]: result for result in answer(*bids)["results"]}
    assert (before["b"]["status"], before["z"]["status"]) == ("won", "ranked")
    monkeypatch.setenv(lost, f"redis://127.0.0.1:{free_port()}/0")
    wiring.close()
    for _ in range(2):  # at first, and as long as it lasts
        found = answer(*bids)
        assert sorted(found["degraded"]) == sorted(degraded)
        after = {result["bid_id"]: result for result in found["results"]}
        assert (after["b"]["status"], after["b"]["reasons"]) == ("rejected", ["ledger_unavailable"])
        assert (after["z"]["status"], after["z"]["reasons"]) == ("won", [])  # who needs no ledger
        for bid in "bz":
            assert all(after[bid][name] is not None for name in PREDICTIONS)
            assert {n: after[bid][n] for n in PREDICTIONS} == {n: before[bid][n] for n in PREDICTIONS}


def test_how_long_a_win_is_known_is_a_setting(
    world: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market(world, budget="0.01")
    monkeypatch.setenv("WON_SECONDS", "4000")
    wiring.close()
    key = wiring.ledger().partitions[0].won(answer()["decision_id"])
    assert wiring.redis_client().ttl(key) == pytest.approx(4000, abs=30)
