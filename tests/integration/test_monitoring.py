"""The monitor's minute and what it leaves behind, through its handler, over a real Redis and a database."""

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import func, select

from adbid import wiring
from adbid.data import sealed_days, tables
from adbid.data.gauges import GaugeStore
from adbid.data.ledger_keys import name_of
from adbid.data.steering import SteeringStore
from adbid.data.steering_state import StateStore
from adbid.domain.errors import Invalid
from adbid.domain.ledger import Budget, Candidate
from adbid.domain.roas_status import Standing
from functions.ingest.app import handler as ingest
from functions.roas.monitor import handler as monitor
from tests.support.world import NOW, World, _world, http_event

_numbers = count()
NOWHERE = "redis://127.0.0.1:1/0"
START = NOW + timedelta(minutes=1)
BRANDS = ("few", "good", "limited", "off", "poor")


@pytest.fixture
def market(new_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Brands with a target of 2: a good one, a poor one, one that hardly sold, a paused one, one with a
    budget of 100 a day."""
    for world in _world(new_database_url, redis_url, monkeypatch):
        common = {"strategy_id": "plain", "target_roas": 2}
        world.set(
            {
                "strategies": [{"id": "plain", "vpi_multiplier": 1, "probe_share": "0.05"}],
                "brands": [
                    {"id": "good", **common},
                    {"id": "poor", **common},
                    {"id": "few", **common},
                    {"id": "off", **common, "status": "paused"},
                    {"id": "limited", **common, "daily_budget": 100},
                ],
                "partners": [{"id": "p"}],
                "slots": [{"id": "s"}],
            }
        )
        minute()  # an empty ledger becomes one that can be trusted
        world.clock = START
        yield world


def report(brand: str, *, cost: str, revenue: str, conversions: int = 50, ago: float = 60) -> None:
    """What happened so many minutes ago."""
    at = (wiring.now() - timedelta(minutes=ago)).isoformat()
    common = {"brand_id": brand, "partner_id": "p", "slot_id": "s", "currency": "USD", "event_time": at}
    said = [
        {"type": "impression", "count": 1000},
        {"type": "click", "count": 100, "cost": cost},
        {"type": "conversion", "count": conversions, "revenue": revenue},
    ]
    events = [
        {"event_id": f"e{next(_numbers)}", "pricing_model": "CPC", **common, **one}
        for one in said
        if one.get("count")
    ]
    answer = ingest(http_event("POST", "/api/performance", {"events": events}), None)
    results = json.loads(answer["body"])["results"]
    assert {one["status"] for one in results} == {"accepted"}, results


def minute() -> dict[str, Any]:
    return monitor({"action": "monitor"}, None)


def steering() -> Any:
    return SteeringStore(wiring.redis_client()).get(BRANDS)


def gauges() -> Any:
    found = GaugeStore(wiring.redis_client()).read()
    assert found is not None
    return found


def rows(table: Any) -> int:
    with wiring.database().read() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def past() -> None:
    report("good", cost="100", revenue="500")
    report("poor", cost="100", revenue="110")
    report("few", cost="100", revenue="10", conversions=2)


def reserve(micros: int, decision: str) -> tuple[int, ...]:
    budget = Budget(NOW.date(), 100_000_000, 1)
    bid = Candidate("b", "limited", "p", "s", "CPC", NOW.date(), micros, budget)
    return wiring.ledger().decide(decision, b"f", b"", [[bid]], wiring.now()).wins


def test_a_minute_steers_and_tells(market: World) -> None:
    past()
    answer = minute()
    assert (answer["status"], answer["minute"], answer["degraded"]) == ("done", START.isoformat(), [])
    assert answer["brands"] == {"unknown": 2, "on_target": 1, "below_target": 1, "paused": 1}
    assert answer["alerts"] == 0
    prices = steering()
    assert set(prices) == set(BRANDS)
    assert prices["few"].nu < 0.01
    seen = gauges()
    assert seen.at == START
    good, poor = seen.brands["good"], seen.brands["poor"]
    assert (good.roas, good.target, good.standing) == (5.0, 2.0, Standing.ON_TARGET)
    assert (poor.roas, poor.standing) == (1.1, Standing.BELOW)
    assert good.below_probability < 0.01 < 0.99 < poor.below_probability
    assert seen.brands["few"].standing is Standing.UNKNOWN
    assert seen.brands["limited"].budget_left == 100.0


def test_a_minute_seals_days_that_are_long_over(market: World) -> None:
    report("good", cost="100", revenue="500", ago=3 * 24 * 60)
    assert minute()["degraded"] == []  # tables that no migration made have nothing to begin with
    market.clock += timedelta(minutes=1)
    assert minute()["degraded"] == []
    with wiring.database().read() as connection:
        assert sealed_days.sealed_until(connection) == (START - timedelta(days=1)).date()
    assert rows(tables.performance_day) == 6
    report("good", cost="100", revenue="500", ago=3 * 24 * 60)
    with wiring.database().read() as connection:
        assert set(connection.scalars(select(tables.performance_day.c.clicks))) == {200}


def test_the_same_minute_again_changes_nothing(market: World) -> None:
    past()
    minute()
    before, told = steering(), repr(gauges())
    market.clock += timedelta(seconds=40)
    assert minute() == {"status": "skipped", "minute": START.isoformat()}
    assert (steering(), repr(gauges())) == (before, told)
    assert wiring.redis_client().delete(f"monitor:minute:{int(START.timestamp()) // 60}") == 1
    answer = minute()  # as two at the same moment: who comes last finds the minute done
    assert (answer["status"], answer["brands"]) == ("done", None)
    assert (steering(), repr(gauges())) == (before, told)


def test_a_brand_under_target_is_held_back_more_every_minute_and_recovers(market: World) -> None:
    past()
    minute()
    prices = []
    for _ in range(30):
        market.clock += timedelta(minutes=1)
        minute()
        prices.append(steering()["poor"].lambda_(2.0))
    assert 0.0 < prices[0] < prices[-1]
    assert prices == sorted(prices)
    assert steering()["good"].lambda_(2.0) < 0.01  # not pooled
    report("poor", cost="0", revenue="900")
    for _ in range(30):
        market.clock += timedelta(minutes=1)
        minute()
    assert steering()["poor"].lambda_(2.0) < prices[-1]
    assert gauges().brands["poor"].standing is Standing.ON_TARGET


def test_the_alert_takes_five_minutes_in_a_row(market: World) -> None:
    past()
    alerts = []
    for _ in range(6):
        alerts.append(minute()["alerts"])
        market.clock += timedelta(minutes=1)
    assert alerts == [0, 0, 0, 0, 1, 1]
    assert [brand for brand, one in gauges().brands.items() if one.alert] == ["poor"]
    market.clock += timedelta(minutes=1)  # one was missed: nobody knows how it stood
    assert minute()["alerts"] == 0


def test_spend_of_the_day_reaches_the_ledger_though_the_message_was_lost(market: World) -> None:
    reserve(0, "d0")
    report("limited", cost="60", revenue="200")
    day = ("limited", NOW.date())
    stored = wiring.ledger().partition("limited").day(name_of(*day))
    wiring.redis_client().hset(stored, mapping={"spent": 0, "revision": 0})
    minute()
    assert wiring.ledger().accounts([day])[day].spent == 60_000_000
    assert gauges().brands["limited"].budget_left == 40.0


def test_reservations_that_are_due_are_released_and_all_are_kept_in_a_snapshot(market: World) -> None:
    assert reserve(70_000_000, "d1") == (0,)
    minute()
    assert rows(tables.ledger_snapshot) > 0
    market.clock += timedelta(hours=2)
    assert reserve(0, "other") == (0,)
    assert minute()["released"] == 1
    assert wiring.ledger().check() == []


def test_after_redis_was_emptied_the_next_minute_puts_everything_back(market: World) -> None:
    past()
    assert reserve(70_000_000, "d1") == (0,)
    minute()
    wiring.redis_client().flushall()
    assert reserve(1, "d2") == (-1,)  # nothing is promised on an empty ledger
    market.clock += timedelta(minutes=1)
    answer = minute()
    assert answer["degraded"] == []
    assert wiring.ledger().alive()
    held = {one.won.decision_id: one.won.micros for one in wiring.ledger().open("limited", NOW.date())}
    assert held["d1"] == 70_000_000
    assert set(steering()) == set(BRANDS)
    assert gauges().brands["good"].roas == 5.0
    assert wiring.counters().current() is not None


def connect(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the product finds Redis there."""
    wiring.database().dispose()
    wiring.redis_client().close()
    monkeypatch.setenv("REDIS_URL", url)
    wiring.reset()


def pending() -> int:
    with wiring.database().read() as connection:
        left = select(func.count()).where(tables.performance_delta.c.applied_at.is_(None))
        return int(connection.scalar(left) or 0)


def test_what_ingest_could_not_add_to_the_sums_is_caught_up_with(
    market: World, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute()
    connect(NOWHERE, monkeypatch)
    report("good", cost="100", revenue="500")
    assert pending() == 1
    connect(redis_url, monkeypatch)
    market.clock += timedelta(minutes=1)
    assert minute()["degraded"] == []
    assert pending() == 0


def test_without_redis_the_minute_says_what_it_could_not_do(
    market: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    past()
    connect(NOWHERE, monkeypatch)
    answer = minute()
    assert answer["status"] == "done"
    assert {"claim", "ledger_sweep", "steering", "counters"} <= set(answer["degraded"])
    assert answer["brands"] is None


def test_a_state_of_another_shape_is_a_lost_one(market: World) -> None:
    past()
    minute()
    store = StateStore(wiring.redis_client())
    stored = store.get()
    assert stored is not None
    assert stored.brands == list(BRANDS)
    packed = bytes(wiring.redis_client().hget("monitor:state", "state"))  # type: ignore[arg-type]
    wiring.redis_client().hset("monitor:state", "state", packed.replace(b'"mu"', b'"xx"', 1))
    assert store.get() is None
    market.clock += timedelta(minutes=1)
    assert minute()["degraded"] == []
    assert steering()["good"].nu < 0.01  # it has begun anew


def test_nothing_else_is_taken(market: World) -> None:
    with pytest.raises(Invalid, match="monitor"):
        monitor({"action": "retrain"}, None)
