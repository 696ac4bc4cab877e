"""What the contract doesn't take, property by property, and good requests to put it into."""

import http.client
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.product import ok

NOW = datetime.now(UTC).replace(microsecond=0)
HERE = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1"}
BID = {"id": "b", **HERE, "currency": "USD", "pricing_model": "CPC", "amount": "0.40"}
SCORE = {"id": "r", "bids": [BID]}
EVENT = {"event_id": "e", "type": "click", "event_time": (NOW - timedelta(hours=1)).isoformat()}
EVENT |= {**HERE, "currency": "USD"}
BODIES: dict[str, dict[str, Any]] = {
    "/api/score": SCORE,
    "/api/performance": {"events": [EVENT]},
    "/api/strategies": {"name": "n", "vpi_multiplier": 1},
    "/api/brands": {
        "name": "n",
        "vertical": "v",
        "strategy_id": "plain",
        "currency": "USD",
        "target_roas": 1,
    },
    "/api/partners": {"name": "n", "quality": 0.5},
    "/api/slots": {"name": "n", "placement_score": 0.5, "currency": "USD"},
    "/api/priors": {"vertical": "v", "prior_clicks": 1, "prior_imps": 100},
}
"""A good body for everything that takes one."""

IDS = ["", " ", " a", "a ", "a\n", "a\tb", "\0", "a\x1fb", "a\x7f", "x" * 65, 1, 1.5, True, [], {}, ["a"]]
MONEY = ["-1", -1, "-0.01", "NaN", "Infinity", "1e3", "1,5", "1.1234567", 0.1234567, "9" * 30, 10**30, 1e300]
MONEY += ["", " 1", "1 ", "+1", "0x10", "1_000", ".5", "5.", "１２", True, [], {}]
TIMES = ["", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00 Europe/Berlin", 1767225600]
TIMES += ["1767225600", 1767225600.5, "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z"]
TIMES += [
    "2026-01-01T00:00:00+25:00",
    "2026-01-01T00:00:00CET",
    "0000-01-01T00:00:00Z",
    "12026-01-01T00:00:00Z",
]
TIMES += [True, [], {}]
CURRENCIES = ["", "usd", "US", "USDX", "US$", "ÜSD", 840, []]
COUNTRIES = ["us", "USA", "U", "1", "", 1, []]
LITERALS = ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1E+999"]
"""What JSON has no numbers for, and numbers that no float holds; they stand in the text without quotes."""


def cases(table: dict[str, list[Any]]) -> pytest.MarkDecorator:
    """Parameters (name, value) with readable ids."""
    pairs = [(name, value) for name, values in table.items() for value in values]
    return pytest.mark.parametrize(
        ("name", "value"), pairs, ids=[f"{name}={value!r:.40}" for name, value in pairs]
    )


def become(client: httpx.Client, *events: Any, expect: int = 200) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = ok(
        client.post("/api/performance", json={"events": list(events)}), expect
    )["results"]
    return results


def raw(
    client: httpx.Client,
    method: str,
    target: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    **how: Any,
) -> httpx.Response:
    """A request whose target is sent as it stands, dots and all."""
    address = urlsplit(str(client.base_url))
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    try:
        sent = {"authorization": client.headers["authorization"], **(headers or {})}
        connection.request(method, target, body, sent, **how)
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()
