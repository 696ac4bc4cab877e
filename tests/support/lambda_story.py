"""A day of the product as AWS runs it: every function called with the events that AWS would send."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from adbid.data.database import Database
from local.events import Request, authorizer_event, request_event
from local.keys import LocalIssuer
from local.template import load_template
from local.tokens import mint
from scripts.package.plan import ROOT, read_plan
from tests.support.lambda_runtime import Invoke, Package, unzipped
from tests.support.market import BRANDS, SLOTS, month, store

BUCKET = "adbid-models"
REGION = "eu-west-1"
KEYS_SECRET, DATABASE_SECRET, CACHE_SECRET = "adbid/jwks", "adbid/database", "adbid/cache"
WARM = 5
"""How often a call that changes nothing is made again."""

Open = Callable[[str], AbstractContextManager[Invoke]]
"""A new execution environment of the function with this name."""


@dataclass(frozen=True)
class Cloud:
    """What stands in for AWS: where its services answer, and the issuer whose keys are in a secret."""

    endpoint: str
    issuer: LocalIssuer


@contextmanager
def cloud(issuer: LocalIssuer, passwords: Mapping[str, Mapping[str, str]]) -> Iterator[Cloud]:
    """S3 with an empty bucket, and Secrets Manager with the issuer's keys and these secrets, over HTTP."""
    import boto3
    from moto.moto_api._internal.models import moto_api_backend
    from moto.server import ThreadedMotoServer

    moto_api_backend.reset()  # its memory is the process's, and outlives a server
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        session = boto3.Session("testing", "testing", region_name=REGION)
        s3 = session.client("s3", endpoint_url=endpoint)
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        secrets = session.client("secretsmanager", endpoint_url=endpoint)
        secrets.create_secret(Name=KEYS_SECRET, SecretString=issuer.jwks().decode())
        for name, password in passwords.items():
            secrets.create_secret(Name=name, SecretString=json.dumps(password))
        yield Cloud(endpoint, issuer)
    finally:
        server.stop()


def packages(build: Any, place: Any, values: Mapping[str, str]) -> dict[str, Package]:
    """Every function of the template unpacked, with the environment that the template gives it.

    `values` stands for what the template refers to, by variable; what is in neither stays unset.
    """
    template = load_template(ROOT / "template.yaml")
    shared = template["Globals"]["Function"]
    plan = read_plan()
    [layer] = plan.layers
    opt = unzipped(build, layer.resource, place / "opt")
    found = {}
    for function in plan.functions:
        own = template["Resources"][function.resource]["Properties"]
        variables = {
            **shared.get("Environment", {}).get("Variables", {}),
            **own.get("Environment", {}).get("Variables", {}),
        }
        given = {name: _value(name, value, values, template) for name, value in variables.items()}
        found[function.name] = Package(
            function,
            task=unzipped(build, function.resource, place / function.resource / "task"),
            opt=opt,
            environment={
                **{name: value for name, value in given.items() if value is not None},
                **{name: value for name, value in values.items() if name.startswith("AWS_")},
            },
            timeout=float({**shared, **own}["Timeout"]),
            memory=int({**shared, **own}["MemorySize"]),
        )
    return found


def _value(name: str, value: Any, values: Mapping[str, str], template: Mapping[str, Any]) -> str | None:
    if name in values:
        return values[name]
    if isinstance(value, dict):
        default = template["Parameters"].get(value.get("Ref"), {}).get("Default")
        return None if default is None else str(default)
    return str(value)


class Story:
    """The calls, each with an answer that is looked at; a function's environment ends before the next."""

    def __init__(self, start: Open, issuer: LocalIssuer, database_url: str, head: str) -> None:
        self._open = start
        self._issuer = issuer
        self._database_url = database_url
        self._head = head
        self._contexts: dict[str, Mapping[str, str]] = {}

    def run(self) -> None:
        """Everything, in the order of a first day."""
        self.migrate()
        self.authorize()
        self.set_up()
        self.ingest()
        self.score("packaged-1")
        version = self.retrain()
        self.score(version)
        self.monitor()
        self.report()

    def migrate(self) -> None:
        """The empty database gets its tables; a second time, nothing is left to do."""
        with self._open("migrate") as invoke:
            assert invoke({}) == {"before": None, "after": self._head}
            assert invoke({}) == {"before": self._head, "after": self._head}

    def authorize(self) -> None:
        """Good tokens are let in with their claims, another is not."""
        with self._open("authorizer") as invoke:
            for scope in ("admin", "partner", "brand"):
                claims = {"brands": ["*"], "partners": ["*"]}
                token = mint(self._issuer, scope=scope, now=time.time(), **claims)
                answer = invoke(self._authorizer_event(f"Bearer {token}"))
                assert answer["isAuthorized"] is True, answer
                self._contexts[scope] = answer["context"]
            forged = mint(self._issuer, scope="admin", now=time.time(), iss="someone else")
            assert invoke(self._authorizer_event(f"Bearer {forged}"))["isAuthorized"] is False

    def set_up(self) -> None:
        """A market through the admin API, and a month of events as if it had been running."""
        named = [{"id": "p1", "name": "p1", "quality": "0.5"}, {"id": "p2", "name": "p2", "quality": "1"}]
        slots = [
            {"id": slot, "name": slot, "placement_score": "0.5", "floor": "0", "currency": "USD"}
            for slot in SLOTS
        ]
        brands = [
            {
                "id": brand,
                "name": brand,
                "vertical": "travel",
                "strategy_id": "plain",
                "currency": "USD",
                "target_roas": "0.5",
                "timezone": "UTC",
                "daily_budget": "1000",
            }
            for brand in BRANDS
        ]
        strategy = {"id": "plain", "name": "plain", "vpi_multiplier": "1", "exploration_share": 0}
        with self._open("admin") as invoke:
            for kind, items in {
                "strategies": [strategy],
                "partners": named,
                "slots": slots,
                "brands": brands,
            }.items():
                for item in items:
                    self._ok(invoke(self._http("POST", f"/api/{kind}", item, scope="admin")), 201)
            for _ in range(WARM):
                found = self._ok(invoke(self._http("GET", f"/api/brands/{BRANDS[0]}", scope="admin")))
            assert found["target_roas"] == "0.5" or found["target_roas"] == 0.5
        with Database(self._database_url) as database:
            store(database, month(datetime.now(UTC)))

    def ingest(self) -> None:
        """Events are taken in, and once only."""
        at = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        with self._open("ingest") as invoke:
            for number in range(WARM):
                event = {
                    "event_id": f"e{number}",
                    "type": "impression",
                    "event_time": at,
                    "count": 10,
                    "brand_id": "b1",
                    "partner_id": "p1",
                    "slot_id": "s0",
                }
                call = self._http("POST", "/api/performance", {"events": [event]}, scope="partner")
                [first] = self._ok(invoke(call))["results"]
                [again] = self._ok(invoke(call))["results"]
                assert (first["status"], again["status"]) == ("accepted", "duplicate"), (first, again)

    def score(self, version: str) -> None:
        """A bundle of a bid per brand and slot, scored by `version` without anything missing."""
        bids = [
            {
                "id": f"{brand}-{slot}",
                "brand_id": brand,
                "partner_id": "p1",
                "slot_id": slot,
                "pricing_model": "CPC",
                "amount": "0.2",
                "currency": "USD",
                "device_type": "mobile",
            }
            for brand in BRANDS
            for slot in SLOTS
        ]
        with self._open("score") as invoke:
            for _ in range(WARM):
                body = {"id": str(uuid.uuid4()), "bids": bids}
                answer = self._ok(invoke(self._http("POST", "/api/score", body, scope="partner")))
                assert answer["model_version"] == version
                assert answer["degraded"] == []
                assert len(answer["results"]) == len(bids)
            health = self._ok(invoke(self._http("GET", "/healthz")))
            assert (health["status"], health["model_version"]) == ("ok", version)

    def retrain(self) -> str:
        """A night: LightGBM learns, and the model is published to S3 and Redis."""
        with self._open("retrain") as invoke:
            told = invoke({"action": "retrain"})
            assert told["status"] == "published", told
            version: str = told["version"]
            return version

    def report(self) -> None:
        """What happened is what was sent, and what all instances counted is told by one."""
        since = (datetime.now(UTC) - timedelta(days=2)).replace(microsecond=0)
        cell = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s0"}
        query = urlencode({**cell, "from": since.isoformat()})
        with self._open("roas") as invoke:
            for _ in range(WARM):
                found = self._ok(invoke(self._http("GET", "/api/roas", scope="brand", query=query)))
            assert found["observed"]["impressions"] > 0
            listed = self._ok(invoke(self._http("GET", "/api/portfolio", scope="brand")))["items"]
            assert [brand["brand_id"] for brand in listed] == list(BRANDS)
            asked = {"brand_id": BRANDS[0], "days": 7, "targets": [0.4, 0.5]}
            played = self._ok(invoke(self._http("POST", "/api/simulate", asked, scope="brand")))
            assert [point["target"] for point in played["curve"]] == [0.4, 0.5], played
            metrics = invoke(self._http("GET", "/metrics", scope="admin"))
            assert metrics["statusCode"] == 200, metrics
            scored = len(BRANDS) * len(SLOTS) * WARM * 2
            assert f'bid_requests_total{{model="CPC"}} {scored}\n' in metrics["body"], metrics["body"]

    def monitor(self) -> None:
        """The minute's watch over budgets and targets."""
        with self._open("monitor") as invoke:
            for _ in range(WARM):
                assert "errorMessage" not in (invoke({"action": "monitor"}) or {})

    def _http(
        self, method: str, path: str, body: Any = None, *, scope: str | None = None, query: str = ""
    ) -> dict[str, Any]:
        content = b"" if body is None else json.dumps(body).encode()
        headers = [(b"host", b"api.example"), (b"content-type", b"application/json")]
        request = Request(method, path, query, headers, content, "127.0.0.1")
        event = request_event(request, f"{method} {path}", {}, str(uuid.uuid4()), time.time())
        if scope is not None:
            event["requestContext"]["authorizer"] = {"lambda": dict(self._contexts[scope])}
        return event

    def _authorizer_event(self, authorization: str) -> dict[str, Any]:
        return authorizer_event(self._http("GET", "/api/brands"), (authorization,))

    @staticmethod
    def _ok(answer: Mapping[str, Any], status: int = 200) -> Any:
        assert answer["statusCode"] == status, answer
        return json.loads(answer["body"])
