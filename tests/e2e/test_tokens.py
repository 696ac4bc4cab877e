"""Every wrong token on every route of template.yaml, and what a right one may not see.

Routes are read from the template, so that a new one can't be forgotten: it must be in `SCOPES` or in `OPEN`.
"""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import HMACAlgorithm

from local.gateway import TEMPLATE
from local.keys import LocalIssuer
from local.template import Route, load_template, read_api
from local.tokens import mint
from tests.support.product import Product, assert_problem, ok
from tests.support.small_api import assert_message
from tests.support.tokens import assembled, claims, encoded, signed, signed_with

ROUTES = read_api(load_template(TEMPLATE)).routes
OPEN = {"GET /healthz", "GET /docs", "GET /openapi.json"}
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
ADMINISTERED = [f"/api/{kind}" for kind in ("strategies", "brands", "partners", "slots", "priors")]
SCOPES: dict[str, set[str]] = {
    "/api/score": {"partner"},
    "/api/performance": {"partner"},
    "/api/roas": {"brand", "partner"},
    "/api/metrics/vpi": {"brand", "partner"},
    "/api/portfolio": {"brand"},
    "/api/simulate": {"brand"},
    "/metrics": {"metrics"},
    "/api/me": {"brand", "partner", "metrics"},
    **{path: set() for path in ("/api/audit", "/api/models", *ADMINISTERED)},
}
"""Who may call what besides an admin."""

ITEMS = {"/api/portfolio/": "none/history", "/api/models/": "none/rollback"}
"""What lies under a path that takes any; elsewhere, an object that isn't there."""

PLACES = {"/api/roas": "?brand_id=b1&partner_id=p1&slot_id=s1"}
NOW = time.time()
GOOD = claims(exp=NOW + 3600, scope="admin")

pytestmark = pytest.mark.usefixtures("market")


def path_of(route: Route) -> str:
    """A path that takes a route."""
    start = route.path.removesuffix("{proxy+}")
    return route.path if start == route.path else start + ITEMS.get(start, "none")


def calls(route: Route) -> Iterator[tuple[str, str]]:
    """A method and a path for each way to take a route."""
    path = path_of(route)
    for method in METHODS if route.method == "ANY" else (route.method,):
        yield method, path + PLACES.get(path, "")


def is_served(method: str, path: str) -> bool:
    """Whether the function behind a route has such an operation; for others it answers everybody with 405."""
    kind, _, item = path.removeprefix("/api/").partition("/")
    if f"/api/{kind}" in ADMINISTERED:
        return method in (("GET", "PUT", "DELETE") if item else ("GET", "POST"))
    if kind == "models":
        return method == ("POST" if item else "GET")
    return True


CLOSED = [call for route in ROUTES if route.key not in OPEN for call in calls(route)]


def scopes_of(path: str) -> set[str]:
    [found] = [
        scopes
        for start, scopes in SCOPES.items()
        if path.split("?")[0] == start or path.startswith(f"{start}/")
    ]
    return found


@pytest.fixture(scope="module")
def issuer(product: Product) -> LocalIssuer:
    return product.issuer


@pytest.fixture(scope="module")
def client(product: Product) -> Iterator[httpx.Client]:
    """A caller without a token."""
    with httpx.Client(base_url=product.url, timeout=30, trust_env=False) as client:
        yield client


def test_every_route_is_closed_or_known_to_be_open() -> None:
    assert {route.key for route in ROUTES if route.authorizer is None} == OPEN
    for route in ROUTES:
        assert route.key in OPEN or scopes_of(path_of(route)) is not None


def test_what_is_open_needs_no_token(client: httpx.Client) -> None:
    for key in OPEN:
        assert client.get(key.removeprefix("GET ")).status_code == 200, key


def test_metrics_are_open_to_this_machine_and_no_token_is_ignored(
    product: Product, client: httpx.Client, issuer: LocalIssuer
) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "bid_requests_total" in answer.text
    for scope, status in (("metrics", 200), ("admin", 200), ("brand", 403)):
        with product.client(scope, brands=["*"]) as caller:
            assert caller.get("/metrics").status_code == status
    expired = {"authorization": f"Bearer {signed(issuer, {**GOOD, 'exp': NOW - 1})}"}
    assert client.get("/metrics", headers=expired).status_code == 403
    assert client.post("/metrics").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"authorization": ""}, id="empty"),
        pytest.param({"cookie": "authorization=Bearer x"}, id="in a cookie"),
        pytest.param({"x-authorization": "Bearer x"}, id="in another header"),
    ],
)
def test_without_a_token_there_is_401(client: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in CLOSED:
        if path == "/metrics" and "authorization" not in headers:
            continue  # open to this machine
        assert_message(client.request(method, path, headers=headers, json={}), 401, "Unauthorized")


def public_pem(issuer: LocalIssuer) -> bytes:
    public = issuer.key("RS256").private_key.public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def by_hmac(issuer: LocalIssuer, secret: bytes) -> str:
    hmac = HMACAlgorithm(HMACAlgorithm.SHA256)
    head = {"alg": "HS256", "typ": "JWT", "kid": issuer.key("RS256").kid}
    return assembled(head, json.dumps(GOOD).encode(), lambda data: hmac.sign(data, secret))


def unsigned(issuer: LocalIssuer, algorithm: str) -> str:
    head = {"alg": algorithm, "kid": issuer.key("RS256").kid}
    return assembled(head, json.dumps(GOOD).encode(), lambda _: b"")


def tampered(issuer: LocalIssuer) -> str:
    head, _, signature = signed(issuer, {**GOOD, "scope": "partner"}).split(".")
    return f"{head}.{encoded(json.dumps(GOOD).encode()).decode()}.{signature}"


def strangers(issuer: LocalIssuer, tmp: Any, **header: Any) -> str:
    """Signed by somebody else's key, under the issuer's key id."""
    stranger = LocalIssuer.open(tmp.mktemp("stranger")).key("RS256").private_key
    head = {"alg": "RS256", "kid": issuer.key("RS256").kid, **header}
    return signed_with(stranger, "RS256", head, GOOD)


def bearer(make: Callable[[LocalIssuer], str]) -> Callable[..., str]:
    return lambda issuer, _: f"Bearer {make(issuer)}"


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda *_: "Bearer", id="no token"),
        pytest.param(lambda *_: "Bearer abc", id="garbage"),
        pytest.param(lambda *_: "Bearer a.b.c", id="garbage in three parts"),
        pytest.param(lambda *_: "Bearer e30.e30.", id="empty objects"),
        pytest.param(lambda *_: "Basic YWRtaW46YWRtaW4=", id="a password"),
        pytest.param(lambda issuer, _: signed(issuer, GOOD), id="without Bearer"),
        pytest.param(
            bearer(lambda issuer: f"{signed(issuer, GOOD)} {signed(issuer, GOOD)}"), id="two tokens"
        ),
        pytest.param(bearer(lambda issuer: signed(issuer, {**GOOD, "exp": NOW - 1})), id="expired"),
        pytest.param(bearer(lambda issuer: signed(issuer, claims(exp=...))), id="never expires"),
        pytest.param(bearer(lambda issuer: signed(issuer, {**GOOD, "exp": "never"})), id="expires some day"),
        pytest.param(bearer(lambda issuer: signed(issuer, {**GOOD, "nbf": NOW + 600})), id="not yet valid"),
        pytest.param(bearer(lambda issuer: signed(issuer, {**GOOD, "iss": "evil"})), id="other issuer"),
        pytest.param(bearer(lambda issuer: signed(issuer, {**GOOD, "iss": ["partnerize"]})), id="issuers"),
        pytest.param(bearer(lambda issuer: signed(issuer, claims(iss=..., exp=NOW + 60))), id="no issuer"),
        pytest.param(bearer(lambda issuer: signed(issuer, {**GOOD, "aud": "other"})), id="other audience"),
        pytest.param(bearer(lambda issuer: signed(issuer, claims(aud=..., exp=NOW + 60))), id="no audience"),
        pytest.param(bearer(lambda issuer: unsigned(issuer, "none")), id="alg none"),
        pytest.param(bearer(lambda issuer: unsigned(issuer, "nOnE")), id="alg nOnE"),
        pytest.param(bearer(lambda issuer: unsigned(issuer, "RS256")), id="no signature"),
        pytest.param(
            bearer(lambda issuer: by_hmac(issuer, public_pem(issuer))), id="HS256 with the public key"
        ),
        pytest.param(bearer(lambda issuer: by_hmac(issuer, issuer.jwks())), id="HS256 with the key set"),
        pytest.param(bearer(lambda issuer: by_hmac(issuer, b"")), id="HS256 with nothing"),
        pytest.param(bearer(lambda issuer: signed(issuer, GOOD, kid="unknown")), id="unknown kid"),
        pytest.param(bearer(lambda issuer: signed(issuer, GOOD, kid=...)), id="no kid"),
        pytest.param(bearer(lambda issuer: signed(issuer, GOOD, kid="../rs256.pem")), id="kid a path"),
        pytest.param(
            bearer(lambda issuer: signed(issuer, GOOD, kid=issuer.key("ES256").kid)), id="other key's"
        ),
        pytest.param(bearer(tampered), id="tampered payload"),
        pytest.param(bearer(lambda issuer: signed(issuer, GOOD)[:-2]), id="cut short"),
        pytest.param(lambda issuer, tmp: f"Bearer {strangers(issuer, tmp)}", id="stranger's key"),
        pytest.param(
            lambda issuer, tmp: f"Bearer {strangers(issuer, tmp, jku='https://evil.example/jwks.json')}",
            id="jku",
        ),
    ],
)
def test_with_a_wrong_token_there_is_403(
    client: httpx.Client,
    issuer: LocalIssuer,
    tmp_path_factory: pytest.TempPathFactory,
    forge: Callable[[LocalIssuer, pytest.TempPathFactory], str],
) -> None:
    headers = {"authorization": forge(issuer, tmp_path_factory)}
    for method, path in CLOSED:
        assert_message(client.request(method, path, headers=headers, json={}), 403, "Forbidden")


def test_a_token_that_runs_out_is_refused_though_its_decision_is_remembered(
    client: httpx.Client, issuer: LocalIssuer
) -> None:
    token = mint(issuer, scope="admin", now=time.time(), lifetime=2)
    headers = {"authorization": f"Bearer {token}"}
    for method, path in CLOSED:
        assert client.request(method, path, headers=headers).status_code not in (401, 403), (method, path)
    time.sleep(2.1)
    for method, path in CLOSED:
        if is_served(method, path):
            refused = client.request(method, path, headers=headers)
            assert assert_problem(refused, 401)["type"].endswith(":token_expired")
            assert refused.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("scope", ["", "brand", "partner", "metrics", "Admin", "administrator", "read:admin"])
def test_without_the_scope_there_is_403_from_the_function(product: Product, scope: str) -> None:
    with product.client(scope, brands=["*"], partners=["*"]) as client:
        for method, path in CLOSED:
            if not is_served(method, path):
                assert_problem(client.request(method, path), 405)
            elif scopes_of(path).isdisjoint(scope.split()):
                refused = assert_problem(client.request(method, path, json={}), 403)
                assert refused["type"].endswith(":insufficient_scope"), (method, path)
            else:
                assert client.request(method, path, json={}).status_code not in (401, 403), (method, path)


@pytest.mark.parametrize("claim", ["scope", "scp", "scopes"])
def test_scopes_are_read_wherever_they_are(client: httpx.Client, issuer: LocalIssuer, claim: str) -> None:
    said = "admin" if claim == "scope" else ["metrics", "admin"]
    token = signed(issuer, {**claims(scope=..., exp=NOW + 3600), claim: said})
    ok(client.get("/api/brands", headers={"authorization": f"Bearer {token}"}))


TODAY = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
WINDOW = {"from": TODAY.isoformat(), "to": (TODAY + timedelta(hours=1)).isoformat()}
SEEN = {("b1", "p1", "s1"): 1, ("b1", "p2", "s2"): 10, ("b2", "p1", "s1"): 100, ("b2", "p2", "s2"): 1000}
"""Impressions per brand, partner and slot: powers of ten, so that a sum tells whose they are."""


@pytest.fixture(scope="module")
def _seen(admin: httpx.Client) -> None:
    events = [
        {
            "event_id": f"seen-{number}",
            "type": "impression",
            "event_time": TODAY.isoformat(),
            **dict(zip(("brand_id", "partner_id", "slot_id"), place, strict=True)),
            "count": number,
        }
        for place, number in SEEN.items()
    ]
    results = ok(admin.post("/api/performance", json={"events": events}))["results"]
    assert {result["status"] for result in results} == {"accepted"}


@pytest.mark.usefixtures("_seen")
class TestTenants:
    @pytest.mark.parametrize(
        ("scope", "brands", "partners", "sees"),
        [
            ("admin", None, None, 1111),
            ("brand", ["b1"], None, 11),
            ("brand", ["*"], None, 1111),
            ("partner", None, ["p1"], 101),
            ("partner", None, ["*"], 1111),
            ("brand partner", ["b1"], ["p1"], 111),
            ("brand partner", ["b1"], None, 11),
            ("brand", ["b1"], ["*"], 11),
            ("partner", ["*"], ["p2"], 1010),
            ("brand", None, ["*"], 0),
            ("brand", [], None, 0),
            ("partner", None, ["p%", "_1", "P1", "p1 "], 0),
        ],
    )
    def test_sees_its_own_alone(
        self, product: Product, scope: str, brands: list[str] | None, partners: list[str] | None, sees: int
    ) -> None:
        with product.client(scope, brands=brands, partners=partners) as client:
            points = ok(client.get("/api/metrics/vpi", params=WINDOW))["points"]
            assert sum(point["impressions"] for point in points) == sees
            for place, number in SEEN.items():
                query = dict(zip(("brand_id", "partner_id", "slot_id"), place, strict=True))
                answer = client.get("/api/roas", params={**WINDOW, **query})
                if sees // number % 10:
                    assert ok(answer)["observed"]["impressions"] == number
                else:
                    assert_problem(answer, 404)

    @pytest.mark.parametrize("path", ["/api/roas", "/api/metrics/vpi"])
    @pytest.mark.parametrize(
        ("scope", "tenants", "foreign", "missing"),
        [
            ("brand", {"brands": ["b1"]}, "brand_id=b2", "brand_id=b0"),
            ("partner", {"partners": ["p1"]}, "partner_id=p2", "partner_id=p0"),
            ("partner", {"partners": ["p1"]}, "slot_id=s2", "slot_id=s0"),
        ],
    )
    def test_cannot_tell_a_foreign_object_from_a_missing_one(
        self, product: Product, path: str, scope: str, tenants: dict[str, Any], foreign: str, missing: str
    ) -> None:
        def ask(client: httpx.Client, named: str) -> tuple[int, str]:
            name, value = named.split("=")
            own = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1"}
            answer = client.get(path, params={**own, name: value})
            return answer.status_code, answer.text.replace(value, "…")

        with product.client(scope, **tenants) as client:
            told = ask(client, foreign)
            assert told == ask(client, missing)
            assert told[0] == 404

    @pytest.mark.parametrize(
        ("foreign", "missing", "reason"),
        [
            ({"partner_id": "p2"}, {"partner_id": "p0"}, "unknown_partner"),
            ({"slot_id": "s2"}, {"slot_id": "s0"}, "unknown_slot"),
            ({"partner_id": "p2", "slot_id": "s2"}, {"partner_id": "p0", "slot_id": "s0"}, "unknown_partner"),
            ({"partner_id": "p2", "slot_id": "s2"}, {"partner_id": "p2", "slot_id": "s0"}, "unknown_partner"),
            ({"slot_id": "s2", "currency": "EUR"}, {"slot_id": "s0", "currency": "EUR"}, "unknown_slot"),
        ],
    )
    def test_cannot_tell_a_foreign_object_from_a_missing_one_in_a_bid(
        self, product: Product, foreign: dict[str, str], missing: dict[str, str], reason: str
    ) -> None:
        bid = {"id": "x", "brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "currency": "USD"}
        bid |= {"pricing_model": "CPM", "amount": "1"}

        def ask(client: httpx.Client, named: dict[str, str]) -> dict[str, Any]:
            sent = {"id": uuid4().hex, "bids": [{**bid, **named}]}
            [result] = ok(client.post("/api/score", json=sent))["results"]
            assert result["status"] == "rejected"
            assert reason in result["reasons"]
            del result["slot_id"]
            return dict(result)

        with product.client("partner", partners=["p1"]) as client:
            assert ask(client, foreign) == ask(client, missing)

    def test_reports_for_its_own_alone(self, product: Product, admin: httpx.Client) -> None:
        """Another partner's event id tells nothing, adjusts nothing and takes nothing away."""
        event = {"type": "impression", "event_time": TODAY.isoformat(), "brand_id": "b1", "count": 1}
        theirs = {**event, "event_id": "shared", "partner_id": "p2", "slot_id": "s2"}
        assert statuses(admin, theirs) == ["accepted"]
        with product.client("partner", partners=["p1"]) as client:
            ours = {**event, "partner_id": "p1", "slot_id": "s1"}
            adjusting = {"type": "retraction", "adjusts_event_id": "shared", "event_id": "mine"}
            assert statuses(
                client,
                theirs,
                {**theirs, "count": 2},
                {**theirs, "publisher_id": "p1"},
                {**ours, "event_id": "a", "slot_id": "s2"},
                {**ours, **adjusting},
                {**theirs, **adjusting},
                {**ours, "event_id": "shared"},
            ) == ["unknown_partner"] * 2 + [
                "invalid_event",
                "unknown_slot",
                "unknown_event",
                "unknown_partner",
                "accepted",
            ]
        took_back = {**theirs, "type": "retraction", "adjusts_event_id": "shared", "event_id": "away"}
        assert statuses(admin, took_back) == ["accepted"]
        ours_too = {**ours, "type": "retraction", "adjusts_event_id": "shared", "event_id": "away"}
        assert statuses(admin, ours_too) == ["accepted"]


def statuses(client: httpx.Client, *events: dict[str, Any]) -> list[str]:
    """What became of each event: its status, or the code of its rejection."""
    results = ok(client.post("/api/performance", json={"events": list(events)}))["results"]
    return [result.get("code") or result["status"] for result in results]
