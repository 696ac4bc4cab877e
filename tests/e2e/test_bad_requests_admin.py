"""What people set wrongly, and ids of any text."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.bad_values import BID, BODIES, CURRENCIES, EVENT, IDS, MONEY, become, cases, raw
from tests.support.product import JSON, Product, assert_problem, ok

pytestmark = pytest.mark.usefixtures("market")

BAD_FIELDS: dict[str, dict[str, list[Any]]] = {
    "/api/strategies": {
        "id": IDS,
        "name": ["", " ", "x" * 201, "a\nb", None, 1],
        "vpi_multiplier": [0, -1, 1001, "a", None, "NaN", 1e300, "1.1234567", True, [], "１"],
        "priority": [1.5, "1", True, 10**9, None],
        "probe_share": [-0.1, 1.1, "x", None],
        "created_at": ["", "now", "2026-01-01T00:00:00", True, []],
    },
    "/api/brands": {
        "id": IDS,
        "vertical": [*IDS, None],
        "strategy_id": [*IDS, None, "nothing"],
        "currency": [*CURRENCIES, None],
        "timezone": ["", "Mars/Base", "europe/berlin", "../UTC", "UTC\0", "+01:00", "localtime", None, 1],
        "daily_budget": MONEY,
        "target_roas": [0, -1, 1001, None, "x", 1e300],
        "status": ["", "ACTIVE", "gone", None, 1],
    },
    "/api/partners": {"id": IDS, "quality": [-0.1, 1.1, None, "x", "NaN", 1e-7]},
    "/api/slots": {
        "id": IDS,
        "partner_id": [*IDS, "nobody"],
        "placement_score": [-0.1, 1.1, None, "x"],
        "floor": [*MONEY, None],
        "currency": [*CURRENCIES, None],
    },
    "/api/priors": {
        "id": IDS,
        "prior_clicks": [-1, None, "x", 10**10],
        "prior_imps": [0, -1, None, "x", 0.5, 10**10],
        "brand_id": ["b1"],
        "partner_id": ["p1"],
        "device_type": ["mobile"],
    },
}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        pytest.param(path, name, value, id=f"{path[5:]}.{name}={value!r:.40}")
        for path, fields in BAD_FIELDS.items()
        for name, values in fields.items()
        for value in values
    ],
)
def test_what_people_set_wrongly_is_named(
    admin: httpx.Client, method: str, path: str, name: str, value: Any
) -> None:
    body = {**BODIES[path], "name": "another"} if "name" in BODIES[path] else BODIES[path]
    target = path if method == "POST" else f"{path}/{place(admin, path)}"
    answer = admin.request(method, target, json={**body, name: value}, headers={"if-match": "*"})
    problem = assert_problem(answer, 422)
    assert [error["property"] for error in problem["errors"]] == [name]


def place(admin: httpx.Client, path: str) -> str:
    """The id of some object under `path`."""
    items = ok(admin.get(path))["items"]
    return str(items[0]["id"] if items else ok(admin.post(path, json=BODIES[path]), 201)["id"])


@pytest.mark.parametrize(
    "tag", ["", "1", "*x", 'W/"1"', '"0"', '"-1"', '"1e0"', '"01"', "null", '"' + "9" * 400 + '"']
)
def test_a_stale_or_senseless_if_match(admin: httpx.Client, tag: str) -> None:
    body = {**BODIES["/api/partners"], "name": "Theirs"}
    assert_problem(admin.put("/api/partners/p2", json=body, headers={"if-match": tag}), 412, 428)
    assert_problem(admin.delete("/api/partners/p2", headers={"if-match": tag}), 412)


# Ids are any text; nothing about them is special.

ODD_IDS = [
    "#N/A",
    "a b",
    "a/b",
    "/a",
    "a//b",
    "b1/",
    "a+b",
    "100%",
    "%41",
    "a%2Fb",
    "../",
    "../../etc/passwd",
    "...",
]
ODD_IDS += [
    "'; DROP TABLE brand; --",
    '"',
    "\\",
    "%",
    "_",
    "null",
    "a?b=c&d",
    "a;b",
    "B1",
    "é",
    "e\u0301",
    "\U0001f600",
]
ODD_IDS += [
    "\U0001f600" * 64,
    "\u202e",
    "a\u200bb",
    "{id}",
    "cursor",
    "<script>",
    "*",
    "a,b",
    "[a b]",
    "-1",
    "NaN",
]


@pytest.mark.parametrize("item_id", ODD_IDS, ids=[f"{item!a:.30}" for item in ODD_IDS])
def test_any_text_is_an_id_everywhere(product: Product, admin: httpx.Client, item_id: str) -> None:
    """It can be made, read, scored, reported for, reported on, granted by a token, replaced and removed."""
    odd = {"brand_id": item_id, "partner_id": item_id, "slot_id": item_id}
    made = {
        "brands": BODIES["/api/brands"] | {"name": f"n {item_id}"},
        "partners": BODIES["/api/partners"] | {"name": f"n {item_id}"},
        "slots": BODIES["/api/slots"] | {"name": f"n {item_id}", "partner_id": item_id},
    }
    for kind in ("brands", "partners", "slots"):
        answer = admin.post(f"/api/{kind}", json={**made[kind], "id": item_id})
        ok(answer, 201)
        assert ok(admin.get(answer.headers["location"]))["id"] == item_id
        assert item_id in [item["id"] for item in ok(admin.get(f"/api/{kind}?limit=200"))["items"]]
        ok(admin.put(answer.headers["location"], json=made[kind], headers={"if-match": '"1"'}))
    with product.client("partner brand", partners=[item_id], brands=[item_id]) as client:
        [result] = ok(
            client.post("/api/score", json={"id": item_id, "bids": [{**BID, **odd, "id": item_id}]})
        )["results"]
        assert (result["bid_id"], result["slot_id"], result["rank"]) == (item_id, item_id, 1)
        event = {**EVENT, **odd, "event_id": item_id, "device_type": item_id, "count": 7}
        assert become(client, event) == [{"event_id": item_id, "status": "accepted"}]
        assert ok(client.get("/api/roas", params={**odd, "device_type": item_id}))["observed"]["clicks"] == 7
        unescaped = "&".join(f"{name}={quote(value, safe='')}" for name, value in odd.items())
        assert ok(client.get(f"/api/roas?{unescaped}"))["observed"]["clicks"] == 7
    assert_problem(admin.delete(f"/api/brands/{quote(item_id, safe='')}"), 409)


@pytest.mark.parametrize("item_id", [".", ".."])
def test_a_dot_segment_is_no_id(admin: httpx.Client, item_id: str) -> None:
    """No URL leads to it: clients and gateways resolve it away (RFC 3986, 5.2.4), escaped or not."""
    body = {**BODIES["/api/partners"], "name": f"dots {item_id}", "id": item_id}
    problem = assert_problem(admin.post("/api/partners", json=body), 422)
    assert [error["property"] for error in problem["errors"]] == ["id"]


@pytest.mark.parametrize("kind", ["strategies", "brands", "partners", "slots", "priors"])
@pytest.mark.parametrize(
    "path",
    [
        "%00",
        "a%00b",
        "%0A",
        "a%0Ab",
        "%20",
        "a%20",
        "%FF",
        "%ED%A0%80",
        "x" * 65,
        "x" * 9000,
        "//",
        "nothing",
        "b0%2F",
    ],
)
def test_a_path_that_leads_nowhere(admin: httpx.Client, kind: str, path: str) -> None:
    for method in ("GET", "DELETE"):
        assert_problem(raw(admin, method, f"/api/{kind}/{path}"), 404)
    body = json.dumps(BODIES[f"/api/{kind}"]).encode()
    assert_problem(raw(admin, "PUT", f"/api/{kind}/{path}", body, {**JSON, "if-match": "*"}), 404)


BAD_QUERIES = {
    "limit": ["", "0", "-1", "201", "1.5", "x", "9" * 30],
    "cursor": ["", "x", "%", "é", "\0"],
    "unknown": ["1"],
    "brand_id": ["b1"],
    "Limit": ["1"],
}


@cases(BAD_QUERIES)
@pytest.mark.parametrize("kind", ["strategies", "brands", "partners", "slots", "priors"])
def test_a_query_that_is_wrong_is_named(admin: httpx.Client, kind: str, name: str, value: str) -> None:
    problem = assert_problem(admin.get(f"/api/{kind}", params={name: value}), 422)
    assert [error["property"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize("kind", ["strategies", "brands", "partners", "slots", "priors"])
def test_a_method_that_an_object_does_not_have(admin: httpx.Client, kind: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert_problem(admin.request(method, f"/api/{kind}"), 405)
    for method in ("POST", "PATCH", "OPTIONS"):
        assert_problem(admin.request(method, f"/api/{kind}/b1"), 405)
