"""What a function writes to its log: JSON lines, each with the service and the request, and no secret."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.collector import collector
from tests.support.world import http_event

ROOT = Path(__file__).resolve().parents[2]
TRACE = "0af7651916cd43dd8448eb211c80319c"
TOKEN, PASSWORD, ADDRESS = "x.y.z", "sesame", "10.20.30.40"

AS_LAMBDA = """
import json, logging, sys
logging.getLogger().addHandler(logging.StreamHandler(sys.stderr))  # as Lambda's runtime client has one
from functions.score.app import handler
for event in json.load(sys.stdin):
    handler(event, None)
logging.getLogger("adbid.engine").warning("between calls")
"""


def lines_of(events: list[dict[str, Any]], tmp_path: Path, **more: str) -> list[dict[str, Any]]:
    """What the score function writes, where neither Redis nor a database answers."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "common"), str(ROOT)]),
        "DATABASE_URL": f"sqlite:///{tmp_path}/nowhere/adbid.db",
        "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0",
        "POWERTOOLS_SERVICE_NAME": "score",
        "POWERTOOLS_METRICS_DISABLED": "true",
        "LOG_LEVEL": "INFO",
        **more,
    }
    said = subprocess.run(
        [sys.executable, "-c", AS_LAMBDA],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert "adbid" not in said.stderr  # each line once
    assert not [secret for secret in (TOKEN, PASSWORD, ADDRESS) if secret in said.stdout + said.stderr]
    return [json.loads(line) for line in said.stdout.splitlines()]


def event(request_id: str) -> dict[str, Any]:
    place = {"brand_id": "b", "partner_id": "p", "slot_id": "s"}
    bid = {"id": "b1", "pricing_model": "CPM", "amount": "1", "currency": "USD", **place}
    headers = {"authorization": f"Bearer {TOKEN}", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    made = http_event("POST", "/api/score", {"id": "r1", "bids": [bid]}, headers=headers)
    made["requestContext"]["requestId"] = request_id
    made["requestContext"]["http"]["sourceIp"] = ADDRESS
    return made


def test_a_line_names_its_service_and_request(tmp_path: Path) -> None:
    *during, after = lines_of([event("one"), event("two")], tmp_path)
    assert during
    assert {line["request_id"] for line in during} == {"one", "two"}
    for line in during:
        assert (line["service"], "trace_id" in line) == ("score", False)
        assert line["timestamp"].endswith("+0000")
    assert (after["message"], "request_id" in after) == ("between calls", False)


@pytest.mark.parametrize("unreachable", [True, False])
def test_and_its_trace_where_there_is_one(tmp_path: Path, unreachable: bool) -> None:
    with collector() as receiver:
        url = "http://127.0.0.1:1" if unreachable else receiver.url
        *during, _ = lines_of([event("one")], tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert {line["trace_id"] for line in during} == {TRACE}
    assert {span["traceId"] for span in receiver.spans()} == (set() if unreachable else {TRACE})
    lost = [line for line in during if line["message"].startswith("traces are lost")]
    assert len(lost) == (1 if unreachable else 0)
