"""The product's story over HTTP: a market is set up and scored, events come in, the next score knows.

And what becomes of it when Redis is emptied, hangs, or is gone.
"""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import redis
from _pytest.fixtures import SubRequest

from adbid import wiring
from adbid.data.hot import LEFT_ALONE_SECONDS
from functions.roas.monitor import handler as monitor
from tests.support.product import Product, ok, running_product
from tests.support.servers import fresh_database

REQUESTS = itertools.count(1)
"""A repeated request would get its first decision back."""

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
BRAND, PARTNER, SLOT = "camp 1", "p'7", "#N/A"
CELL = {"brand_id": BRAND, "partner_id": PARTNER, "slot_id": SLOT}
BID = {
    **CELL,
    "id": "b1",
    "pricing_model": "CPA",
    "amount": "12.50",
    "currency": "USD",
    "device_type": "mobile",
}


@pytest.fixture(scope="module", params=["sqlite", "mysql"])
def product(tmp_path_factory: pytest.TempPathFactory, request: SubRequest) -> Iterator[Product]:
    """The product on embedded SQLite, and on MySQL itself."""
    server = "sqlite://" if request.param == "sqlite" else request.getfixturevalue("mysql_url")
    with (
        fresh_database(server) as database,
        running_product(tmp_path_factory.mktemp("product"), database) as product,
    ):
        yield product


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> "Clock":
    """The functions' clock, which stands still unless a test moves it: between two scores nothing fades."""
    clock = Clock(datetime.now(UTC))
    monkeypatch.setattr(wiring, "now", lambda: clock.now)
    return clock


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now


def score(
    client: httpx.Client, *bids: dict[str, Any], degraded: list[str] | None = None
) -> list[dict[str, Any]]:
    """The results for `bids`, from an answer that did without what `degraded` names."""
    request = {"id": f"r-{next(REQUESTS)}", "bids": list(bids or (BID,))}
    answer = ok(client.post("/api/score", json=request))
    assert answer["degraded"] == (degraded or [])
    results: list[dict[str, Any]] = answer["results"]
    return results


def event(event_id: str, kind: str = "impression", **changes: Any) -> dict[str, Any]:
    time_ = YESTERDAY + timedelta(minutes=10)
    common = {"event_id": event_id, "type": kind, "event_time": time_.isoformat(), "device_type": "mobile"}
    return {**common, **CELL, "currency": "USD", **changes}


def report(client: httpx.Client, *events: dict[str, Any]) -> list[str]:
    results = ok(client.post("/api/performance", json={"events": list(events)}))["results"]
    assert [result["event_id"] for result in results] == [one["event_id"] for one in events]
    return [result["status"] if "code" not in result else result["code"] for result in results]


def observed(client: httpx.Client, **cell: Any) -> dict[str, Any]:
    """What `GET /api/roas` says happened yesterday, with its times taken off."""
    until = YESTERDAY + timedelta(days=1)
    query = {**(cell or CELL), "from": YESTERDAY.isoformat(), "to": until.isoformat()}
    told: dict[str, Any] = ok(client.get("/api/roas", params=query))["observed"]
    assert datetime.fromisoformat(told.pop("from")) == YESTERDAY
    assert datetime.fromisoformat(told.pop("to")) == until
    return told


def test_the_story(product: Product, admin: httpx.Client) -> None:
    with (
        product.client("partner", partners=[PARTNER]) as partner,
        product.client("brand", brands=[BRAND]) as brand,
    ):
        # A market with ids as real ones are.
        plain = {
            "id": "plain",
            "name": "plain",
            "vpi_multiplier": "1",
            "exploration_share": 0,
            "probe_share": 0,
        }
        ok(admin.post("/api/strategies", json=plain), 201)
        new = {"id": BRAND, "name": "Camp", "vertical": "fashion", "strategy_id": "plain", "currency": "USD"}
        made = admin.post("/api/brands", json={**new, "target_roas": "2.5", "timezone": "Europe/London"})
        ok(made, 201)
        ok(admin.post("/api/partners", json={"id": PARTNER, "name": "Ledger", "quality": "0.8"}), 201)
        place = {"id": SLOT, "name": "unplaced", "partner_id": PARTNER, "placement_score": "0.7"}
        ok(admin.post("/api/slots", json={**place, "floor": "0.60", "currency": "USD"}), 201)
        assert ok(admin.get(made.headers["location"]))["name"] == "Camp"

        # Nothing has happened: rates are the root prior's 3 %, and the brand just meets its target.
        [before] = score(partner, degraded=["no_revenue_data"])
        assert (before["status"], before["rank"], before["reasons"]) == ("won", 1, [])
        assert before["predicted_ctr"] == before["predicted_cvr"] == pytest.approx(0.03, rel=1e-12)
        assert before["value_per_impression"] == pytest.approx(12.5 * 0.03 * 0.03, rel=1e-12)
        assert before["predicted_roas"] == pytest.approx(2.5, rel=1e-12)

        # Things happen, and each is counted once.
        batch = [
            event("e-1", count=20_000),
            event("e-2", "click", count=1_000),
            event("e-3", "click", count=200),
            event("e-4", "conversion", count=60, pricing_model="CPA", cost="750.01", revenue="1800.10"),
            event("e-5", "click", count=1, brand_id="nobody"),
        ]
        assert report(partner, *batch) == [*["accepted"] * 4, "unknown_brand"]
        assert report(partner, *batch) == [*["duplicate"] * 4, "unknown_brand"]
        assert report(partner, {**batch[0], "count": 20_001}) == ["conflict"]

        # The next score knows: rates are near what was seen.
        [after] = score(partner)
        assert after["predicted_ctr"] == pytest.approx(0.06, rel=0.1)
        assert 0.03 < after["predicted_cvr"] < 0.055
        assert after["value_per_impression"] == pytest.approx(
            12.5 * after["predicted_ctr"] * after["predicted_cvr"], rel=1e-12
        )
        assert after["predicted_roas"] == pytest.approx(
            after["predicted_revenue"] / after["predicted_cost"], rel=1e-12
        )

        # What is reported agrees with what was sent, to the cent.
        told = {
            "impressions": 20_000,
            "clicks": 1_200,
            "conversions": 60,
            "cost": "750.01",
            "revenue": "1800.10",
        }
        roas = round(Decimal("1800.10") / Decimal("750.01"), 4)
        for viewer in (partner, brand, admin):
            assert observed(viewer) == {**told, "roas": float(roas)}
        vpi = {"granularity": "hour", "from": YESTERDAY.isoformat(), "brand_id": BRAND}
        [point] = ok(brand.get("/api/metrics/vpi", params=vpi))["points"]
        assert (point["hour"], point["impressions"], point["revenue"], point["cost"]) == (
            9,
            20_000,
            "1800.10",
            "750.01",
        )
        assert point["value_per_impression"] == pytest.approx(0.090005, rel=1e-9)

        # Some of it turns out otherwise.
        again = {"adjusts_event_id": "e-4", "cost": "700.00", "count": 40}
        assert report(partner, event("r-1", "restatement", **again)) == ["accepted"]
        assert report(partner, event("r-2", "retraction", adjusts_event_id="e-3")) == ["accepted"]
        assert report(partner, event("r-3", "retraction", adjusts_event_id="e-3")) == ["already_retracted"]
        told |= {"clicks": 1_000, "conversions": 40, "cost": "700.00", "roas": 2.5716}
        assert observed(brand) == told
        [changed] = score(partner)
        assert changed["predicted_ctr"] == pytest.approx(0.05, rel=0.1)
        assert changed["predicted_cvr"] < after["predicted_cvr"]

        # The strategy changes, and so does the next score; who has an old copy is told so.
        read = admin.get("/api/strategies/plain")
        bold = {**read.json(), "vpi_multiplier": "1.5"}
        tag = {"if-match": read.headers["etag"]}
        assert admin.put("/api/strategies/plain", json=bold).status_code == 428
        ok(admin.put("/api/strategies/plain", json=bold, headers=tag))
        assert admin.put("/api/strategies/plain", json=bold, headers=tag).status_code == 412
        [bolder] = score(partner)
        assert bolder["strategy"]["multiplier"] == 1.5
        assert bolder["score"] == pytest.approx(1.5 * changed["score"], rel=1e-12)

        # What is in use stays.
        for used in (
            "strategies/plain",
            f"brands/{quote(BRAND)}",
            f"partners/{quote(PARTNER)}",
            "slots/%23N%2FA",
        ):
            assert admin.delete(f"/api/{used}").status_code == 409, used


def test_a_paused_brand_does_not_buy(product: Product, admin: httpx.Client) -> None:
    path = f"/api/brands/{quote(BRAND)}"
    read = admin.get(path)
    ok(admin.put(path, json={**read.json(), "status": "paused"}, headers={"if-match": read.headers["etag"]}))
    assert "brand_paused" in score(admin)[0]["reasons"]
    ok(admin.put(path, json=read.json(), headers={"if-match": "*"}))
    assert "brand_paused" not in score(admin)[0]["reasons"]


def test_nothing_is_lost_with_redis_emptied(product: Product, admin: httpx.Client) -> None:
    before = score(admin)
    with redis_of(product) as client:
        client.flushall()
    same(before, score(admin))


def test_scoring_and_reporting_go_on_without_redis(product: Product, admin: httpx.Client) -> None:
    before, told = score(admin), observed(admin)
    product.redis.stop()
    try:
        same(before, score(admin, degraded=["cache_unavailable"]))
        assert report(admin, event("dark-1", count=1_000)) == ["accepted"]
        assert report(admin, event("dark-1", count=1_000)) == ["duplicate"]
        assert observed(admin)["impressions"] == told["impressions"] + 1_000
        without = score(admin, degraded=["cache_unavailable"])
        read = admin.get(f"/api/brands/{quote(BRAND)}")
        ok(
            admin.put(
                f"/api/brands/{quote(BRAND)}", json=read.json(), headers={"if-match": read.headers["etag"]}
            )
        )
    finally:
        product.redis.start()
        time.sleep(LEFT_ALONE_SECONDS)  # until then a score doesn't ask Redis again
    assert without[0]["predicted_ctr"] < before[0]["predicted_ctr"]
    same(without, score(admin))
    assert observed(admin)["impressions"] == told["impressions"] + 1_000


def test_an_event_is_counted_once_when_redis_hangs(
    product: Product, admin: httpx.Client, clock: Clock
) -> None:
    told = observed(admin)
    score(admin)
    with Frozen(product.redis):
        assert report(admin, event("hung-1", count=500), event("hung-2", count=500)) == ["accepted"] * 2
    clock.now += timedelta(seconds=10)  # what was left behind is settled by now
    assert report(admin, event("hung-3", count=500)) == ["accepted"]
    served = score(admin)
    assert observed(admin)["impressions"] == told["impressions"] + 1_500
    with redis_of(product) as client:
        client.flushall()
    same(served, score(admin))


def test_an_event_is_seen_though_redis_hung_and_no_other_follows(
    product: Product, admin: httpx.Client, clock: Clock
) -> None:
    """The monitor's next minute brings along what was left behind."""
    score(admin)
    with Frozen(product.redis):
        assert report(admin, event("alone-1", count=5_000)) == ["accepted"]
    clock.now += timedelta(seconds=60)
    assert monitor({"action": "monitor"}, None)["degraded"] == []
    served = score(admin)
    with redis_of(product) as client:
        client.flushall()
    same(served, score(admin))


def test_an_event_is_counted_once_when_redis_hangs_halfway(
    product: Product, admin: httpx.Client, clock: Clock
) -> None:
    """Redis stops answering somewhere within a batch; what it was sent, it carries out when it wakes."""
    told = observed(admin)
    hung = Frozen(product.redis)
    halfway = threading.Timer(0.05, hung.__enter__)
    halfway.start()
    sent = 0
    deadline = time.monotonic() + 0.6
    try:
        while time.monotonic() < deadline:
            batch = [event(f"half-{sent}-{number}", count=1) for number in range(100)]
            assert set(report(admin, *batch)) == {"accepted"}
            sent += 1
    finally:
        halfway.join()
        hung.__exit__()
    for step in range(20):  # a sender brings along four that were left behind
        clock.now += timedelta(seconds=10)
        assert report(admin, event(f"after-{step}", count=1)) == ["accepted"]
    assert observed(admin)["impressions"] == told["impressions"] + sent * 100 + 20
    served = score(admin)
    with redis_of(product) as client:
        client.flushall()
    same(served, score(admin))


def test_a_new_brand_is_not_worthless_after_its_first_thousand_impressions(
    product: Product, admin: httpx.Client
) -> None:
    """Impressions are reported before their clicks. Beta(3, 97) would still say 3 / 1,100."""
    read = ok(admin.get(f"/api/brands/{quote(BRAND)}"))
    ok(admin.post("/api/brands", json={**read, "id": "new", "name": "new", "vertical": "new"}), 201)
    assert report(admin, event("new-1", brand_id="new", count=1_000)) == ["accepted"]
    [result] = score(admin, {**BID, "brand_id": "new"})
    assert 0.0003 < result["predicted_ctr"] < 0.03


def test_many_reporters_at_once_are_all_counted(product: Product, admin: httpx.Client) -> None:
    told = observed(admin)
    failures: list[str] = []

    def send(name: int) -> None:
        with product.client("admin") as client:
            for turn in range(5):  # every batch is sent by two of them
                batch = [event(f"many-{name // 2}-{turn}-{number}", count=2) for number in range(20)]
                statuses = set(report(client, *batch))
                if not statuses <= {"accepted", "duplicate"}:
                    failures.append(str(statuses))

    senders = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert failures == []
    assert observed(admin)["impressions"] == told["impressions"] + 4 * 5 * 20 * 2
    served = score(admin)
    with redis_of(product) as client:
        client.flushall()
    same(served, score(admin))


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """The same results, their numbers to one part in a thousand million."""
    for before, after in zip(one, other, strict=True):
        assert before.keys() == after.keys()
        for name, value in before.items():
            expected = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            assert after[name] == expected, name


def redis_of(product: Product) -> "redis.Redis":
    return redis.Redis(host="127.0.0.1", port=product.redis.port)


def pid_of(server: Any) -> int:
    with redis.Redis(host="127.0.0.1", port=server.port) as client:
        return int(client.info("server")["process_id"])


class Frozen:
    """Redis takes connections and answers nothing, until the block ends."""

    def __init__(self, server: Any) -> None:
        self._pid = pid_of(server)

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)
        time.sleep(LEFT_ALONE_SECONDS)  # until then a score doesn't ask Redis again
