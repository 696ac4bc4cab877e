"""POST /api/score has two ways to an answer, and the caller can't tell which one it took."""

import base64
import json
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adbid import wiring
from adbid.domain import errors
from adbid.web.gateway import BODY_LIMIT
from functions.score import api, app
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

_numbers = count()

FAR, GONE = "4102444800", "1000000000"
CALLERS: tuple[dict[str, Any], ...] = (
    {"scope": "admin"},
    {"scope": "partner", "partner_ids": ["*"]},
    {"scope": "partner", "partner_ids": ["q"], "sub": "ü"},
    {"scope": "brand partner", "brand_ids": ["b0"], "partner_ids": []},
    {"scope": "brand", "brand_ids": ["*"]},
    {"scope": ""},
    {"scope": "admin", "exp": GONE},
    {"scope": "admin", "exp": "soon"},
)
BIDS = st.lists(
    st.fixed_dictionaries(
        {
            "brand_id": st.sampled_from(["b0", "b1", "off", "nobody"]),
            "partner_id": st.sampled_from(["p", "p", "q"]),
            "slot_id": st.sampled_from(["s", "dear", "nowhere"]),
            "pricing_model": st.sampled_from(["CPM", "CPC", "CPA"]),
            "amount": st.sampled_from(["0", "2.5", 40, 0.125, "0.1234567", -1]),
            "currency": st.sampled_from(["USD", "USD", "EUR", "usd"]),
        },
        optional={
            "device_type": st.sampled_from(["mobile", None, "two words", "ü", ""]),
            "country": st.sampled_from(["SE", None, "S"]),
            "surprise": st.just(1),
        },
    ),
    max_size=5,
)
MORE = st.sampled_from(
    (
        *[{}] * 4,
        {"dry_run": True},
        {"dry_run": 1},
        {"explain": True},
        {"explore": False},
        {"at": "soon"},
        {"x": 1},
    )
)


@pytest.fixture
def market(world: World) -> World:  # noqa: F811
    strategies = [{"id": "plain", "vpi_multiplier": 1, "probe_share": 0.4, "exploration_share": 0.3}]
    brands = [{"id": f"b{number}", "strategy_id": "plain", "daily_budget": 5} for number in range(2)]
    world.set(
        {
            "strategies": strategies,
            "brands": [*brands, {"id": "off", "strategy_id": "plain", "status": "paused"}],
            "partners": [{"id": "p"}, {"id": "q"}],
            "slots": [{"id": "s"}, {"id": "dear", "floor": 100}],
        }
    )
    world.past([{"brand_id": "b0", "partner_id": "p", "slot_id": "s", "impressions": 900, "clicks": 9}])
    return world


def event_of(body: Any, claims: Mapping[str, Any] | None = None, encoded: bool = False) -> dict[str, Any]:
    made = http_event("POST", "/api/score", body, claims=claims)
    if encoded:
        made |= {"body": base64.b64encode(made["body"].encode()).decode(), "isBase64Encoded": True}
    return made


def both(event: dict[str, Any]) -> dict[str, Any]:
    """What the function answers, which is what FastAPI makes of the same event: a decision is repeated."""
    mine = app.handler(event, None)
    assert mine == api.respond(event, None)
    return mine


def bundle(**more: Any) -> dict[str, Any]:
    place = {"brand_id": "b0", "partner_id": "p", "slot_id": "s"}
    bid = {"id": "x", "pricing_model": "CPC", "amount": "0.85", "currency": "USD", **place}
    return {"id": f"w{next(_numbers)}", "bids": [bid], **more}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bids=BIDS, more=MORE, caller=st.sampled_from((*CALLERS[:3] * 3, *CALLERS)), encoded=st.booleans())
def test_both_ways_say_the_same(
    market: World, bids: list[dict[str, Any]], more: dict[str, Any], caller: dict[str, Any], encoded: bool
) -> None:
    numbered = [{"id": f"b{number}", **bid} for number, bid in enumerate(bids)]
    answer = both(event_of({"id": f"w{next(_numbers)}", "bids": numbered, **more}, caller, encoded))
    assert answer["statusCode"] in (200, 401, 403, 422)


def test_the_usual_is_answered_without_the_framework(market: World) -> None:
    for encoded in (False, True):
        event = event_of(bundle(), encoded=encoded)
        mine = app.plainly(event)
        assert mine is not None
        assert mine.event() == both(event)
        assert json.loads(mine.body)["results"][0]["status"] == "won"


@pytest.mark.parametrize("caller", CALLERS[4:])
@pytest.mark.parametrize("body", ["plain", "odd"])
def test_who_may_not_is_told_before_the_body_is_read(
    market: World, caller: dict[str, Any], body: str
) -> None:
    event = event_of(bundle() if body == "plain" else "{", caller)
    answer = both(event)
    assert answer["statusCode"] == (401 if caller["scope"] == "admin" else 403)
    assert ("www-authenticate" in answer["headers"]) == (answer["statusCode"] == 401)
    event["requestContext"].pop("authorizer")
    assert both(event)["statusCode"] == 401


def test_the_same_id_with_other_bids_is_a_conflict(market: World) -> None:
    asked = bundle()
    assert both(event_of(asked))["statusCode"] == 200
    asked["bids"][0]["amount"] = "0.86"
    assert both(event_of(asked))["statusCode"] == 409


@pytest.mark.parametrize(
    "error",
    [
        errors.Unavailable("database_busy", "later", retry_after=7),
        errors.NotFound("not_found", "ü"),
        errors.Invalid("bad", "no good", property="bids[3].amount"),
        errors.AdBidError("odd", "no status of its own"),
        RuntimeError("password=hunter2"),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_the_same_problems(
    market: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    @cache
    def fails() -> Any:
        raise error

    monkeypatch.setattr(wiring, "scoring", fails)
    answer = both(event_of(bundle()))
    assert answer["statusCode"] >= 404
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert "hunter2" not in answer["body"]


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_over_the_limit_is_not_read(market: World, encoded: bool) -> None:
    asked = bundle(surprise="")
    spare = BODY_LIMIT - len(json.dumps(asked))
    fits, too_large = ({**asked, "surprise": "x" * length} for length in (spare, spare + 1))
    assert app.handler(event_of(fits, encoded=encoded), None)["statusCode"] == 422
    assert app.handler(event_of(too_large, encoded=encoded), None)["statusCode"] == 413


def changed(**http: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(event: dict[str, Any]) -> dict[str, Any]:
        about = event["requestContext"]
        return {**event, "requestContext": {**about, "http": {**about["http"], **http}}}

    return change


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (changed(method="GET"), 405),
        (changed(path="/api/score/"), 307),
        (changed(path="/api/SCORE"), 404),
        (changed(path="/api/scor%65"), 404),
        (changed(method="GET", path="/healthz"), 200),
        (lambda event: {**event, "body": None}, 422),
        (lambda event: {**event, "body": "[]"}, 422),
    ],
)
def test_everything_else_is_the_frameworks(
    market: World, change: Callable[[dict[str, Any]], dict[str, Any]], status: int
) -> None:
    assert both(change(event_of(bundle())))["statusCode"] == status


def test_both_ways_are_counted_alike(market: World) -> None:
    added = []
    for name in ("plain", "ü"):
        before = counted()
        asked = bundle(id=f"{name}{next(_numbers)}")
        asked["bids"].append({**asked["bids"][0], "id": "y", "brand_id": "nobody", "pricing_model": "CPA"})
        assert app.handler(event_of(asked), None)["statusCode"] == 200
        assert app.handler(event_of(asked, CALLERS[4]), None)["statusCode"] == 403
        added.append({series: value - before.get(series, 0) for series, value in counted().items()})
    assert added[0] == added[1]
    assert added[0]['bid_requests_total{model="CPA"}'] == 1
    assert added[0]['http_responses_total{service="score",status="4xx"}'] == 1
    assert added[0]["score_latency_seconds_count"] == 1


def counted() -> dict[str, float]:
    """What GET /metrics says has been counted; of durations, how many."""
    text = wiring.scrape().text(wiring.now())
    pairs = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in pairs if "_total" in name or name.endswith("_count")}
