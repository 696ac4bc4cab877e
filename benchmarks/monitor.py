"""How long the monitor's minute takes for a whole portfolio.

    python -m benchmarks.monitor --database mysql://user:password@127.0.0.1/empty --redis redis://127.0.0.1/0

Made-up brands in many time zones, with nine days of totals, nightly prices, a budget each and open
reservations. Between two minutes a fifth of them spends and reserves. Without arguments: a SQLite file and an
embedded Valkey. The database must be empty.
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
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.servers import redis_server

PLACES = ("UTC", "Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo", "Asia/Kolkata")
DAYS = 9
QUARTERS = 20  # of past traffic, per brand
BUSY = 5  # one brand in so many spends and reserves between two minutes

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitor", description=__doc__.split("\n")[0])
    parser.add_argument("--database", metavar="URL", help="an empty database")
    parser.add_argument("--redis", metavar="URL", help="a Redis with nothing in it")
    parser.add_argument("--brands", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=5)
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
        result = measure(options.brands, options.minutes)
    print(
        f"{result['database']}, {result['brands']:,} brands: first minute {result['first_seconds']:.2f} s, "
        f"then median {result['median_seconds']:.2f} s, longest {result['longest_seconds']:.2f} s"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def measure(brands: int, minutes: int) -> dict[str, Any]:
    """Fills what the environment names, and runs so many minutes after the first one."""
    import migrations
    from adbid import wiring
    from adbid.data.counters import Generation

    database = wiring.database()
    migrations.upgrade(database)
    now = datetime.now(UTC).replace(second=5, microsecond=0)
    ids = [f"brand-{number:05}" for number in range(brands)]
    fill(ids, now)
    wiring.counters().publish(Generation.new(now))
    seconds = []
    for minute in range(minutes + 1):
        at = now + timedelta(minutes=minute)
        if minute:
            spend(ids[minute % BUSY :: BUSY], at)
        started = time.perf_counter()
        report = wiring.monitoring().run(at)
        seconds.append(time.perf_counter() - started)
        if not report.done or report.degraded:
            raise SystemExit(f"a minute failed: {report}")
    wiring.close()
    return {
        "database": database.engine.dialect.name,
        "brands": brands,
        "first_seconds": round(seconds[0], 3),
        "median_seconds": round(float(np.median(seconds[1:])), 3),
        "longest_seconds": round(max(seconds[1:]), 3),
    }


def fill(ids: Sequence[str], now: datetime) -> None:
    """The catalog, the past, and the night's prices."""
    from adbid.data import tables

    written = {"version": 1, "created_at": now, "updated_at": now}
    shares = {"probe_share": Decimal("0.05"), "exploration_share": 0}
    strategy = {"id": "s", "name": "s", "vpi_multiplier": 1, "priority": 0, **shares, **written}
    common = {"vertical": "v", "strategy_id": "s", "currency": "USD", "target_roas": 2, "status": "active"}
    zones = {brand: PLACES[number % len(PLACES)] for number, brand in enumerate(ids)}
    _store(tables.brand_strategy, iter([strategy]))
    _store(
        tables.brand,
        (
            {"id": brand, "name": brand, "timezone": zone, "daily_budget": 100, **common, **written}
            for brand, zone in zones.items()
        ),
    )
    prices = {"day": now.date(), "nu": 0.3, "mu": 0.1, "lam": 0.5, "created_at": now}
    _store(tables.brand_dual, ({"brand_id": brand, **prices} for brand in ids))
    _store(tables.brand_day, _days(zones, now))
    _store(tables.performance, _traffic(ids, now))


def spend(ids: Sequence[str], now: datetime) -> None:
    """Each of these brands pays for something, and reserves for two bids more."""
    from sqlalchemy import bindparam, update

    from adbid import wiring
    from adbid.data import tables
    from adbid.domain.ledger import Budget, Candidate

    today, row = now.date(), tables.brand_day.c
    paid = (
        update(tables.brand_day)
        .where(row.brand_id == bindparam("brand"), row.day == today)
        .values(spent=row.spent + 1, cost=row.cost + 1, revision=row.revision + 1)
    )
    paying = [{"brand": brand} for brand in ids]
    wiring.database().transaction(lambda connection: connection.execute(paid, paying))
    budget = Budget(today, 1_000_000_000, 2)
    for start in range(0, len(ids), 500):
        contests = [
            [Candidate(f"{brand}{copy}", brand, "p", f"s{copy}", "CPC", today, 1_000, budget)]
            for brand in ids[start : start + 500]
            for copy in (1, 2)
        ]
        wiring.ledger().decide(f"{now.timestamp()}-{start}", b"f" * 16, b"", contests, now)


def _days(zones: dict[str, str], now: datetime) -> Iterator[Row]:
    from adbid.domain.ledger import budget_day

    rng = np.random.default_rng(1)
    for brand, zone in zones.items():
        today = budget_day(now, zone)
        for age in range(-1, DAYS):  # a day ahead, so that spending finds one in any time zone
            cost = Decimal(int(rng.integers(10, 90)))
            yield {
                "brand_id": brand,
                "day": today - timedelta(days=age),
                "impressions": 10_000,
                "clicks": 300,
                "conversions": int(rng.integers(5, 40)),
                "cost": cost,
                "revenue": cost * int(rng.integers(150, 300)) / 100,
                "spent": cost,
                "revision": 1,
            }


def _traffic(ids: Sequence[str], now: datetime) -> Iterator[Row]:
    rng = np.random.default_rng(2)
    hour = now.replace(minute=0, second=0, microsecond=0)
    where = dict.fromkeys(("device_type", "creative_type", "campaign_id", "country", "os"), "")
    amounts = {"impressions": 500, "clicks": 15, "conversions": 1, "cost": 5, "revenue": 11}
    for number, brand in enumerate(ids):
        cell = {"brand_id": brand, "partner_id": "p", "slot_id": "s", "pricing_model": "CPC", **where}
        for age in set(rng.integers(2, 14 * 24, QUARTERS).tolist()):
            start = hour - timedelta(hours=age)
            yield {"bucket_start": start, "cell_hash": number.to_bytes(16, "big"), **cell, **amounts}


def _store(table: Any, rows: Iterator[Row]) -> None:
    from adbid import wiring

    while some := list(islice(rows, 5_000)):
        wiring.database().transaction(
            lambda connection, part=some: connection.execute(table.insert(), part)  # type: ignore[misc]
        )


if __name__ == "__main__":
    sys.exit(main())
