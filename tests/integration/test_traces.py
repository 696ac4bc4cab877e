"""Traces, as a collector receives them: from the request through Redis and SQL, and nothing private."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from adbid import wiring
from adbid.eyes import traces
from adbid.eyes.instruments import summary
from functions.admin.app import handler as admin
from functions.ingest.app import handler as ingest
from functions.roas.monitor import handler as monitor
from functions.score.app import handler as score
from tests.support.collector import Collector, collector
from tests.support.world import NOW, World, _world, http_event, world  # noqa: F401  # a fixture

ROOT = Path(__file__).resolve().parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
BRAND, PARTNER, SLOT = "brand jane@example.com", "partner +44 20 7946 0000", "slot sesame"
SECRETS = ("jane", "example.com", "+44", "sesame", "tester", "10.20.30.40", "curl", "Bearer", "1.2345")
"""Parts of every id, amount and header that the calls below carry."""


@pytest.fixture
def receiver() -> Iterator[Collector]:
    with collector() as made:
        yield made


@pytest.fixture
def traced(new_database_url: str, redis_url: str, receiver: Collector, monkeypatch: Any) -> Iterator[World]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    for made in _world(new_database_url, redis_url, monkeypatch):
        made.set(
            {
                "strategies": [{"id": "plain", "vpi_multiplier": 1}],
                "brands": [{"id": BRAND, "strategy_id": "plain", "daily_budget": 100}],
                "partners": [{"id": PARTNER}],
                "slots": [{"id": SLOT}],
            }
        )
        receiver.bodies.clear()
        yield made


def call(method: str, path: str, body: Any = None, *, traceparent: str = SAMPLED, query: str = "") -> Any:
    headers = {"traceparent": traceparent, "authorization": "Bearer x.y.z", "user-agent": "curl"}
    event = http_event(method, path, body, headers=headers, query=query)
    event["routeKey"] = f"{method} {path}"
    event["requestContext"]["http"]["sourceIp"] = "10.20.30.40"
    return event


def bundle(**more: Any) -> dict[str, Any]:
    place = {"brand_id": BRAND, "partner_id": PARTNER, "slot_id": SLOT}
    bid = {"id": "b1", "pricing_model": "CPM", "amount": "1.2345", "currency": "USD", **place}
    return {"id": "r1", "bids": [bid], **more}


def test_a_score_is_one_trace_with_redis_and_sql_under_the_request(
    traced: World, receiver: Collector
) -> None:
    answer = score(call("POST", "/api/score", bundle()), None)
    assert answer["statusCode"] == 200
    assert receiver.paths == ["/v1/traces"]
    assert receiver.headers[0]["content-type"] == "application/json"
    root, *children = receiver.spans()
    assert (root["traceId"], root["parentSpanId"], root["kind"]) == (TRACE, PARENT, 2)
    assert (root["name"], root["status"]) == ("POST /api/score", {})
    assert root["resource"]["service.name"] == "score"
    assert root["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/api/score",
        "http.response.status_code": "200",
        "adbid.request_id": "test-request",
    }
    for child in children:
        assert (child["traceId"], child["parentSpanId"], child["kind"]) == (TRACE, root["spanId"], 3)
        assert _nanos(root, "start") <= _nanos(child, "start") <= _nanos(child, "end") <= _nanos(root, "end")
    ids = [span["spanId"] for span in (root, *children)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    names = [child["name"] for child in children]
    assert names[0] == "MGET"
    assert "SELECT brand brand_strategy" in names  # a cold cache, filled
    assert "EVALSHA" in names  # the ledger
    systems = {child["attributes"]["db.system.name"] for child in children}
    assert systems == {"redis", "sqlite" if _is_sqlite() else "mysql"}


def test_a_warm_score_shows_two_trips_to_redis_and_no_sql(traced: World, receiver: Collector) -> None:
    for number in range(3):
        receiver.bodies.clear()
        score(call("POST", "/api/score", bundle(id=f"r{number}")), None)
    names = [span["name"] for span in receiver.spans()]
    assert names[0] == "POST /api/score"
    assert not [name for name in names if name.startswith("SELECT")]
    assert "MGET" in names


def test_nothing_private_is_in_it(traced: World, receiver: Collector) -> None:
    click = {"type": "click", "pricing_model": "CPC", "currency": "USD", "cost": "1.2345"}
    place = {"brand_id": BRAND, "partner_id": PARTNER, "slot_id": SLOT}
    event = {"event_id": "event sesame", "event_time": NOW.isoformat(), **click, **place}
    ingest(call("POST", "/api/performance", {"events": [event]}), None)
    score(call("POST", "/api/score", bundle()), None)
    name = {"id": "jane", "name": "jane@example.com", "quality": "0.5"}
    assert admin(call("POST", "/api/partners", name), None)["statusCode"] == 201
    assert admin(call("GET", "/api/audit", query="object=partner+jane"), None)["statusCode"] < 500
    monitor({"action": "monitor"}, None)
    sent = b"".join(receiver.bodies).decode()
    assert "INSERT" in sent
    assert [secret for secret in SECRETS if secret in sent] == []
    allowed = {"adbid.request_id", "error.type", "db.operation.batch.size", "db.operation.name"}
    allowed |= {"db.query.summary", "db.system.name"}
    allowed |= {"http.request.method", "http.route", "http.response.status_code"}
    assert {key for span in receiver.spans() for key in span["attributes"]} <= allowed


def test_a_pipeline_says_how_many_commands_it_holds(traced: World, receiver: Collector) -> None:
    with traces.call("test", "root", {}, {}):
        pipeline = wiring.redis_client().pipeline(transaction=False)
        pipeline.get("a").get("b")
        assert pipeline.execute() == [None, None]
    root, child = receiver.spans()
    assert (root["name"], root["kind"], "parentSpanId" in root) == ("root", 1, False)
    assert child["name"] == "PIPELINE"
    assert child["attributes"]["db.operation.batch.size"] == "2"


def test_spans_nest(traced: World, receiver: Collector) -> None:
    with traces.call("test", "root", {}, {}), traces.span("outer", bids=3):
        wiring.redis_client().get("a")
        with traces.span("inner"):
            wiring.redis_client().get("b")
    by_id = {span["spanId"]: span for span in receiver.spans()}

    def parents(span: dict[str, Any]) -> list[str]:
        above = by_id.get(span.get("parentSpanId", ""))
        return [] if above is None else [above["name"], *parents(above)]

    assert sorted((span["name"], *parents(span)) for span in by_id.values()) == [
        ("GET", "inner", "outer", "root"),
        ("GET", "outer", "root"),
        ("inner", "outer", "root"),
        ("outer", "root"),
        ("root",),
    ]


def test_a_minute_shows_its_parts(traced: World, receiver: Collector) -> None:
    monitor({"action": "monitor"}, None)
    [root] = [span for span in receiver.spans() if span["name"] == "monitor"]
    parts = {s["spanId"]: s["name"] for s in receiver.spans() if s.get("parentSpanId") == root["spanId"]}
    assert {"claim", "ledger_sweep", "steering", "event_lag"} <= set(parts.values())
    under = {(parts.get(span.get("parentSpanId", "")), span["name"]) for span in receiver.spans()}
    assert ("steering", "SELECT brand brand_strategy") in under or ("steering", "SELECT brand") in under
    assert ("steering", "PIPELINE") in under
    assert root["resource"]["service.name"] == "monitor"


def test_a_statement_that_fails_is_marked_by_the_kind_of_its_error(
    traced: World, receiver: Collector
) -> None:
    with (
        traces.call("test", "root", {}, {}),
        pytest.raises(SQLAlchemyError),
        wiring.database().engine.connect() as connection,
    ):
        connection.execute(text("SELECT 'sesame' FROM nowhere"))
    [failed] = [span for span in receiver.spans() if span["name"] == "SELECT nowhere"]
    assert failed["status"] == {"code": 2}
    assert failed["attributes"]["error.type"].endswith("Error")
    assert b"sesame" not in receiver.bodies[0]


def test_a_call_that_raises_is_sent_as_failed(traced: World, receiver: Collector) -> None:
    with pytest.raises(ValueError, match="no"), traces.call("test", "root", {}, {}):
        raise ValueError("no")
    [root] = receiver.spans()
    assert (root["status"], root["attributes"]["error.type"]) == ({"code": 2}, "ValueError")
    score(call("POST", "/api/score", bundle()), None)  # and the next is a call of its own
    assert receiver.spans()[1]["traceId"] == TRACE


class TestContext:
    @pytest.fixture(autouse=True)
    def _on(self, world: World, receiver: Collector, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        traces.reset()

    def begun(self, receiver: Collector, traceparent: str) -> dict[str, Any] | None:
        with traces.call("test", "GET /", {"traceparent": traceparent}, {}):
            pass
        found = receiver.spans()
        return found[-1] if found else None

    def test_who_does_not_want_it_recorded_is_heard(self, receiver: Collector) -> None:
        assert self.begun(receiver, f"00-{TRACE}-{PARENT}-00") is None

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "nonsense",
            f"00-{TRACE.upper()}-{PARENT}-01",
            f"00-{'0' * 32}-{PARENT}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"ff-{TRACE}-{PARENT}-01",
            f"00-{TRACE}-{PARENT}-01-more",
            f"00-{TRACE}-{PARENT}",
        ],
    )
    def test_a_header_that_is_none_begins_a_trace(self, receiver: Collector, header: str) -> None:
        root = self.begun(receiver, header)
        assert root is not None
        assert re.fullmatch("[0-9a-f]{32}", root["traceId"])
        assert root["traceId"] not in (TRACE, "0" * 32)
        assert "parentSpanId" not in root

    def test_a_later_version_is_read_as_far_as_it_is_known(self, receiver: Collector) -> None:
        root = self.begun(receiver, f"01-{TRACE}-{PARENT}-01-more")
        assert root is not None
        assert root["traceId"] == TRACE

    def test_a_share_of_calls_is_recorded(self, receiver: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
        traces.reset()
        for _ in range(400):
            self.begun(receiver, "")
        assert 50 < len(receiver.bodies) < 150  # 100 ± 5 standard deviations
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
        traces.reset()
        receiver.bodies.clear()
        assert self.begun(receiver, "") is None
        assert self.begun(receiver, SAMPLED) is not None  # the caller decides

    def test_headers_for_the_collector(self, receiver: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%3Db,X-Team=ads")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{receiver.url}/otlp/")
        traces.reset()
        self.begun(receiver, "")
        assert receiver.headers[-1]["x-api-key"] == "a=b"
        assert receiver.headers[-1]["x-team"] == "ads"
        assert receiver.paths[-1] == "/otlp/v1/traces"


class TestCollectorTrouble:
    @pytest.mark.parametrize("status", [400, 503])
    def test_its_refusals_change_no_answer(self, traced: World, receiver: Collector, status: int) -> None:
        receiver.status = status
        assert score(call("POST", "/api/score", bundle()), None)["statusCode"] == 200
        assert len(receiver.bodies) == 1
        assert score(call("POST", "/api/score", bundle()), None)["statusCode"] == 200
        assert len(receiver.bodies) == 1  # it is left alone for a while

    def test_nor_does_its_absence_and_it_costs_time_once(
        self,
        world: World,  # noqa: F811
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        wiring.close()
        assert score(call("POST", "/api/score", bundle()), None)["statusCode"] == 200
        started = time.monotonic()
        for _ in range(5):
            assert score(call("POST", "/api/score", bundle()), None)["statusCode"] == 200
        assert time.monotonic() - started < 0.9


OFF = """
import sys
import functions.score.app, adbid.wiring
from adbid.eyes import traces
traces.watch_redis(None), traces.watch_database(None)
with traces.call("score", "x", {}, {}) as made, traces.span("y"):
    assert made is None
ours = {f"adbid.eyes.{name}" for name in ("tracing", "otlp", "instruments")} & sys.modules.keys()
others = {"opentelemetry.sdk", "opentelemetry.exporter", "sqlalchemy"} & sys.modules.keys()
print(ours, others)
"""


def test_off_costs_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'layers' / 'common'), str(ROOT)]}\n{OFF}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "set() set()\n"


def test_what_a_statement_is_called() -> None:
    assert summary("SELECT a FROM brand JOIN `x` ON 1 WHERE id = 'FROM y'") == ("SELECT", ["brand", "x", "y"])
    assert summary("INSERT INTO performance (a) VALUES (?)") == ("INSERT", ["performance"])
    assert summary("  update brand SET a = 1") == ("UPDATE", ["brand"])
    assert summary("") == ("SQL", [])


def _nanos(span: dict[str, Any], which: str) -> int:
    return int(span[f"{which}TimeUnixNano"])


def _is_sqlite() -> bool:
    return wiring.database().engine.dialect.name == "sqlite"
