"""A real Prometheus, with the product's own rules, collects from the running product and raises an alert."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from adbid import wiring
from adbid.data.gauges import Gauge, Gauges, GaugeStore
from adbid.domain.roas_status import Standing
from tests.support.availability import CannotBeHad, not_run
from tests.support.processes import free_port, private_folder, running
from tests.support.product import Product, ok
from tests.support.promtool import program

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20

pytestmark = pytest.mark.usefixtures("market")


@pytest.fixture
def prometheus(product: Product) -> Iterator[str]:
    """Its URL; it collects and judges every half second, and five minutes are three seconds."""
    rules = (ROOT / "ops" / "prometheus" / "rules.yml").read_text().replace("for: 5m", "for: 3s")
    config: dict[str, Any] = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    [scrape] = config["scrape_configs"]
    del scrape["authorization"]
    scrape |= {"scheme": "http", "static_configs": [{"targets": [product.url.removeprefix("http://")]}]}
    try:
        command = program("prometheus")
        with private_folder("prometheus") as folder:
            (folder / "rules.yml").write_text(rules)
            (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
            url = f"http://127.0.0.1:{free_port()}"
            options = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn")
            listen = f"--web.listen-address={url.removeprefix('http://')}"
            with running("Prometheus", (str(command), *options, listen), folder, partial(_answers, url)):
                yield url
    except CannotBeHad as reason:
        not_run(f"Prometheus: {reason}")


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def ask(url: str, expression: str) -> dict[str, float]:
    """What Prometheus says now: the values by the labels that matter."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}, trust_env=False)
    found = ok(answer)["data"]["result"]
    kept = [
        {name: one["metric"].get(name) for name in ("brand_id", "model") if name in one["metric"]}
        for one in found
    ]
    return {json.dumps(labels): float(one["value"][1]) for labels, one in zip(kept, found, strict=True)}


def soon(check: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def test_bids_are_collected_and_a_brand_under_target_is_told(product: Product, prometheus: str) -> None:
    bid = {"id": "1", "pricing_model": "CPA", "amount": "1", "currency": "USD"}
    place = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1"}
    with product.client("partner", partners=["p1"]) as partner:
        ok(partner.post("/api/score", json={"id": "r1", "bids": [{**bid, **place}]}))
    low = Gauge(1.5, 2.0, 10.0, 0.99, Standing.BELOW, False)
    few = Gauge(0.1, 2.0, 10.0, float("nan"), Standing.UNKNOWN, False)
    GaugeStore(wiring.redis_client()).put(Gauges(wiring.now(), {"b1": low, "b2": few}))
    assert soon(lambda: ask(prometheus, 'up{job="adbid"} == 1'))
    bids = soon(lambda: ask(prometheus, "bid_requests_total > 0"))
    assert bids == {'{"model": "CPA"}': 1}
    assert ask(prometheus, "brand_roas_current") == {'{"brand_id": "b1"}': 1.5, '{"brand_id": "b2"}': 0.1}
    ringing = 'ALERTS{alertname="BrandRoasUnderTarget", alertstate="firing"}'
    assert soon(lambda: ask(prometheus, ringing)) == {'{"brand_id": "b1"}': 1}
    product.redis.stop()
    try:
        away = soon(lambda: ask(prometheus, 'up{job="adbid"} == 0'))
    finally:
        product.redis.start()
    assert away == {"{}": 0}
    assert soon(lambda: ask(prometheus, 'up{job="adbid"} == 1'))
