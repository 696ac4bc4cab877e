"""Bids and bundles that come in broken: a 422 that names the property at fault."""

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.bad_values import (
    BID,
    COUNTRIES,
    CURRENCIES,
    IDS,
    LITERALS,
    MONEY,
    NOW,
    SCORE,
    TIMES,
    cases,
)
from tests.support.product import JSON, assert_problem, ok

pytestmark = pytest.mark.usefixtures("market")

BAD_BIDS: dict[str, list[Any]] = {
    "id": [*IDS, None],
    "brand_id": [*IDS, None],
    "partner_id": [*IDS, None],
    "slot_id": [*IDS, None],
    "pricing_model": ["", "cpm", "CPX", "CPM ", None, 1, []],
    "amount": [*MONEY, None],
    "currency": [*CURRENCIES, None],
    "device_type": IDS,
    "creative_type": IDS,
    "campaign_id": IDS,
    "os": IDS,
    "country": COUNTRIES,
}


@cases(BAD_BIDS)
def test_a_bid_that_is_wrong_is_named(admin: httpx.Client, name: str, value: Any) -> None:
    bids = [{**BID, "id": "good"}, {**BID, name: value}]
    problem = assert_problem(admin.post("/api/score", json={"id": "r", "bids": bids}), 422)
    assert [error["property"] for error in problem["errors"]] == [f"bids[1].{name}"]


@cases(
    {
        "id": [*IDS, None],
        "bids": [None, [], {}, 1, "b", [None], [[]], [1], [{}]],
        "dry_run": [None, 0, 1, "true", "", []],
        "at": TIMES,
    }
)
def test_a_bundle_that_is_wrong_is_named(admin: httpx.Client, name: str, value: Any) -> None:
    problem = assert_problem(admin.post("/api/score", json={"dry_run": True, **SCORE, name: value}), 422)
    assert problem["errors"]
    for error in problem["errors"]:
        assert error["property"].startswith(name)


@pytest.mark.parametrize("literal", LITERALS)
def test_an_amount_that_json_does_not_know(admin: httpx.Client, literal: str) -> None:
    body = json.dumps({"id": uuid4().hex, "bids": [{**BID, "amount": "HERE"}]}).replace('"HERE"', literal)
    problem = assert_problem(admin.post("/api/score", content=body.encode(), headers=JSON), 422)
    assert problem["errors"][0]["property"] in ("bids[0].amount", "")


def test_too_many_and_too_few_bids(admin: httpx.Client) -> None:
    bids = [{**BID, "id": f"b{number}"} for number in range(1001)]
    ok(admin.post("/api/score", json={"id": "r", "bids": bids[:1000]}))
    for wrong in (bids, []):
        problem = assert_problem(admin.post("/api/score", json={"id": "r", "bids": wrong}), 422)
        assert [error["property"] for error in problem["errors"]] == ["bids"]


def test_bids_with_the_same_id(admin: httpx.Client) -> None:
    problem = assert_problem(admin.post("/api/score", json={"id": "r", "bids": [BID, BID]}), 422)
    assert [error["property"] for error in problem["errors"]] == ["bids[1].id"]


def test_a_time_to_score_at_wants_a_dry_run(admin: httpx.Client) -> None:
    problem = assert_problem(admin.post("/api/score", json={**SCORE, "at": NOW.isoformat()}), 422)
    assert [error["property"] for error in problem["errors"]] == ["at"]


@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01T00:00:00+00:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59+00:00",
        "9999-12-31T23:59:59-12:00",
        "1969-07-20T20:17:40Z",
        "2020-01-01T00:00:00.123456789Z",
    ],
)
def test_scoring_at_the_ends_of_time(admin: httpx.Client, at: str) -> None:
    answer = admin.post("/api/score", json={**SCORE, "dry_run": True, "at": at})
    if answer.status_code != 200:
        problem = assert_problem(answer, 422)
        assert [error["property"] for error in problem["errors"]] == ["at"]


@pytest.mark.parametrize("amount", [0, "0", "0.000001", "999999999.999999", 1_000_000_000])
@pytest.mark.parametrize("pricing", ["CPM", "CPC", "CPA"])
def test_amounts_at_the_ends_of_the_scale(admin: httpx.Client, amount: Any, pricing: str) -> None:
    """A number that can't be computed is null; JSON has no other way to say so."""
    bid = {**BID, "amount": amount, "pricing_model": pricing}
    answer = admin.post("/api/score", json={"id": uuid4().hex, "bids": [bid]})
    json.loads(answer.content, parse_constant=pytest.fail)
    [result] = ok(answer)["results"]
    assert result["status"] in ("won", "rejected")
