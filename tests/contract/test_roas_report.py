"""GET /api/roas: what is expected and what was observed, for whom, and what a wrong question is told."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from adbid import wiring
from adbid.data import rebuild
from adbid.data.history import HORIZON
from functions.roas.app import handler
from functions.roas.models import RoasAnswer
from tests.support.past import AT, Rows, catalog, random_rows, store
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

ROWS = random_rows(600)
PLACE = {"brand_id": "b0", "partner_id": "p1", "slot_id": "s2"}
BRAND = {"scope": "brand", "brand_ids": ["b0", "b2"]}
PARTNER = {"scope": "partner", "partner_ids": ["p1"]}
BOTH = {"scope": "brand partner", "brand_ids": ["b2"], "partner_ids": ["p1"]}


@pytest.fixture
def past(world: World) -> World:  # noqa: F811
    """`ROWS` in MySQL and in Redis."""
    catalog(wiring.database())
    store(wiring.database(), ROWS)
    rebuild.rebuild(wiring.database(), wiring.counters(), AT)
    world.clock = AT
    return world


def ask(
    query: Mapping[str, str] | str, claims: Mapping[str, Any] | None = None, status: int = 200
) -> dict[str, Any]:
    text = query if isinstance(query, str) else urlencode(query)
    answer = handler(http_event("GET", "/api/roas", claims=claims, query=text), None)
    assert answer["statusCode"] == status, answer["body"]
    kind = "application/json" if status == 200 else "application/problem+json"
    assert answer["headers"]["content-type"] == kind
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def sums(rows: Rows, **asked: str) -> dict[str, Any]:
    """What the answer must say was observed, added up row by row."""
    names = ("impressions", "clicks", "conversions", "cost", "revenue")
    fitting = []
    for cell, totals in rows.items():
        said = {"brand_id": cell.brand_id, "partner_id": cell.partner_id, "slot_id": cell.slot_id}
        said |= {"device_type": cell.context[0], "country": cell.context[3]}
        if all(said[name] == value for name, value in asked.items()):
            fitting.append(totals)
    assert fitting
    found: dict[str, Any] = dict(zip(names, map(sum, zip(*fitting, strict=True)), strict=True))
    found["roas"] = round(float(found["revenue"] / found["cost"]), 4)
    return found


def test_what_was_observed_is_exact(past: World) -> None:
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-11-20T09:00:00Z"}
    for more in ({}, {"device_type": "mobile"}, {"country": "US"}):
        observed = ask({**PLACE, **span, **more})["observed"]
        assert (observed.pop("from"), observed.pop("to")) == (
            "2026-01-01T00:00:00+00:00",
            "2026-11-20T09:00:00+00:00",
        )
        for money in ("cost", "revenue"):
            observed[money] = Decimal(observed[money])
        assert observed == sums(ROWS, **PLACE, **more)


def test_the_last_thirty_days_are_observed_by_default(past: World) -> None:
    observed = ask(PLACE)["observed"]
    assert (observed["from"], observed["to"]) == ("2026-10-21T09:00:00+00:00", "2026-11-20T09:00:00+00:00")
    recent = {cell: totals for cell, totals in ROWS.items() if (AT - cell.bucket_start).days < 30}
    assert observed["impressions"] == sums(recent, **PLACE)["impressions"]
    early = ask({**PLACE, "to": "2026-11-01T00:00:00Z"})["observed"]
    assert early["from"] == "2026-10-02T00:00:00+00:00"


def test_what_is_expected_agrees_with_a_score(past: World) -> None:
    answer = ask({**PLACE, "device_type": "mobile"})
    with wiring.database().read():
        hot = wiring.hot_store().read([("b0", "p1", "s2", ("mobile", "", "", "", ""))], AT)
    bid = {
        **PLACE,
        "id": "1",
        "pricing_model": "CPM",
        "amount": 1,
        "currency": "USD",
        "device_type": "mobile",
    }
    score = wiring.scoring().score([bid], decision="d", now=AT, visible_partners=None)
    assert hot.evidence is not None
    assert answer["predicted_revenue"] == pytest.approx(score.evaluation.revenue[0])
    assert answer["predicted_roas"] == pytest.approx(answer["predicted_revenue"] / answer["predicted_cost"])
    assert answer["interval"]["low"] < answer["predicted_roas"] < answer["interval"]["high"]
    assert answer["interval"]["level"] == 0.9
    assert answer["target_roas"] == 2.0
    assert answer["model_version"] == score.model_version
    RoasAnswer.model_validate(answer)


def test_a_prediction_by_hand(world: World) -> None:  # noqa: F811
    world.set(
        {
            "strategies": [{"id": "plain", "vpi_multiplier": 1}],
            "brands": [{"id": "b0", "strategy_id": "plain", "vertical": "retail", "target_roas": 3}],
            "partners": [{"id": "p1"}],
            "slots": [{"id": "s2"}],
        }
    )
    world.past([{**PLACE, "impressions": 1000, "clicks": 50, "conversions": 20, "cost": 4, "revenue": 10}])
    answer = ask(PLACE)
    # All there is lies in one cell: 10 / 1,000 and 4 / 1,000.
    assert answer["predicted_revenue"] == pytest.approx(0.01)
    assert answer["predicted_cost"] == pytest.approx(0.004)
    assert answer["predicted_roas"] == pytest.approx(2.5)
    shape = 20 / 2  # 20 conversions, whose sizes vary; nothing else is known that could lend from above
    centre, spread = 1 - 1 / (9 * shape), 1.6448536 / (3 * shape**0.5)
    assert answer["interval"]["low"] == pytest.approx(2.5 * (centre - spread) ** 3, rel=1e-6)
    assert answer["interval"]["high"] == pytest.approx(2.5 * (centre + spread) ** 3, rel=1e-6)
    assert answer["target_roas"] == 3.0


def test_nothing_known_is_null_and_nothing_observed_zero(world: World) -> None:  # noqa: F811
    catalog(wiring.database())
    answer = ask(PLACE)
    for name in ("predicted_roas", "predicted_revenue", "predicted_cost", "interval"):
        assert answer[name] is None
    observed = answer["observed"]
    assert (observed["impressions"], observed["cost"], observed["revenue"]) == (0, "0.00", "0.00")
    assert observed["roas"] is None


def test_without_redis_the_database_answers_the_same(past: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = ask(PLACE)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    wiring.redis_client.cache_clear()
    wiring.hot_store.cache_clear()
    cold = ask(PLACE)
    for name in ("predicted_revenue", "predicted_cost", "predicted_roas"):
        assert cold.pop(name) == pytest.approx(warm.pop(name), rel=1e-9)
    assert cold.pop("interval") == pytest.approx(warm.pop("interval"), rel=1e-9)
    assert cold == warm


def test_an_old_log_can_be_observed(past: World) -> None:
    past.clock = AT + 2 * HORIZON
    observed = ask({**PLACE, "from": "2026-10-01T00:00:00+02:00", "to": "2026-11-21T00:00:00+02:00"})[
        "observed"
    ]
    assert observed["impressions"] == sums(ROWS, **PLACE)["impressions"]
    assert observed["from"] == "2026-09-30T22:00:00+00:00"


@pytest.mark.parametrize(
    ("claims", "place", "code"),
    [
        (BRAND, PLACE, None),
        (BRAND, PLACE | {"brand_id": "b1"}, "unknown_brand"),
        (PARTNER, PLACE | {"brand_id": "b1"}, None),
        (PARTNER, PLACE | {"partner_id": "p0"}, "unknown_partner"),
        (BOTH, PLACE, None),
        (BOTH, PLACE | {"partner_id": "p0"}, "unknown_brand"),
        (BOTH, PLACE | {"partner_id": "p0", "brand_id": "b2"}, None),
        ({"scope": "brand", "brand_ids": ["*"]}, PLACE, None),
        ({"scope": "brand", "partner_ids": ["p1"]}, PLACE, "unknown_partner"),
        ({"scope": "admin"}, PLACE, None),
        ({"scope": "admin"}, PLACE | {"brand_id": "B0"}, "unknown_brand"),
        ({"scope": "admin"}, PLACE | {"partner_id": "p9"}, "unknown_partner"),
        ({"scope": "admin"}, PLACE | {"slot_id": "s9"}, "unknown_slot"),
    ],
)
def test_who_may_see_what(
    past: World, claims: dict[str, Any], place: dict[str, str], code: str | None
) -> None:
    answer = ask(place, claims, 404 if code else 200)
    if code:
        assert answer["type"] == f"urn:adbid:problem:{code}"
        assert answer["errors"][0]["property"] == f"{code.removeprefix('unknown_')}_id"


def test_anothers_own_slot_is_unknown_to_a_partner(past: World) -> None:
    past.set({"slots": [{"id": "own", "partner_id": "p0"}]})
    assert ask(PLACE | {"slot_id": "own"}, PARTNER, 404)["errors"][0]["property"] == "slot_id"
    ask(PLACE | {"slot_id": "own"}, BRAND)
    ask(PLACE | {"slot_id": "own", "partner_id": "p0"}, {"scope": "partner", "partner_ids": ["p0"]})


@pytest.mark.parametrize("scope", ["", "metrics", "other"])
def test_other_scopes_are_forbidden(past: World, scope: str) -> None:
    ask(PLACE, {"scope": scope}, 403)


def test_a_publisher_is_a_partner(past: World) -> None:
    renamed = {"publisher_id" if name == "partner_id" else name: value for name, value in PLACE.items()}
    assert ask(renamed) == ask(PLACE)


def test_an_unescaped_plus_sign_is_understood(past: World) -> None:
    query = urlencode(PLACE) + "&from=2026-11-01T00:00:00+01:00"
    assert ask(query)["observed"]["from"] == "2026-10-31T23:00:00+00:00"


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"brand_id": None}, "brand_id"),
        ({"partner_id": None}, "partner_id"),
        ({"slot_id": ""}, "slot_id"),
        ({"brand_id": "x" * 65}, "brand_id"),
        ({"brand_id": " b0"}, "brand_id"),
        ({"brand_id": "b\x000"}, "brand_id"),
        ({"device_type": ""}, "device_type"),
        ({"country": "Germany"}, "country"),
        ({"publisher_id": "p2"}, "publisher_id"),
        ({"colour": "blue"}, "colour"),
        ({"since": "2026-11-01T00:00:00Z"}, "since"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-11-01"}, "from"),
        ({"from": "1700000000"}, "from"),
        ({"from": "2026-11-01T00:00:00"}, "from"),
        ({"from": "2026-11-31T00:00:00Z"}, "from"),
        ({"from": "2026-11-01T00:00:00+25:00"}, "from"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "to"),
        ({"from": "2026-11-20T09:00:00Z"}, "from"),  # now
        ({"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"}, "from"),
    ],
)
def test_a_wrong_question_names_the_property(past: World, change: dict[str, str | None], wrong: str) -> None:
    query = {name: value for name, value in {**PLACE, **change}.items() if value is not None}
    answer = ask(query, status=422)
    assert [error["property"] for error in answer["errors"]] == [wrong]
