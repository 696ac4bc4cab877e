"""What the alarms of template.yaml count is really written, by the functions whose logs they look through."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from adbid import wiring
from functions.authorizer.app import handler as authorizer
from functions.authorizer.app import verifier_for
from functions.authorizer.keystore import KeysUnavailable
from functions.retrain.app import handler as retrain
from functions.roas.monitor import handler as monitor
from functions.score.app import handler as score
from local.template import load_template
from tests.support.market import open_market, store
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

ROOT = Path(__file__).resolve().parents[2]
RESOURCES = load_template(ROOT / "template.yaml")["Resources"]
FILTERS = {
    match[1]: resource["Properties"]["LogGroupName"]["Ref"]
    for resource in RESOURCES.values()
    if resource["Type"] == "AWS::Logs::MetricFilter"
    and (match := re.match(r"\{ \$\.(\w+)\[0\] >", resource["Properties"]["FilterPattern"]))
}
"""The logs that are searched, by metric."""


class Log:
    """The embedded metrics that a handler has written."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def values(self, name: str) -> list[float]:
        """What `$.name[0]` finds, line by line, since this was asked before."""
        lines = [json.loads(line) for line in self._capsys.readouterr().out.splitlines() if "_aws" in line]
        for line in lines:
            [about] = line["_aws"]["CloudWatchMetrics"]
            assert about["Namespace"] == "AdBid"
            [dimensions] = about["Dimensions"]
            assert "brand_id" not in dimensions
        return [line[name][0] for line in lines if name in line]


@pytest.fixture
def log(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Log:  # noqa: F811
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")
    open_market(world)
    return Log(capsys)


def test_these_are_all_that_alarms_count() -> None:
    assert FILTERS == {
        "retrain_published_total": "RetrainLogs",
        "retrain_refused_total": "RetrainLogs",
        "brands_under_target": "MonitorLogs",
        "monitor_degraded_total": "MonitorLogs",
        "key_set_failed_total": "AuthorizerLogs",
    }


def test_a_night_that_published(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELS_DIR", str(tmp_path))
    assert retrain({"action": "retrain"}, None)["status"] == "published"
    assert log.values("retrain_published_total") == [1]


def test_a_night_that_was_refused(log: Log) -> None:
    store(wiring.database(), [])
    assert retrain({"action": "retrain"}, None)["reason"] == "too_little_data"
    assert log.values("retrain_refused_total") == [1]


def test_every_minute_says_how_many_brands_are_under_target(log: Log) -> None:
    assert monitor({"action": "monitor"}, None)["degraded"] == []
    assert log.values("brands_under_target") == [0]


def test_a_minute_without_redis_says_what_failed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    wiring.close()
    failed = monitor({"action": "monitor"}, None)["degraded"]
    assert len(failed) > 3
    assert log.values("monitor_degraded_total") == [1] * len(failed)


def test_keys_that_cannot_be_had(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JWT_ISSUER": "partnerize", "JWT_AUDIENCE": "adbid"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JWKS_URL", "http://127.0.0.1:1/jwks.json")
    verifier_for.cache_clear()
    head = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ"  # {"alg":"RS256","kid":"k"}
    event: dict[str, Any] = {"identitySource": [f"Bearer {head}.e30.AAAA"], "requestContext": {}}
    with pytest.raises(KeysUnavailable):
        authorizer(event, None)
    assert log.values("key_set_failed_total") == [1]


def test_a_score_writes_its_bids_by_model_and_its_time(log: Log) -> None:
    place = {"brand_id": "b0", "partner_id": "p1", "slot_id": "s0"}
    bids = [
        {"id": str(number), "pricing_model": model, "amount": "1", "currency": "USD", **place}
        for number, model in enumerate(("CPA", "CPA", "CPM"))
    ]
    score(http_event("POST", "/api/score", {"id": "r", "bids": bids}), None)
    assert sorted(log.values("bid_requests_total")) == [1, 2]
    score(http_event("POST", "/api/score", {"id": "r2", "bids": bids}), None)
    [seconds] = log.values("score_latency_seconds")
    assert 0 < seconds < 10
