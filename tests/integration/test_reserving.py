"""Scoring with money at stake: budgets, repeats, probes and prices, over a real ledger."""

import json
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
import redis

from adbid import wiring
from adbid.data import ledger_snapshots
from adbid.data.steering import Steering, SteeringStore
from adbid.domain.exploration import pick
from adbid.engine.scoring import decision_id
from functions.ingest.app import handler as ingest
from functions.score.app import handler as score
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

_numbers = count()
BID = {
    "id": "b",
    "brand_id": "limited",
    "partner_id": "p",
    "slot_id": "s1",
    "pricing_model": "CPM",
    "amount": "2.50",
    "currency": "USD",
}


@pytest.fixture
def market(world: World) -> World:  # noqa: F811
    """`limited` may spend 1 cent a day: four impressions at 2.50 per thousand. `free` may spend anything."""
    world.set(
        {
            "strategies": [
                {"id": "plain", "vpi_multiplier": 1},
                {"id": "probing", "vpi_multiplier": 1, "probe_share": "0.5"},
                {"id": "exploring", "vpi_multiplier": 1, "exploration_share": 1},
            ],
            "brands": [
                {"id": "limited", "strategy_id": "plain", "daily_budget": "0.01", "timezone": "Asia/Tokyo"},
                {"id": "free", "strategy_id": "plain"},
                {"id": "probing", "strategy_id": "probing"},
                {"id": "exploring", "strategy_id": "exploring"},
            ],
            "partners": [{"id": "p"}],
            "slots": [{"id": f"s{number}"} for number in range(1, 8)],
        }
    )
    return world


def answer(*bids: dict[str, Any], status: int = 200, **said: Any) -> dict[str, Any]:
    body = {"id": f"r{next(_numbers)}", "bids": [{**BID, **bid} for bid in bids or ({},)], **said}
    response = score(http_event("POST", "/api/score", body), None)
    assert response["statusCode"] == status, response["body"]
    found: dict[str, Any] = json.loads(response["body"])
    return found


def results(*bids: dict[str, Any], **said: Any) -> dict[str, dict[str, Any]]:
    return {result["bid_id"]: result for result in answer(*bids, **said)["results"]}


def on_every_slot(slots: int) -> list[dict[str, Any]]:
    return [{"id": f"b{number}", "slot_id": f"s{number}"} for number in range(1, slots + 1)]


def account() -> Any:
    (found,) = wiring.ledger().accounts(wiring.ledger().days()).values()
    return found


def event(bid: dict[str, Any], decision: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{next(_numbers)}",
        "type": kind,
        "event_time": (wiring.now() - timedelta(minutes=1)).isoformat(),
        **{name: bid[name] for name in ("brand_id", "partner_id", "slot_id", "pricing_model", "currency")},
        "decision_id": decision,
        "bid_id": bid["id"],
        **more,
    }


def reported(*events: dict[str, Any]) -> list[dict[str, Any]]:
    response = ingest(http_event("POST", "/api/performance", {"events": list(events)}), None)
    assert response["statusCode"] == 200, response["body"]
    found: list[dict[str, Any]] = json.loads(response["body"])["results"]
    return found


def test_a_bundle_stops_at_the_budget(market: World) -> None:
    found = results(*on_every_slot(5))
    assert [found[f"b{number}"]["status"] for number in range(1, 6)] == ["won"] * 4 + ["rejected"]
    assert found["b5"]["reasons"] == ["budget_exhausted"]
    assert found["b5"]["rank"] is None
    held = account()
    assert (held.brand_id, held.budget, held.reserved, held.spent) == ("limited", 10_000, 10_000, 0)
    assert held.day.isoformat() == "2026-11-20"  # 18:00 in Tokyo


def test_the_next_in_line_wins_what_the_best_cannot_afford(market: World) -> None:
    assert all(one["status"] == "won" for one in results(*on_every_slot(4)).values())
    found = results({"id": "a"}, {"id": "z", "brand_id": "free", "amount": "1.00"})
    assert (found["a"]["status"], found["a"]["reasons"]) == ("rejected", ["budget_exhausted"])
    assert (found["z"]["status"], found["z"]["rank"], found["z"]["reasons"]) == ("won", 1, [])


def test_a_repeat_is_the_first_decision_and_other_content_a_conflict(market: World) -> None:
    bids = [{}, {"id": "z", "brand_id": "free", "amount": 1}]
    first = answer(*bids, id="same")
    market.clock += timedelta(minutes=5)
    SteeringStore(wiring.redis_client()).put({"free": Steering(2.0, 1.0, 1.5)})  # too late for this one
    assert answer(*reversed(bids), id="same") == first
    assert answer(bids[0], {**bids[1], "amount": "1.00"}, id="same") == first
    assert account().reserved == 2_500
    problem = answer({}, id="same", status=409)
    assert problem["type"].endswith(":decision_conflict")


def test_a_repeat_explains_as_the_first_did(market: World) -> None:
    first = answer({}, id="same", explain=True)
    assert first["results"][0]["explanation"] is not None
    assert answer({}, id="same", explain=True) == first


def test_a_dry_run_reserves_nothing_but_sees_the_budget(market: World) -> None:
    found = results(*on_every_slot(5), dry_run=True)
    assert found["b5"]["reasons"] == ["budget_exhausted"]
    assert (account().reserved, account().granted) == (0, 0)


def test_an_impression_turns_its_reservation_into_spend(market: World) -> None:
    decision = answer()["decision_id"]
    sent = event(BID, decision, "impression", cost="0.003")
    assert [one["status"] for one in reported(sent, sent)] == ["accepted", "duplicate"]
    held = account()
    assert (held.reserved, held.spent, held.overrun) == (0, 3_000, 0)
    reported({**event(BID, decision, "retraction"), "adjusts_event_id": sent["event_id"]})
    assert (account().reserved, account().spent) == (0, 0)


def test_an_event_that_contradicts_its_decision_is_refused(market: World) -> None:
    decision = answer()["decision_id"]
    (found,) = reported(event({**BID, "slot_id": "s2"}, decision, "impression", cost="0.003"))
    assert (found["status"], found["code"]) == ("rejected", "contradicts_decision")
    assert account().reserved == 2_500


def test_what_is_never_charged_is_released(market: World) -> None:
    results(*on_every_slot(4))
    assert results()["b"]["reasons"] == ["budget_exhausted"]
    market.clock += timedelta(minutes=5)
    assert results()["b"]["status"] == "won"
    assert account().reserved == 2_500


def test_without_a_ledger_predictions_are_answered_and_no_money_is_promised(market: World) -> None:
    answer()  # so that all else is warm
    with pytest.MonkeyPatch.context() as patch:
        nowhere = redis.Redis(port=1, socket_connect_timeout=0.1)
        for name in ("decide", "preview"):
            patch.setattr(wiring.ledger(), name, lambda *_: nowhere.ping())
        found = answer({}, {"id": "z", "brand_id": "free", "amount": "1.00"})
    assert found["degraded"] == ["no_revenue_data", "ledger_unavailable"]
    by_id = {result["bid_id"]: result for result in found["results"]}
    assert by_id["b"]["reasons"] == ["ledger_unavailable"]
    assert by_id["b"]["predicted_cost"] == 0.0025
    assert by_id["z"]["status"] == "won"


def test_the_ledger_comes_back_from_its_snapshot(market: World) -> None:
    decision = answer()["decision_id"]
    reported(event(BID, decision, "impression", cost="0.003"))
    answer()
    ledger_snapshots.take(wiring.database(), wiring.ledger(), market.clock)
    before = account()
    wiring.redis_client().flushdb()
    first = results()["b"]
    assert first["reasons"] == ["ledger_unavailable"]  # nobody knew yet
    market.clock += timedelta(seconds=1)
    results()
    held = account()
    assert held.spent == before.spent == 3_000
    assert held.reserved >= before.reserved  # and a holdback


def test_prices_reach_the_score_and_the_answer(market: World) -> None:
    SteeringStore(wiring.redis_client()).put({"free": Steering(1.0, 0.5, 1.1)})
    found = results({"brand_id": "free"})["b"]
    assert found["lambda"] == pytest.approx((1.0 * 2 * 1.1 + 0.5) / 2)  # (ν·τ·caution + μ) / (1 + ν)
    assert found["portfolio_weight"] == 2.0
    worth = found["predicted_revenue"] - found["lambda"] * found["predicted_cost"]
    assert found["score"] == pytest.approx(2.0 * worth)


def test_held_back_for_roas_is_another_reason_than_not_worth_it(market: World) -> None:
    store = SteeringStore(wiring.redis_client())
    store.put({"free": Steering(3.0, 0.5, 2.0)})  # λ = (3·2·2 + .5) / 4 > τ = revenue / cost
    assert results({"brand_id": "free"})["b"]["reasons"] == ["roas_throttled"]
    store.put({"free": Steering(3.0, 2.5, 2.0)})  # too dear for its budget alone
    assert results({"brand_id": "free"})["b"]["reasons"] == ["negative_margin"]


def test_probes_are_scored_without_the_price_of_roas(market: World) -> None:
    SteeringStore(wiring.redis_client()).put({"probing": Steering(3.0, 0.5, 2.0)})
    for number in range(20):
        request = f"probe{number}"
        found = answer({"brand_id": "probing"}, id=request)["results"][0]
        chosen = pick(decision_id("tester", request), "b", 0.5, 0.0)
        assert found.get("pick") == chosen
        assert found["status"] == ("won" if chosen else "rejected")
        assert found["lambda"] == (0.5 if chosen else pytest.approx(12.5 / 4))


def test_explorers_draw_their_revenue_and_repeat_it(market: World) -> None:
    first = results({"brand_id": "exploring"}, id="x1", dry_run=True, explore=True)["b"]
    again = results({"brand_id": "exploring"}, id="x1", dry_run=True, explore=True)["b"]
    other = results({"brand_id": "exploring"}, id="x2", dry_run=True, explore=True)["b"]
    assert first == again
    assert first["pick"] == other["pick"] == "exploration"
    assert first["predicted_revenue"] == other["predicted_revenue"]
    assert first["score"] != other["score"]
    assert "pick" not in results({"brand_id": "exploring"}, dry_run=True)["b"]
