"""Events that come in broken: a batch is answered event by event."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.bad_values import (
    BODIES,
    COUNTRIES,
    CURRENCIES,
    EVENT,
    HERE,
    IDS,
    LITERALS,
    MONEY,
    NOW,
    TIMES,
    become,
    cases,
)
from tests.support.product import JSON, assert_problem, ok

pytestmark = pytest.mark.usefixtures("market")

BAD_EVENTS: dict[str, list[Any]] = {
    "event_id": [*IDS, None],
    "type": ["", "view", "Click", None, 1, []],
    "event_time": [*TIMES, None, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z"],
    "brand_id": [*IDS, None],
    "partner_id": [*IDS, None],
    "slot_id": [*IDS, None],
    "count": [0, -1, 1.5, "1", True, 10**12 + 1, 10**30, [], {}],
    "cost": MONEY,
    "revenue": MONEY,
    "currency": CURRENCIES,
    "pricing_model": ["", "cpm", "CPX", 1, []],
    "device_type": IDS,
    "creative_type": IDS,
    "campaign_id": IDS,
    "os": IDS,
    "country": COUNTRIES,
    "decision_id": IDS,
    "bid_id": IDS,
}


@cases(BAD_EVENTS)
def test_an_event_that_is_wrong_is_rejected_alone(admin: httpx.Client, name: str, value: Any) -> None:
    wrong, right = {**EVENT, name: value}, {**EVENT, "event_id": "good"}
    first, second = become(admin, wrong, right)
    assert (first["status"], first["code"]) == ("rejected", "invalid_event")
    assert first["message"].startswith(f"{name}:"), first
    assert second["status"] in ("accepted", "duplicate")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_time": (NOW + timedelta(hours=1)).isoformat()}, "event_in_future"),
        ({"event_time": "9999-12-31T23:59:59+00:00"}, "event_in_future"),
        ({"brand_id": "nobody"}, "unknown_brand"),
        ({"brand_id": "B1"}, "unknown_brand"),
        ({"partner_id": "nobody"}, "unknown_partner"),
        ({"slot_id": "nowhere"}, "unknown_slot"),
        ({"slot_id": "s2"}, "unknown_slot"),
        ({"currency": "EUR"}, "currency_mismatch"),
        ({"currency": None, "cost": "1"}, "invalid_event"),
        ({"type": "restatement", "adjusts_event_id": "never"}, "unknown_event"),
        ({"type": "retraction", "adjusts_event_id": "e"}, "unknown_event"),
        ({"type": "retraction"}, "invalid_event"),
        ({"adjusts_event_id": "good"}, "invalid_event"),
        ({"unknown": 1}, "invalid_event"),
        ({"ip": "127.0.0.1"}, "invalid_event"),
        ({"publisher_id": "p1"}, "invalid_event"),
    ],
)
def test_an_event_that_can_not_be_counted(admin: httpx.Client, change: dict[str, Any], code: str) -> None:
    [result] = become(admin, {**EVENT, **change})
    assert (result["status"], result["code"]) == ("rejected", code)
    assert result["message"]


@pytest.mark.parametrize("item", [None, 1, "e", [], [EVENT], {}, True])
def test_an_event_that_is_no_object(admin: httpx.Client, item: Any) -> None:
    first, second = become(admin, item, {**EVENT, "event_id": "good"})
    assert (first["event_id"], first["status"]) == (None, "rejected")
    assert second["status"] in ("accepted", "duplicate")


@pytest.mark.parametrize("literal", LITERALS)
@pytest.mark.parametrize("name", ["count", "cost", "event_time"])
def test_an_event_with_what_json_does_not_know(admin: httpx.Client, name: str, literal: str) -> None:
    body = json.dumps({"events": [{**EVENT, name: "HERE"}]}).replace('"HERE"', literal)
    answer = admin.post("/api/performance", content=body.encode(), headers=JSON)
    if answer.status_code == 200:
        assert answer.json()["results"][0]["status"] == "rejected"
    else:
        assert_problem(answer, 422)


def test_too_many_and_too_few_events(admin: httpx.Client) -> None:
    events = [{**EVENT, "event_id": f"many-{number}"} for number in range(1001)]
    assert {result["status"] for result in become(admin, *events[:1000])} == {"accepted"}
    for wrong in (events, [], None, {}, "e"):
        problem = assert_problem(admin.post("/api/performance", json={"events": wrong}), 422)
        assert [error["property"] for error in problem["errors"]] == ["events"]


def test_the_same_event_twice_in_one_batch(admin: httpx.Client) -> None:
    event = {**EVENT, "event_id": "twice"}
    rewritten = {**event, "cost": 0, "revenue": "0.00", "count": 1, "os": None}
    assert [result["status"] for result in become(admin, event, rewritten, {**event, "count": 2})] == [
        "accepted",
        "duplicate",
        "conflict",
    ]


def test_what_a_rejected_event_said_is_not_sent_back_at_length(admin: httpx.Client) -> None:
    wrong = {f"{'x' * 1000}{number}": "y" * 1000 for number in range(100)}
    [result] = become(admin, {**EVENT, **wrong})
    assert len(result["message"]) < 2000


def test_sums_at_the_ends_of_the_scale(admin: httpx.Client) -> None:
    """Amounts that pass one by one may not pass together; what was accepted stays exact and readable."""
    ok(admin.post("/api/brands", json={**BODIES["/api/brands"], "id": "rich", "name": "rich"}), 201)
    day = NOW - timedelta(days=20)
    huge = {**EVENT, "brand_id": "rich", "type": "impression"}
    huge |= {"count": 10**12, "cost": "999999999999.999999"}
    accepted = 0
    for number in range(24):  # two for each of twelve days, and a day holds one
        at = (day + timedelta(days=number % 12)).isoformat()
        event = {**huge, "event_id": f"huge-{number}", "event_time": at}
        answer = admin.post("/api/performance", json={"events": [event]})
        if answer.status_code == 200:
            accepted += answer.json()["results"][0]["status"] == "accepted"
        else:
            assert_problem(answer, 422)
    window = {"from": (day - timedelta(days=1)).isoformat(), "to": (day + timedelta(days=13)).isoformat()}
    observed = ok(admin.get("/api/roas", params={**HERE, **window, "brand_id": "rich"}))["observed"]
    assert (accepted, observed["cost"]) == (12, "11999999999999.999988")
    points = ok(admin.get("/api/metrics/vpi", params={**window, "brand_id": "rich"}))["points"]
    assert [point["cost"] for point in points] == ["999999999999.999999"] * 12
