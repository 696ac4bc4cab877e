"""/api/strategies, /api/brands, /api/partners, /api/slots, /api/priors, as API Gateway calls them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest

from adbid import wiring
from functions.admin.app import handler
from tests.support.world import World, http_event, world

__all__ = ["world"]

pytestmark = pytest.mark.usefixtures("world")

STRATEGY = {"id": "st-1", "name": "spring", "vpi_multiplier": "1.2"}
BRAND = {
    "id": "1l1007802",
    "name": "Example Travel",
    "vertical": "travel",
    "strategy_id": "st-1",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "daily_budget": "250.00",
    "target_roas": 2.5,
    "status": "active",
}
PARTNER = {"id": "p7", "name": "Example News", "quality": "0.8"}
SLOT = {
    "id": "s3",
    "name": "Top banner",
    "partner_id": "p7",
    "placement_score": 0.7,
    "floor": 1.5,
    "currency": "EUR",
}
PRIOR = {"id": "pr-1", "brand_id": "1l1007802", "prior_clicks": 30, "prior_imps": "1000"}
CHAIN = [
    ("strategies", STRATEGY),
    ("brands", BRAND),
    ("partners", PARTNER),
    ("slots", SLOT),
    ("priors", PRIOR),
]
"""Every kind, in an order in which each may refer to those before."""

every_kind = pytest.mark.parametrize(("plural", "body"), CHAIN, ids=[plural for plural, _ in CHAIN])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def problem(self) -> tuple[int, str]:
        """The status and the code of a problem."""
        document = self.json
        assert self.headers["content-type"] == "application/problem+json"
        assert set(document) == {"type", "title", "status", "detail", "errors"}
        assert document["status"] == self.status
        return self.status, document["type"].rpartition(":")[2]

    @property
    def at_fault(self) -> list[str]:
        """The properties a 422 names."""
        assert self.status == 422, self.text
        assert self.problem
        return [error["property"] for error in self.json["errors"]]


def call(method: str, path: str, body: Any = None, **options: Any) -> Answer:
    answer = handler(http_event(method, path, body, **options), None)
    return Answer(answer["statusCode"], answer["headers"], answer["body"])


def post(plural: str, body: Any) -> Answer:
    return call("POST", f"/api/{plural}", body)


def put(plural: str, item_id: str, body: Any, tag: str | None = '"1"') -> Answer:
    return call("PUT", f"/api/{plural}/{item_id}", body, headers={} if tag is None else {"if-match": tag})


def without(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


@pytest.fixture
def chain(world: World) -> None:
    for plural, body in CHAIN:
        assert post(plural, body).status == 201


def test_a_strategy_answers_what_it_was_given_and_the_defaults() -> None:
    answer = post("strategies", STRATEGY)
    assert answer.status == 201
    assert (answer.headers["location"], answer.headers["etag"]) == ("/api/strategies/st-1", '"1"')
    document = answer.json
    times = document.pop("created_at"), document.pop("updated_at")
    assert times == ("2026-11-20T09:00:00+00:00",) * 2
    assert document == {
        "id": "st-1",
        "name": "spring",
        "vpi_multiplier": 1.2,
        "priority": 0,
        "probe_share": 0.05,
        "exploration_share": 0.02,
    }


@pytest.mark.usefixtures("chain")
def test_money_goes_out_as_a_string_and_ratios_as_numbers() -> None:
    brand, slot, prior = (
        call("GET", path).json for path in ("/api/brands/1l1007802", "/api/slots/s3", "/api/priors/pr-1")
    )
    assert (brand["daily_budget"], brand["target_roas"]) == ("250.00", 2.5)
    assert (slot["floor"], slot["placement_score"]) == ("1.50", 0.7)
    assert (prior["prior_clicks"], prior["prior_imps"]) == (30, 1000)
    assert (prior["brand_id"], prior["vertical"], prior["device_type"]) == ("1l1007802", None, None)


@pytest.mark.parametrize(
    ("given", "answered"),
    [
        (0, "0.00"),
        ("0.000001", "0.000001"),
        (0.1, "0.10"),
        ("12.500000", "12.50"),
        (1e3, "1000.00"),
        ("999999999999.999999", "999999999999.999999"),
        (None, None),
    ],
)
def test_a_budget_comes_in_as_string_or_number(given: Any, answered: Any) -> None:
    post("strategies", STRATEGY)
    assert post("brands", {**BRAND, "daily_budget": given}).json["daily_budget"] == answered
    assert call("GET", "/api/brands/1l1007802").json["daily_budget"] == answered


@pytest.mark.usefixtures("chain")
@every_kind
def test_read_change_and_remove(plural: str, body: dict[str, Any]) -> None:
    path = f"/api/{plural}/{body['id']}"
    read = call("GET", path)
    assert (read.status, read.headers["etag"]) == (200, '"1"')
    again = call(
        "PUT", path, read.json, headers={"if-match": '"1"'}
    )  # what was read may be sent back as it is
    assert (again.status, again.headers["etag"]) == (200, '"2"')
    assert without(again.json, "updated_at") == without(read.json, "updated_at")
    users = [name for name, _ in CHAIN[::-1]]
    for user in users[: users.index(plural)]:
        call("DELETE", f"/api/{user}/{dict(CHAIN)[user]['id']}")
    gone = call("DELETE", path, headers={"if-match": '"2"'})
    assert (gone.status, gone.text) == (204, "")
    for method, sent in (("GET", None), ("PUT", body), ("DELETE", None)):
        assert call(method, path, sent, headers={"if-match": '"1"'}).problem == (404, "not_found")


@pytest.mark.parametrize("item_id", ["a/b", "#N/A", "camp 1", "50%", "50%20", "ü?", "a//b/"])
def test_any_id_can_be_addressed_where_it_is_said_to_be(item_id: str) -> None:
    made = post("partners", {**PARTNER, "id": item_id})
    location = made.headers["location"]
    assert "/" not in location.removeprefix("/api/partners/")
    assert unquote(location) == f"/api/partners/{item_id}"
    assert call("GET", unquote(location)).json["id"] == item_id  # API Gateway decodes
    assert call("DELETE", unquote(location)).status == 204


@pytest.mark.parametrize("item_id", [".", ".."])
def test_a_dot_segment_is_no_id(item_id: str) -> None:
    assert post("partners", {**PARTNER, "id": item_id}).problem[0] == 422


@pytest.mark.parametrize(
    "path", ["/api/partners/", "/api/partners/%20", "/api/partners/" + "x" * 65, "/api/partners/a%00"]
)
def test_an_id_nothing_can_have_is_not_found(path: str) -> None:
    assert call("GET", path).problem[0] == 404


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        (None, 428),
        ('"1"', 412),
        ('"2"', 200),
        ("*", 200),
        (' "1" , "2"', 200),
        ('"1", "3"', 412),
        ('W/"2"', 412),  # If-Match compares strongly
        ('W/"1", "2"', 200),
        ("2", 412),
        ('"02"', 412),
        ("", 412),
        ('"', 412),
    ],
)
def test_if_match_names_the_version(tag: str | None, status: int) -> None:
    post("partners", PARTNER)
    put("partners", "p7", PARTNER)
    answer = put("partners", "p7", PARTNER, tag)
    assert answer.status == status
    if status != 200:
        assert answer.problem[0] == status


def test_delete_needs_no_if_match_but_honours_one() -> None:
    post("partners", PARTNER)
    stale = call("DELETE", "/api/partners/p7", headers={"if-match": '"2"'})
    assert stale.problem == (412, "version_mismatch")
    assert call("DELETE", "/api/partners/p7").status == 204


@pytest.mark.usefixtures("chain")
@every_kind
def test_what_exists_or_is_in_use_is_a_conflict(plural: str, body: dict[str, Any]) -> None:
    assert post(plural, body).problem == (409, "id_exists")
    assert post(plural, without(body, "id")).problem[0] == 409
    if plural in ("strategies", "brands", "partners"):
        assert call("DELETE", f"/api/{plural}/{body['id']}").problem == (409, "in_use")


def test_a_put_with_another_id_in_the_body_is_invalid() -> None:
    post("partners", PARTNER)
    assert put("partners", "p7", {**PARTNER, "id": "p8"}).at_fault == ["id"]
    assert put("partners", "p7", without(PARTNER, "id")).status == 200


WRONG: list[tuple[str, str, Any]] = [
    *[("partners", "id", value) for value in ("", " p", "p ", "a\nb", "x" * 65, 7, ["p"])],
    *[("partners", "name", value) for value in ("", " ", "x" * 201, "a\x00b", 7, None)],
    *[("partners", "quality", value) for value in (-0.1, 1.1, "1.0000001", "much", True, None, [], "NaN")],
    *[("strategies", "vpi_multiplier", value) for value in (0, -1, "-0.5", 1001, "1e400", "")],
    *[("strategies", "priority", value) for value in (1.5, "1", True, 10**7, None)],
    *[("strategies", "probe_share", value) for value in (-0.01, 1.01)],
    *[("brands", "currency", value) for value in ("EU", "EURO", "eur", "€€€", 978, None)],
    *[
        ("brands", "timezone", value)
        for value in ("", "Mars/Base", "+01:00", "../etc/passwd", "europe/berlin", 1)
    ],
    *[
        ("brands", "daily_budget", value)
        for value in (-1, "-0.01", "0.0000001", 10**12, "Infinity", "12,50", False)
    ],
    *[("brands", "target_roas", value) for value in (0, -2, None)],
    *[("brands", "status", value) for value in ("Active", "deleted", "", None, 1)],
    *[("brands", "strategy_id", value) for value in ("", None, "nobody")],
    *[("brands", "budget", value) for value in (1, None)],
    *[("slots", "partner_id", value) for value in ("", 7, "nobody")],
    *[("slots", "floor", value) for value in (-0.000001, None)],
    *[("slots", "placement_score", value) for value in (2, "x")],
    *[("priors", "prior_imps", value) for value in (0, -1, 29, 10**10)],
    *[("priors", "prior_clicks", value) for value in (-1, None)],
    ("priors", "brand_id", "nobody"),
    ("priors", "slot_id", "s3"),
    ("priors", "device_type", "mobile"),
]


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(("plural", "name", "value"), WRONG, ids=lambda value: repr(value)[:30])
def test_what_is_wrong_is_named(plural: str, name: str, value: Any) -> None:
    body = {**dict(CHAIN)[plural], name: value}
    fresh = {"id": "new"} if plural == "priors" else {"id": "new", "name": "new"}
    new = {**body, **fresh, name: value}
    assert post(plural, new).at_fault == [name]
    if name != "id":
        assert put(plural, body["id"], body).at_fault == [name]
        assert call("GET", f"/api/{plural}/{body['id']}").headers["etag"] == '"1"'


@every_kind
def test_what_is_missing_is_named(plural: str, body: dict[str, Any]) -> None:
    needed = {
        "strategies": ["name", "vpi_multiplier"],
        "brands": ["name", "vertical", "strategy_id", "currency", "target_roas"],
        "partners": ["name", "quality"],
        "slots": ["name", "placement_score", "currency"],
        "priors": ["prior_clicks", "prior_imps"],
    }
    assert post(plural, {}).at_fault == needed[plural]


@pytest.mark.parametrize("scope", [{}, {"vertical": "travel", "brand_id": "b"}, {"partner_id": "p7"}])
def test_a_prior_is_for_a_vertical_or_a_cell(scope: dict[str, str]) -> None:
    assert post("priors", {"prior_clicks": 1, "prior_imps": 10, **scope}).problem == (422, "invalid_request")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', '{"name": NaN}', '{"a":' * 500, "1" * 5000, r'{"name": "\ud83d"}']
)
def test_a_body_that_is_no_object_is_invalid(text: str) -> None:
    answer = call("POST", "/api/partners", text)
    assert answer.status == 422
    assert answer.problem


def test_a_body_over_one_mebibyte_is_too_large() -> None:
    assert post("partners", {**PARTNER, "name": "x" * 1024 * 1024}).problem[0] == 413


def test_a_list_is_paged() -> None:
    for number in range(5):
        post("partners", {"id": f"p{number}", "name": f"n{number}", "quality": 1})
    first = call("GET", "/api/partners", query="limit=2").json
    assert [item["id"] for item in first["items"]] == ["p0", "p1"]
    second = call("GET", "/api/partners", query=f"limit=3&cursor={first['next_cursor']}").json
    assert [item["id"] for item in second["items"]] == ["p2", "p3", "p4"]
    assert second["next_cursor"] is None
    assert second["items"][0] == call("GET", "/api/partners/p2").json
    assert call("GET", "/api/slots").json == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "name"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("cursor=!", "cursor")],
)
def test_a_wrong_page_is_invalid(query: str, name: str) -> None:
    assert call("GET", "/api/partners", query=query).at_fault == [name]


@pytest.mark.parametrize("scope", ["", "brand", "partner", "brand partner metrics", "administrator"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_only_an_admin_gets_in(method: str, scope: str) -> None:
    path = "/api/brands" + ("/x" if method in ("PUT", "DELETE") else "")
    answer = call(method, path, {"nonsense": 1}, claims={"scope": scope, "brand_ids": ["*"]})
    assert answer.problem == (403, "insufficient_scope")


def test_an_expired_token_does_not_get_in() -> None:
    assert call("GET", "/api/brands", claims={"exp": 1}).problem == (401, "token_expired")


def test_a_method_nobody_serves_is_refused() -> None:
    assert call("PATCH", "/api/brands/x", {}).problem[0] == 405


@pytest.mark.usefixtures("chain")
def test_what_is_set_is_in_the_cache_at_once() -> None:
    keys = ["brand:1l1007802:features", "partner:p7:features", "slot:s3:features", "priors"]
    assert wiring.redis_client().exists(*keys) == len(keys)
