"""POST /api/simulate over what ingest took: the curve, how far it can be trusted, and who may ask."""

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adbid import wiring
from adbid.data import duals, rebuild
from adbid.data.steering import Steering, SteeringStore
from adbid.domain.duals import guarded_target
from adbid.domain.steering_step import UNSEEN_DAYS
from functions.ingest.app import handler as ingest
from functions.roas.app import handler
from functions.roas.simulate import SimulateAnswer
from tests.support.world import NOW, World, http_event, world

__all__ = ["world"]

_numbers = count()
ZONE = ZoneInfo("America/New_York")
TODAY = NOW.astimezone(ZONE).date()
DAYS = 10


@pytest.fixture
def market(world: World) -> World:
    """Ten days of two slots, 5,000 impressions each: 50 brings 300 on the good one, 75 on the poor one."""
    common = {"strategy_id": "plain", "target_roas": 2, "timezone": ZONE.key}
    strategies = [
        {"id": "plain", "vpi_multiplier": 1},
        {"id": "keen", "vpi_multiplier": 2},
        {"id": "curious", "vpi_multiplier": 1, "probe_share": "0.1"},
    ]
    brands = [{"id": "b", **common}, {"id": "rival", **common}, {"id": "new", **common}]
    world.set(
        {
            "strategies": strategies,
            "brands": [*brands, {"id": "limited", **common, "daily_budget": "100"}],
            "partners": [{"id": "p"}],
            "slots": [{"id": "good"}, {"id": "poor"}],
        }
    )
    for age in range(1, DAYS + 1):
        for brand in ("b", "limited"):
            buy(brand, TODAY - timedelta(days=age))
    learn()
    return world


def buy(brand: str, day: date, slots: str = "good poor", hour: int = 12, conversions: int = 10) -> None:
    """One day's events of a brand, through the API."""
    at = datetime.combine(day, time(hour), ZONE).isoformat()
    common = {
        "brand_id": brand,
        "partner_id": "p",
        "pricing_model": "CPC",
        "currency": "USD",
        "event_time": at,
    }
    said = [
        {"slot_id": slot, **one}
        for slot in slots.split()
        for one in (
            {"type": "impression", "count": 5000},
            {"type": "click", "count": 100, "cost": "50"},
            {"type": "conversion", "count": conversions, "revenue": "300" if slot == "good" else "75"},
        )
    ]
    events = [{"event_id": f"e{next(_numbers)}", **common, **one} for one in said]
    answer = ingest(http_event("POST", "/api/performance", {"events": events}), None)
    assert {one["status"] for one in json.loads(answer["body"])["results"]} == {"accepted"}


def learn() -> None:
    rebuild.rebuild(wiring.database(), wiring.counters(), NOW)


def ask(claims: Mapping[str, Any] | None = None, status: int = 200, **body: Any) -> Any:
    body = {"brand_id": "b", **body}
    answer = handler(http_event("POST", "/api/simulate", body, claims=claims), None)
    assert answer["statusCode"] == status, answer["body"]
    found = json.loads(answer["body"])
    if status == 200:
        SimulateAnswer.model_validate(found)
    else:
        assert answer["headers"]["content-type"] == "application/problem+json"
    return found


def steered(roas: float) -> float:
    """The target that is steered to at this ROAS."""
    return round(roas / float(guarded_target(1.0, UNSEEN_DAYS, DAYS)), 6)  # type: ignore[arg-type]


def test_a_curve_that_can_be_worked_out_by_hand(market: World) -> None:
    # To a ROAS of 5 fits x of the poor slot with (300 + 75 x) / (50 + 50 x) = 5: 2/7.
    answer = ask(targets=[steered(5), 1.5, steered(5)])
    low, high = answer["curve"]
    assert (low["target"], low["spend"], low["revenue"]) == (1.5, "1000.00", "3750.00")
    assert low["impressions"] == 100_000
    assert low["conversions"] == 200
    assert low["roas"] == 3.75
    assert high["target"] == steered(5)
    assert float(high["spend"]) == pytest.approx(10 * 50 * (1 + 2 / 7), rel=0.01)
    assert float(high["revenue"]) == pytest.approx(10 * (300 + 75 * 2 / 7), rel=0.01)
    assert high["roas"] == pytest.approx(5.0, rel=0.01)  # predictions lean towards each other a little
    assert high["interval"]["low"] < 5.0 < high["interval"]["high"]
    assert high["lambda"] == pytest.approx(1.5, rel=0.03)  # what the poor slot returns


def test_it_says_what_it_was_played_on_and_how_wrong_the_replay_is(market: World) -> None:
    answer = ask()
    assert (answer["days"], answer["immature_days"]) == (DAYS, 2)  # over for 4 and for 28 hours
    assert answer["from"] == (TODAY - timedelta(days=DAYS)).isoformat()
    assert answer["to"] == (TODAY - timedelta(days=1)).isoformat()
    assert (answer["places"], answer["rows"]) == (2, 2 * DAYS)
    current = answer["current"]
    simulated = current.pop("simulated")
    assert current == {
        "target": 2.0,
        "impressions": 100_000,
        "conversions": 200,
        "spend": "1000.00",
        "revenue": "3750.00",
        "roas": 3.75,
        "budget_use": None,
    }
    assert {name: simulated[name] for name in current} == current  # nothing held it back: played as it was
    assert [point["target"] for point in answer["curve"]] == [1, 1.3, 1.6, 1.8, 2, 2.2, 2.5, 3, 3.5, 4]
    assert answer["curve"][4] == simulated
    assert "Played on 10 days with 200 conversions; for 2 days of them" in answer["confidence"]
    assert "spends no more or less and earns no more or less than was observed" in answer["confidence"]


def test_a_day_is_the_brands_own(market: World) -> None:
    before = ask(days=1)["current"]
    buy("b", TODAY, hour=0)
    assert ask(days=1)["current"] == before
    buy("b", TODAY - timedelta(days=1), hour=23)
    assert ask(days=1)["current"]["impressions"] == 2 * before["impressions"]


def test_another_budget(market: World) -> None:
    """40 a day pay for four fifths of the good slot; the days had 100."""
    answer = ask(daily_budget="40", targets=[2])
    assert answer["setting"] == {"daily_budget": "40.00", "strategy_id": "plain"}
    (point,) = answer["curve"]
    assert Decimal(point["spend"]) <= 400
    assert float(point["spend"]) == pytest.approx(400, rel=1e-3)
    assert point["roas"] == pytest.approx(6.0, rel=0.01)
    assert point["budget_use"] == pytest.approx(1.0, rel=1e-3)
    assert point["beyond_data"] == 0.0


def test_a_budget_that_ended_the_days_leaves_the_rest_unknown(market: World) -> None:
    same = ask(brand_id="limited", targets=[2])
    assert same["current"]["budget_use"] == 1.0
    assert same["curve"][0]["beyond_data"] == 0.0
    more = ask(brand_id="limited", daily_budget=150, targets=[2])["curve"][0]
    assert more["spend"] == "1000.00"  # never more than was bought
    assert more["beyond_data"] == pytest.approx(1 / 3)
    assert more["note"].startswith("A floor: 33 % of the spend that this allows was never won")
    without = ask(brand_id="limited", daily_budget=None, targets=[2])
    assert without["setting"]["daily_budget"] is None
    assert without["curve"][0]["beyond_data"] == 1.0
    assert ask(brand_id="limited", targets=[2])["curve"] == same["curve"]


def test_a_brand_that_is_held_back_has_won_less_than_a_lower_target_would(market: World) -> None:
    SteeringStore(wiring.redis_client()).put({"b": Steering(nu=1.0, mu=0.0, caution=1.1)})
    low, present, high = ask(targets=[1.8, 2, 2.2])["curve"]
    assert low["beyond_data"] > 0.0
    assert present["beyond_data"] == high["beyond_data"] == 0.0


def test_what_held_a_day_back_is_the_price_of_the_night_before_it(market: World) -> None:
    """Steered from the sixth day on; the newer nights know nothing of the days before."""

    def night(age: int, lambda_: float) -> None:
        prices = {"b": duals.Night(1.0, 0.0, lambda_)}
        day = TODAY - timedelta(days=age)
        wiring.database().transaction(lambda connection: duals.store(connection, prices, day, NOW))

    night(0, 3.0)  # of today, which isn't played
    assert ask(targets=[1.8])["curve"][0]["beyond_data"] == 0.0
    for age in range(1, 6):
        night(age, 3.0)
    (five,) = ask(targets=[steered(3.5)])["curve"]
    assert five["beyond_data"] == 0.0  # as tight as now
    (low,) = ask(targets=[1.8], daily_budget=150)["curve"]
    # What returns 3 or less still fits a target of 1.8: the budget's 50 a day that were free on five days.
    assert low["beyond_data"] == pytest.approx(5 * 50 / (1000 + 5 * 50))
    assert low["note"].startswith("A floor: 20 % of the spend that this allows was never won")


def test_a_target_out_of_reach_says_so(market: World) -> None:
    (point,) = ask(targets=[7])["curve"]
    assert point["roas"] == pytest.approx(6.0)
    assert point["note"] == "Not reached: the days return 6.00."
    (nothing,) = ask(targets=[900])["curve"]
    assert (nothing["spend"], nothing["roas"], nothing["note"]) == ("0.00", None, "Nothing is bought.")


def test_another_strategy(market: World) -> None:
    probing = ask(strategy_id="curious", targets=[900])
    assert probing["setting"]["strategy_id"] == "curious"
    assert probing["curve"][0]["spend"] == "100.00"  # a tenth of it all
    assert probing["curve"][0]["note"] == "Not reached: nothing but probes is bought."
    assert ask(strategy_id="keen", targets=[2])["curve"][0]["beyond_data"] == pytest.approx(
        1.0
    )  # with limited
    buy("new", TODAY - timedelta(days=1), slots="good", conversions=30)
    alone = ask(brand_id="new", strategy_id="keen", targets=[2])["curve"][0]
    assert alone["beyond_data"] == 1.0
    assert alone["note"].startswith("All of the spend is in reach of rivals")


def test_too_little_is_an_answer(market: World) -> None:
    empty = ask(brand_id="new")
    assert (empty["days"], empty["curve"], empty["current"]["simulated"]) == (0, [], None)
    assert empty["confidence"].startswith("Nothing was bought yet")
    buy("new", TODAY - timedelta(days=3), conversions=4)
    little = ask(brand_id="new")
    assert (little["days"], little["curve"]) == (3, [])
    assert little["current"]["spend"] == "100.00"
    assert little["confidence"] == (
        "Only 8 conversions in 3 days; 20 are needed to tell one target from another."
    )


def test_a_higher_target_never_spends_more_and_a_repeat_is_identical(market: World) -> None:
    body = {"targets": [0.1 * n for n in range(1, 51)], "daily_budget": 70}
    answer = ask(**body)
    spends = [Decimal(point["spend"]) for point in answer["curve"]]
    assert len(spends) == 50
    assert spends == sorted(spends, reverse=True)
    assert spends[0] <= 700
    assert ask(**body) == answer
    assert answer["curve"][2]["target"] == 0.3  # as it was meant
    assert ask(targets=["0.3"])["curve"] == ask(targets=[0.3])["curve"]


def test_sixty_days_of_many_places_take_about_a_second(market: World) -> None:
    from adbid.data import events
    from adbid.domain.events import Cell

    rows = {}
    for day in range(60):
        for place in range(200):
            at = datetime.combine(TODAY - timedelta(days=1 + day), time(place % 24), ZONE).astimezone(
                NOW.tzinfo
            )
            context = ("mobile" if place % 2 else "desktop", "", f"c{place // 2}", "", "")
            cell = Cell(at, "new", "p", "good", context, "CPC")
            rows[cell] = (1000 + place, 20, 1, Decimal(10), Decimal(5 + place % 50))
    wiring.database().transaction(lambda connection: events.add_totals(connection, rows))
    learn()
    ask(brand_id="new", days=60)  # the first one loads the model
    started = process_time()
    answer = ask(brand_id="new", days=60, targets=[0.1 * n for n in range(1, 51)])
    assert process_time() - started < 1.0  # 0.3 s of it, as a rule
    assert (answer["days"], answer["places"], answer["rows"]) == (60, 200, 12_000)


BRAND = {"scope": "brand", "brand_ids": ["b"]}


@pytest.mark.parametrize(
    ("claims", "body", "status", "code"),
    [
        (BRAND, {}, 200, None),
        ({"scope": "brand", "brand_ids": ["*"]}, {}, 200, None),
        (BRAND, {"brand_id": "rival"}, 404, "unknown_brand"),
        ({"scope": "admin"}, {"brand_id": "B"}, 404, "unknown_brand"),
        ({"scope": "partner", "partner_ids": ["p"]}, {}, 403, "insufficient_scope"),
        ({"scope": "metrics"}, {}, 403, "insufficient_scope"),
        ({"scope": "brand partner", "partner_ids": ["*"]}, {}, 404, "unknown_brand"),
        (BRAND, {"strategy_id": "nobody's"}, 422, "unknown_strategy"),
    ],
)
def test_who_may_ask_for_what(
    market: World, claims: dict[str, Any], body: dict[str, Any], status: int, code: str | None
) -> None:
    answer = ask(claims, status, **body)
    if code:
        assert answer["type"] == f"urn:adbid:problem:{code}"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"brand_id": ""}, "brand_id"),
        ({"brand_id": None}, "brand_id"),
        ({"days": 0}, "days"),
        ({"days": 61}, "days"),
        ({"days": "14"}, "days"),
        ({"targets": []}, "targets"),
        ({"targets": [1] * 51}, "targets"),
        ({"targets": [2, 0]}, "targets[1]"),
        ({"targets": [-1]}, "targets[0]"),
        ({"targets": [1001]}, "targets[0]"),
        ({"targets": ["high"]}, "targets[0]"),
        ({"targets": [True]}, "targets[0]"),
        ({"targets": ["2e0"]}, "targets[0]"),
        ({"targets": 2}, "targets"),
        ({"daily_budget": "-1"}, "daily_budget"),
        ({"daily_budget": "1e3"}, "daily_budget"),
        ({"strategy_id": ""}, "strategy_id"),
        ({"target": 2}, "target"),
    ],
)
def test_a_wrong_question_names_the_property(world: World, change: dict[str, Any], wrong: str) -> None:
    answer = ask(status=422, **change)
    assert [error["property"] for error in answer["errors"]] == [wrong]


def test_without_the_sums_it_says_when_to_come_back(market: World) -> None:
    wiring.redis_client().flushdb()
    answer = handler(http_event("POST", "/api/simulate", {"brand_id": "b"}), None)
    assert answer["statusCode"] == 503
    assert answer["headers"]["retry-after"]
