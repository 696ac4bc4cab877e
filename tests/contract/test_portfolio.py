"""GET /api/portfolio and a brand's history, over what ingest and the monitor did."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from adbid import wiring
from adbid.domain.ledger import Budget, Candidate
from functions.admin.app import handler as admin
from functions.ingest.app import handler as ingest
from functions.roas.app import handler
from functions.roas.monitor import handler as monitor
from functions.roas.portfolio import HistoryAnswer, PortfolioAnswer
from tests.support.world import NOW, World, http_event, world

__all__ = ["world"]

_numbers = count()


@pytest.fixture
def market(world: World) -> World:
    common = {"strategy_id": "plain", "target_roas": 2}
    world.set(
        {
            "strategies": [{"id": "plain", "vpi_multiplier": 1, "probe_share": "0.05"}],
            "brands": [
                {"id": "a/good 1", **common},
                {"id": "few", **common},
                {"id": "limited", **common, "daily_budget": "100", "timezone": "Asia/Kolkata"},
                {"id": "new", **common},
                {"id": "off", **common, "status": "paused"},
                {"id": "poor", **common},
            ],
            "partners": [{"id": "p"}],
            "slots": [{"id": "s"}],
        }
    )
    monitor({"action": "monitor"}, None)
    world.clock = NOW + timedelta(minutes=1)
    return world


def get(path: str, query: str = "", claims: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    answer = handler(http_event("GET", path, query=query, claims=claims), None)
    return answer["statusCode"], json.loads(answer["body"])


def portfolio(query: str = "", claims: Mapping[str, Any] | None = None) -> Any:
    status, answer = get("/api/portfolio", query, claims)
    assert status == 200, answer
    PortfolioAnswer.model_validate(answer)
    return answer


def item(brand: str) -> Any:
    [found] = portfolio(f"brand_id={brand}")["items"]
    return found


def report(brand: str, *, cost: str, revenue: str, conversions: int = 50, at: datetime | None = None) -> None:
    when = (at or wiring.now() - timedelta(hours=1)).isoformat()
    common = {"brand_id": brand, "partner_id": "p", "slot_id": "s", "currency": "USD", "event_time": when}
    said = [
        {"type": "impression", "count": 1000},
        {"type": "click", "count": 100, "cost": cost},
        {"type": "conversion", "count": conversions, "revenue": revenue},
    ]
    events = [{"event_id": f"e{next(_numbers)}", "pricing_model": "CPC", **common, **one} for one in said]
    answer = ingest(http_event("POST", "/api/performance", {"events": events}), None)
    assert {one["status"] for one in json.loads(answer["body"])["results"]} == {"accepted"}


def minute(world: World) -> None:
    world.clock += timedelta(minutes=1)
    answer = monitor({"action": "monitor"}, None)
    assert answer["degraded"] == []


def reserve(micros: int) -> None:
    budget = Budget(NOW.date(), 100_000_000, 1)
    bid = Candidate("b", "limited", "p", "s", "CPC", NOW.date(), micros, budget)
    assert wiring.ledger().decide(f"d{next(_numbers)}", b"f", b"", [[bid]], wiring.now()).wins == (0,)


def test_every_brand_with_its_status_and_why(market: World) -> None:
    report("a/good 1", cost="100", revenue="500")
    report("poor", cost="100", revenue="110")
    report("few", cost="100", revenue="10", conversions=2, at=NOW - timedelta(days=6, hours=8))
    reserve(30_000_000)
    report("limited", cost="70", revenue="350")
    minute(market)
    answer = portfolio()
    assert answer["next_cursor"] is None
    assert answer["degraded"] == []
    assert {one["brand_id"]: one["status"] for one in answer["items"]} == {
        "a/good 1": "on_target",
        "few": "learning",
        "limited": "limited_by_budget",
        "new": "learning",
        "off": "paused",
        "poor": "limited_by_roas",
    }
    reasons = {one["brand_id"]: one["reason"] for one in answer["items"]}
    assert reasons["limited"].startswith("70.00 USD spent and 30.00 USD reserved of 100.00 USD")
    assert reasons["limited"].endswith("The day's budget is used up.")
    assert reasons["poor"].startswith("ROAS 1.10 is under its target 2.00 with 99 % certainty")
    assert "2 conversions in 6 days" in reasons["few"]
    assert (
        reasons["new"] == "Nothing was spent in the last 7 days; 20 conversions are needed to tell its ROAS."
    )


def test_numbers_of_a_brand_with_a_budget(market: World) -> None:
    reserve(20_000_000)
    report("limited", cost="30.25", revenue="90.75")
    minute(market)
    found = item("limited")
    assert (found["spent"], found["reserved"], found["daily_budget"]) == ("30.25", "20.00", "100.00")
    assert (found["overrun"], found["day"], found["timezone"]) == ("0.00", "2026-11-20", "Asia/Kolkata")
    # 14:32 in Kolkata: without a past the day's traffic is taken to be even.
    assert float(found["expected_spend"]) == pytest.approx(100 * (14.5 + 2 / 60) / 24, rel=1e-6)
    assert found["pacing_index"] == pytest.approx(30.25 / float(found["expected_spend"]))
    roas = found["roas"]
    assert (roas["current"], roas["target"], roas["conversions"], roas["window_days"]) == (3.0, 2.0, 50, 7)
    assert roas["low"] < 3.0 < roas["high"]
    assert 0.0 <= roas["probability_below_target"] < 0.05
    assert found["as_of"] == market.clock.isoformat()
    nu, mu, target = found["nu"], found["mu"], roas["target"]
    assert found["lambda"] == pytest.approx((nu * target + mu) / (1 + nu))
    assert found["portfolio_weight"] == 1 + nu


def test_what_actual_prices_took_beyond_the_budget(market: World) -> None:
    report("limited", cost="103.50", revenue="400")
    minute(market)
    assert (item("limited")["spent"], item("limited")["overrun"]) == ("103.50", "3.50")


def test_pages_follow_each_other(market: World) -> None:
    seen, cursor, pages = [], "", 0
    while True:
        answer = portfolio(f"limit=4{cursor}")
        seen += [one["brand_id"] for one in answer["items"]]
        pages += 1
        if answer["next_cursor"] is None:
            break
        cursor = f"&cursor={answer['next_cursor']}"
    assert (seen, pages) == (sorted(seen), 2)
    assert len(seen) == len(set(seen)) == 6


def test_a_brand_sees_its_own_alone(market: World) -> None:
    own = {"scope": "brand", "brand_ids": ["new", "poor", "gone"]}
    assert [one["brand_id"] for one in portfolio(claims=own)["items"]] == ["new", "poor"]
    for path, query in (("/api/portfolio", "brand_id=off"), ("/api/portfolio/off/history", "")):
        assert get(path, query, own)[0] == 404
        assert get(path, query, {"scope": "partner", "partner_ids": ["p"]})[0] == 403


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=x", "brand=b"])
def test_a_wrong_query_names_its_field(market: World, query: str) -> None:
    status, problem = get("/api/portfolio", query)
    assert status == 422
    assert problem["errors"][0]["property"] == query.partition("=")[0]


def test_before_the_monitor_ever_ran(world: World) -> None:
    world.set({"strategies": [{"id": "s", "vpi_multiplier": 1}], "brands": [{"id": "b", "strategy_id": "s"}]})
    found = item("b")
    assert (found["status"], found["as_of"], found["lambda"], found["spent"]) == ("learning", None, 0, "0.00")


def test_while_redis_is_down_mysql_answers(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    report("poor", cost="100", revenue="110")
    minute(market)

    def down(*arguments: Any, **options: Any) -> Any:
        raise RedisConnectionError("down")

    monkeypatch.setattr("redis.connection.ConnectionPool.get_connection", down)
    answer = portfolio()
    assert answer["degraded"] == ["cache_unavailable", "ledger_unavailable"]
    found = {one["brand_id"]: one for one in answer["items"]}
    assert (found["poor"]["status"], found["poor"]["spent"]) == ("limited_by_roas", "100.00")
    assert (found["limited"]["reserved"], found["poor"]["as_of"]) == (None, None)


def history(brand: str, query: str = "", claims: Mapping[str, Any] | None = None) -> Any:
    status, answer = get(f"/api/portfolio/{brand}/history", query, claims)
    assert status == 200, answer
    HistoryAnswer.model_validate(answer)
    return answer


def test_a_brand_s_days(market: World) -> None:
    report("a/good 1", cost="100", revenue="500", at=NOW - timedelta(days=3))
    report("a/good 1", cost="10", revenue="0", conversions=1)
    answer = history("a/good 1")
    days = {day["day"]: day for day in answer["days"]}
    assert list(days) == ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20"]
    first, quiet, last = days["2026-11-17"], days["2026-11-18"], days["2026-11-20"]
    assert (first["cost"], first["roas"], first["spent"], first["immature"]) == (
        "100.00",
        5.0,
        "100.00",
        False,
    )
    assert (quiet["cost"], quiet["roas"]) == ("0.00", None)
    assert (last["roas"], last["immature"]) == (0.0, True)
    assert [day["day"] for day in history("a/good 1", "days=2")["days"]] == [
        "2026-11-20"
    ]  # the first it knows


def test_today_by_the_quarter_hour(market: World) -> None:
    report("limited", cost="12.50", revenue="0", at=NOW - timedelta(minutes=80))  # 13:10 in Kolkata
    today = history("limited")["today"]
    assert (today["day"], today["daily_budget"], len(today["quarters"])) == ("2026-11-20", "100.00", 96)
    spent = [quarter["spent"] for quarter in today["quarters"]]
    assert spent[: 13 * 4] == ["0.00"] * 13 * 4
    assert spent[13 * 4 : 14 * 4 + 3] == ["12.50"] * 7
    assert spent[14 * 4 + 3 :] == [None] * (96 - 59)  # 14:31 is in the third quarter after two
    assert today["quarters"][0]["at"] == "2026-11-19T18:30:00+00:00"
    shares = [quarter["expected_share"] for quarter in today["quarters"]]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_what_people_changed_and_who_only_for_admins(market: World) -> None:
    brand = {
        "id": "b",
        "name": "B",
        "vertical": "retail",
        "strategy_id": "plain",
        "currency": "USD",
        "timezone": "UTC",
        "daily_budget": None,
        "target_roas": "2",
        "status": "active",
    }
    assert admin(http_event("POST", "/api/brands", brand), None)["statusCode"] == 201
    changed = {**brand, "target_roas": "3"}
    answer = admin(http_event("PUT", "/api/brands/b", changed, headers={"if-match": '"1"'}), None)
    assert answer["statusCode"] == 200
    changes = history("b")["changes"]
    assert [change["action"] for change in changes] == ["replace", "create"]
    assert list(changes[0]["changed"]) == ["target_roas"]
    assert changes[0]["actor"] == "tester"
    assert {one["actor"] for one in history("b", "", {"scope": "brand", "brand_ids": ["b"]})["changes"]} == {
        ""
    }


def test_a_brand_that_is_not_there_has_no_history(market: World) -> None:
    assert get("/api/portfolio/nobody/history")[0] == 404
    assert get("/api/portfolio/new/history", "days=0")[0] == 422
