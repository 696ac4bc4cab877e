"""GET /api/metrics/vpi: value per impression by hour and day, in any time zone, for one's own rows alone."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from adbid import wiring
from adbid.domain.events import Cell
from functions.roas.app import handler
from functions.roas.models import VpiAnswer
from tests.support.past import AT, CURRENCIES, catalog, random_rows, store
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

ROWS = random_rows(600, days=40)
MONTH = {"from": "2026-10-25T00:00:00Z", "to": "2026-11-20T09:00:00Z"}
BRAND = {"scope": "brand", "brand_ids": ["b0"]}
PARTNER = {"scope": "partner", "partner_ids": ["p1"]}
BOTH = {"scope": "brand partner", "brand_ids": ["b0"], "partner_ids": ["p1"]}


@pytest.fixture
def past(world: World) -> World:  # noqa: F811
    catalog(wiring.database())
    store(wiring.database(), ROWS)
    world.clock = AT
    return world


def ask(
    query: Mapping[str, str] | str = "", claims: Mapping[str, Any] | None = None, status: int = 200
) -> dict[str, Any]:
    text = query if isinstance(query, str) else urlencode(query)
    answer = handler(http_event("GET", "/api/metrics/vpi", claims=claims, query=text), None)
    assert answer["statusCode"] == status, answer["body"]
    found: dict[str, Any] = json.loads(answer["body"])
    if status == 200:
        VpiAnswer.model_validate(found)
    return found


def put(*rows: tuple[str, int, str, str], brand: str = "b0") -> None:
    """Rows of one brand: when, impressions, cost, revenue."""
    cells = {}
    for at, impressions, cost, revenue in rows:
        context = ("mobile", "", "", "", "")
        cell = Cell(datetime.fromisoformat(at).replace(tzinfo=UTC), brand, "p1", "s1", context, "CPC")
        cells[cell] = (impressions, 0, 0, Decimal(cost), Decimal(revenue))
    store(wiring.database(), cells)


def test_the_contracts_example(world: World) -> None:  # noqa: F811
    catalog(wiring.database())
    put(("2026-11-19T21:00", 700, "3", "5.46"), ("2026-11-19T21:45", 500, "1.1", "3.9"))
    assert ask() == {
        "granularity": "hour",
        "timezone": "UTC",
        "points": [
            {
                "at": "2026-11-19T21:00:00+00:00",
                "hour": 21,
                "impressions": 1200,
                "value_per_impression": 0.0078,
                "revenue": "9.36",
                "cost": "4.10",
                "currency": "USD",
            }
        ],
    }


def test_a_day_has_no_hour_and_its_own_offset(world: World) -> None:  # noqa: F811
    catalog(wiring.database())
    put(
        ("2026-11-18T22:45", 1, "0", "1"),
        ("2026-11-18T23:00", 2, "0", "1"),
        ("2026-11-19T22:45", 4, "0", "1"),
    )
    found = ask({"granularity": "day", "timezone": "Europe/Berlin"})["points"]
    assert [(point["at"], point["hour"], point["impressions"]) for point in found] == [
        ("2026-11-18T00:00:00+01:00", None, 1),
        ("2026-11-19T00:00:00+01:00", None, 6),
    ]


def test_the_day_the_clocks_go_back_lasts_25_hours(world: World) -> None:  # noqa: F811
    catalog(wiring.database())
    first = datetime(2026, 11, 1, 4, tzinfo=UTC)
    put(*((f"{first + timedelta(hours=n):%Y-%m-%dT%H:%M}", 1, "0", "0") for n in range(26)))
    new_york = {
        "timezone": "America/New_York",
        "from": "2026-11-01T00:00:00-04:00",
        "to": "2026-11-03T00:00:00-05:00",
    }
    days = ask({**new_york, "granularity": "day"})["points"]
    assert [point["impressions"] for point in days] == [25, 1]
    hours = ask(new_york)["points"]
    assert len(hours) == 26
    assert [(p["at"][11:], p["hour"]) for p in hours[1:3]] == [("01:00:00-04:00", 1), ("01:00:00-05:00", 1)]


def test_currencies_are_kept_apart_and_no_impressions_have_no_value(world: World) -> None:  # noqa: F811
    catalog(wiring.database())
    put(("2026-11-20T08:00", 10, "1", "2"))
    put(("2026-11-20T08:15", 0, "0", "3"), brand="b1")
    assert [(p["currency"], p["revenue"], p["value_per_impression"]) for p in ask()["points"]] == [
        ("EUR", "3.00", None),
        ("USD", "2.00", 0.2),
    ]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("granularity", ["hour", "day"])
def test_points_are_exact_sums(past: World, granularity: str, zone: str) -> None:
    expected: dict[tuple[str, str], list[Any]] = {}
    for cell, (impressions, _, _, cost, revenue) in ROWS.items():
        if cell.bucket_start >= datetime.fromisoformat(MONTH["from"]):
            start = cell.bucket_start.astimezone(ZoneInfo(zone)).replace(minute=0)
            start = start if granularity == "hour" else start.replace(hour=0, fold=0)
            key = (start.isoformat(), CURRENCIES[cell.brand_id])
            sums = expected.setdefault(key, [0, Decimal(0), Decimal(0)])
            for place, more in enumerate((impressions, cost, revenue)):
                sums[place] += more
    found = ask({**MONTH, "granularity": granularity, "timezone": zone})["points"]
    assert {
        (p["at"], p["currency"]): [p["impressions"], Decimal(p["cost"]), Decimal(p["revenue"])] for p in found
    } == expected
    moments = [(datetime.fromisoformat(point["at"]).astimezone(UTC), point["currency"]) for point in found]
    assert moments == sorted(moments)


def impressions(query: Mapping[str, str], claims: Mapping[str, Any]) -> int:
    return sum(point["impressions"] for point in ask({**MONTH, **query}, claims)["points"])


def expected_impressions(
    brands: str = "b0 b1 b2 b3", partners: str = "p0 p1 p2", slots: str = "s0 s1 s2"
) -> int:
    since = datetime.fromisoformat(MONTH["from"])
    return sum(
        totals[0]
        for cell, totals in ROWS.items()
        if cell.bucket_start >= since
        and cell.brand_id in brands
        and cell.partner_id in partners
        and cell.slot_id in slots
    )


def test_a_token_sees_its_own_rows(past: World) -> None:
    everything = expected_impressions()
    brand, partner = expected_impressions(brands="b0"), expected_impressions(partners="p1")
    both = expected_impressions(brands="b0", partners="p1")
    assert impressions({}, {"scope": "admin"}) == everything
    assert impressions({}, {"scope": "partner", "partner_ids": ["*"]}) == everything
    assert impressions({}, BRAND) == brand
    assert impressions({}, PARTNER) == partner
    assert impressions({}, BOTH) == brand + partner - both
    assert impressions({"brand_id": "b0"}, PARTNER) == both
    assert impressions({"partner_id": "p1"}, BRAND) == both
    assert impressions({"brand_id": "b1"}, BOTH) == expected_impressions(brands="b1", partners="p1")
    assert impressions({"slot_id": "s2"}, BRAND) == expected_impressions(brands="b0", slots="s2")
    assert impressions({}, {"scope": "brand"}) == 0


@pytest.mark.parametrize(
    ("claims", "named", "wrong"),
    [
        (BRAND, {"brand_id": "b1"}, "brand_id"),
        (PARTNER, {"partner_id": "p0"}, "partner_id"),
        (BOTH, {"brand_id": "b1", "partner_id": "p0"}, "brand_id"),
        ({"scope": "brand"}, {"brand_id": "b0"}, "brand_id"),
        ({"scope": "admin"}, {"brand_id": "b9"}, "brand_id"),
        ({"scope": "admin"}, {"partner_id": "p9"}, "partner_id"),
        ({"scope": "admin"}, {"slot_id": "s9"}, "slot_id"),
        (PARTNER, {"slot_id": "own"}, "slot_id"),
    ],
)
def test_a_foreign_or_unknown_id_is_not_found(
    past: World, claims: dict[str, Any], named: dict[str, str], wrong: str
) -> None:
    past.set({"slots": [{"id": "own", "partner_id": "p0"}]})
    assert [error["property"] for error in ask(named, claims, 404)["errors"]] == [wrong]


def test_a_window_starts_with_an_hour_or_day(past: World) -> None:
    past.clock = datetime(2026, 11, 20, 9, 7, tzinfo=UTC)
    put(("2026-11-19T09:00", 1_000_000, "0", "0"), ("2026-11-19T08:45", 1_000_000, "0", "0"))
    assert ask()["points"][0]["at"] == "2026-11-19T09:00:00+00:00"
    put(("2026-10-21T00:00", 1_000_000, "0", "0"), ("2026-10-20T23:45", 1_000_000, "0", "0"))
    first = ask({"granularity": "day"})["points"][0]
    assert first["at"] == "2026-10-21T00:00:00+00:00"


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("granularity=week", "granularity"),
        ("timezone=Europe/Nowhere", "timezone"),
        ("timezone=../../etc/passwd", "timezone"),
        ("timezone=", "timezone"),
        ("timezone=europe", "timezone"),
        ("brand_id=", "brand_id"),
        ("hours=3", "hours"),
        ("from=2026-11-20T09:00:00Z", "from"),
        ("from=2026-11-20T08:00:00", "from"),
        ("from=2026-10-01T00:00:00Z&to=2026-11-02T00:00:00Z", "from"),
        ("granularity=day&from=2025-01-01T00:00:00Z&to=2026-11-02T00:00:00Z", "from"),
        ("granularity=day&from=2000-01-01T00:00:00Z&to=2000-01-01T00:00:00Z", "from"),
    ],
)
def test_a_wrong_question_names_the_property(past: World, query: str, wrong: str) -> None:
    assert [error["property"] for error in ask(query, status=422)["errors"]] == [wrong]


def test_the_edges_of_time_are_answered(past: World) -> None:
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        assert ask({"to": "2000-01-01T00:00:01Z", "timezone": zone})["points"] == []
        assert ask({"to": "2199-12-31T23:59:59Z", "timezone": zone, "granularity": "day"})["points"] == []
