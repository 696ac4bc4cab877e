"""How many events a second POST /api/performance takes, from the request's text to the answer's.

    python -m benchmarks.ingest --database mysql://user:password@127.0.0.1/empty --redis redis://127.0.0.1:6379/0

Batches of 1,000 made-up events go through the function itself, one after the other, as one Lambda instance
gets them. Without arguments: a SQLite file and an embedded Valkey. The database must be empty; the figure
means most on a MySQL that is as durable as production's (innodb_flush_log_at_trx_commit=1, sync_binlog=1).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from adbid.domain.ledger import Budget, Candidate
from tests.support.servers import redis_server

BRANDS, PARTNERS, SLOTS = 40, 20, 5  # slots of each partner
SECONDS = 300  # a batch tells of so long
NAMED = 0.9  # of all events name the decision that they follow from
ADJUSTED = 0.02  # of all events change an earlier one

Batch = list[dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description=__doc__.split("\n")[0])
    parser.add_argument("--database", metavar="URL", help="an empty database")
    parser.add_argument("--redis", metavar="URL", help="a Redis with nothing in it")
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--events", type=int, default=1_000, help="per batch")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ |= {
            "DATABASE_URL": options.database or f"sqlite:///{folder}/adbid.db",
            "REDIS_URL": options.redis or stack.enter_context(redis_server()),
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
        }
        result = measure(options.batches, options.events)
    print(line(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def line(result: dict[str, Any]) -> str:
    """One result as text."""
    return (
        f"{result['database']}, batches of {result['events_per_batch']:,}: "
        f"{result['events_per_second']:,} events a second, "
        f"p50 {result['p50_ms']:.0f} ms and p99 {result['p99_ms']:.0f} ms a batch"
    )


def measure(batches: int, events: int) -> dict[str, Any]:
    """Sends `batches` (and a few more before, not measured) to the function that the environment sets up."""
    import migrations
    from adbid import wiring
    from adbid.data.counters import Generation

    migrations.upgrade(wiring.database())
    now = datetime.now(UTC)
    fill_catalog(now)
    wiring.counters().publish(Generation.new(now))
    for partition in wiring.ledger().partitions:
        wiring.redis_client().set(partition.alive, "benchmark")
    warm_up = 5
    seconds = []
    for number, batch in enumerate(made_up(warm_up + batches, events, now)):
        decide(batch, now)
        body = json.dumps({"events": batch})
        started = time.perf_counter()
        answer = _send(body)
        seconds.append(time.perf_counter() - started)
        bad = [one for one in answer["results"] if one["status"] != "accepted"]
        if bad:
            raise SystemExit(f"batch {number}: {bad[0]}")
    name = wiring.database().engine.dialect.name
    wiring.close()
    measured = np.array(seconds[warm_up:])
    return {
        "database": name,
        "events_per_batch": events,
        "batches": batches,
        "events_per_second": round(batches * events / measured.sum()),
        "p50_ms": round(float(np.quantile(measured, 0.5)) * 1e3, 1),
        "p99_ms": round(float(np.quantile(measured, 0.99)) * 1e3, 1),
    }


def fill_catalog(now: datetime) -> None:
    """The brands, partners and slots that the events name."""
    from sqlalchemy import Connection

    from adbid import wiring
    from adbid.data import tables

    history = {"version": 1, "created_at": now, "updated_at": now}
    brand = {
        "vertical": "retail",
        "strategy_id": "balanced",
        "currency": "USD",
        "timezone": "Europe/Berlin",
        "daily_budget": 1_000,
        "target_roas": 2,
        "status": "active",
    }
    slot = {"partner_id": None, "placement_score": 0.5, "floor": 0, "currency": "USD"}

    def store(connection: Connection) -> None:
        for table, letter, number, values in (
            (tables.brand, "b", BRANDS, brand),
            (tables.partner, "p", PARTNERS, {"quality": 0.5}),
            (tables.ad_slot, "s", SLOTS * PARTNERS, slot),
        ):
            ids = [f"{letter}{i}" for i in range(number)]
            rows = [{"id": key, "name": key, **values, **history} for key in ids]
            connection.execute(table.insert(), rows)

    wiring.database().transaction(store)


def decide(batch: Batch, now: datetime) -> None:
    """Wins the bids that the batch's events follow from, before its time is taken."""
    from adbid import wiring

    bundles: dict[str, list[list[Candidate]]] = {}
    for event in batch:
        if "decision_id" in event:
            ids = (event[name] for name in ("bid_id", "brand_id", "partner_id", "slot_id", "pricing_model"))
            budget = Budget(now.date(), 10**12, 1)
            candidate = Candidate(*ids, day=now.date(), micros=400_000, budget=budget)
            bundles.setdefault(event["decision_id"], []).append([candidate])
    for decision_id, contests in bundles.items():
        wiring.ledger().decide(decision_id, b"request", b"record", contests, now)


def made_up(batches: int, events: int, now: datetime) -> Iterator[Batch]:
    """Each batch is one partner's last minutes: mostly impressions, few conversions, a few corrections."""
    random = np.random.default_rng(1)
    earlier: dict[int, list[str]] = {}
    for number in range(batches):
        partner = number % PARTNERS
        known = earlier.setdefault(partner, [])
        kinds = random.choice(["impression", "click", "conversion"], events, p=[0.8, 0.17, 0.03])
        brands, slots = random.integers(0, BRANDS, events), random.integers(0, SLOTS, events)
        seconds, draws = random.uniform(0, SECONDS, events), random.random((events, 2))
        batch = []
        for i in range(events):
            event: dict[str, Any] = {
                "event_id": f"{number}-{i}-{'0123456789abcdef' * 2}",
                "type": str(kinds[i]),
                "event_time": (now - timedelta(seconds=float(seconds[i]))).isoformat(),
                "partner_id": f"p{partner}",
            }
            if draws[i, 0] < ADJUSTED and known:
                event |= {"type": "retraction", "adjusts_event_id": known.pop()}
            else:
                event |= {
                    "brand_id": f"b{brands[i]}",
                    "slot_id": f"s{partner * SLOTS + slots[i]}",
                    "device_type": ("mobile", "desktop", "tv")[i % 3],
                    "creative_type": ("banner", "video")[i % 2],
                    "country": "US",
                    "pricing_model": "CPC",
                    "cost": "0.40" if kinds[i] == "click" else "0",
                    "revenue": "12.50" if kinds[i] == "conversion" else "0",
                    "currency": "USD",
                }
                if draws[i, 1] < NAMED:
                    event |= {"decision_id": f"decision-{number}-{i // 10:032}", "bid_id": f"b{i % 10}"}
            batch.append(event)
        known.extend(
            event["event_id"] for event in batch[:: max(1, events // 50)] if event["type"] != "retraction"
        )
        yield batch


def _send(body: str) -> Any:
    from functions.ingest.app import handler

    context = {"sub": "benchmark", "scope": "partner", "partner_ids": '["*"]', "exp": "4102444800"}
    answer = handler(
        {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/api/performance",
            "rawQueryString": "",
            "headers": {"host": "api.example", "content-type": "application/json"},
            "requestContext": {
                "http": {
                    "method": "POST",
                    "path": "/api/performance",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                },
                "requestId": "benchmark",
                "stage": "$default",
                "authorizer": {"lambda": context},
            },
            "body": body,
            "isBase64Encoded": False,
        },
        None,
    )
    if answer["statusCode"] != 200:
        raise SystemExit(answer["body"])
    return json.loads(answer["body"])


if __name__ == "__main__":
    sys.exit(main())
