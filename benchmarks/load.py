"""The product under load over HTTP: workers score and tell what came of it, as fast as they are answered.

    python -m benchmarks.load --seconds 60 --workers 4

The local gateway serves the handlers in a process of its own, on a SQLite file and an embedded Valkey unless
DATABASE_URL and REDIS_URL name others (empty ones). A closed loop: a worker sends its next request when it
has the answer to the last, so that latency and throughput belong together. Some requests and batches are sent
twice on purpose, some events are restated or retracted. At the end every balance of the ledger is compared
with its entries, and every brand's spend and the reports' sums with what the workers were told was accepted:
the exit status is 0 when all agree and no request has failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np

from benchmarks.load_worker import Market, Outcome, work

SERVE = "--serve"
ANSWER = "answer "
LONGEST = 600
BUDGETS = (None, "2.00", "20.00")
"""What brands may spend a day, in turn: the smallest is gone within seconds."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help=f"at most {LONGEST}")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--bids", type=int, default=20, help="per request")
    parser.add_argument("--events", type=int, default=200, help="per batch")
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    if not 1 <= options.seconds <= LONGEST:
        parser.error(f"--seconds: 1 to {LONGEST}")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        result = measure(server, options.seconds, options.workers, options.bids, options.events)
    print(told(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["agrees"] and not result["errors"] else 1


class Server:
    """The process that serves; `ask` has it look into its own stores."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.about: dict[str, Any] = self._read()

    def ask(self) -> dict[str, Any]:
        """What the ledger's check and the tables say."""
        assert self._process.stdin is not None
        self._process.stdin.write("check\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                answer: dict[str, Any] = json.loads(line.removeprefix(ANSWER))
                return answer
            sys.stderr.write(line)  # what the functions log
        raise SystemExit("the server stopped by itself")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The product in a process of its own for the length of a `with` block."""
    command = [sys.executable, "-m", "benchmarks.load", SERVE, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Server(process)  # which ends when nobody can ask any more


def serve(folder: Path) -> None:
    """Serve until nothing more is asked."""
    from local.stack import running

    with running(folder, 0) as stack:
        partners = ["*"]
        about = {"url": stack.url, "admin": stack.token("admin")}
        about["partner"] = stack.token("partner brand", partners=partners)
        print(ANSWER + json.dumps(about), flush=True)
        for _ in sys.stdin:
            print(ANSWER + json.dumps(_look()), flush=True)


def _look() -> dict[str, Any]:
    from adbid import wiring
    from adbid.data import brand_days, ledger_checks

    differences = ledger_checks.check(wiring.database(), wiring.ledger(), wiring.now())
    with wiring.database().read() as connection:
        days = list(brand_days.recent(connection, date.min))
    spent: dict[str, Decimal] = {}
    for day in days:
        spent[day.brand_id] = spent.get(day.brand_id, Decimal(0)) + day.spent
    return {
        "differences": [str(one) for one in differences],
        "spent": {brand: str(amount) for brand, amount in spent.items()},
        "database": wiring.database().engine.dialect.name,
    }


def measure(server: Server, seconds: int, workers: int, bids: int, events: int) -> dict[str, Any]:
    """Sets the market up, runs the workers, and compares what they were told with what is stored."""
    from local.client import Client

    market = Market(server.about["url"], server.about["partner"], bids, events)
    with Client(market.url, server.about["admin"]) as client:
        _catalog(client, market)
        started = time.monotonic()
        with ProcessPoolExecutor(workers) as pool:
            outcomes = list(pool.map(work, [market] * workers, range(workers), [seconds] * workers))
        took = time.monotonic() - started
        stored = server.ask()
        until = datetime.fromisoformat(market.began) + timedelta(days=2)
        query = {"granularity": "day", "from": market.began, "to": until.isoformat()}
        points = client.call("GET", f"/api/metrics/vpi?{urlencode(query)}").json()["points"]
    return _result(outcomes, stored, points, took, workers, market)


def _catalog(client: Any, market: Market) -> None:
    for number in range(market.partners):
        client.ensure("partners", {"id": f"p{number}", "name": f"p{number}", "quality": "0.5"})
    for slot, partner in market.slots:
        item = {"id": slot, "name": slot, "partner_id": partner, "placement_score": "0.5", "currency": "USD"}
        client.ensure("slots", item)
    for number in range(market.brands):
        brand = {"id": f"b{number}", "name": f"b{number}", "vertical": f"v{number % 3}", "currency": "USD"}
        brand |= {"strategy_id": "balanced", "target_roas": "0.5", "timezone": "UTC"}
        client.ensure("brands", {**brand, "daily_budget": BUDGETS[number % len(BUDGETS)]})


def _result(
    outcomes: Sequence[Outcome],
    stored: dict[str, Any],
    points: Sequence[dict[str, Any]],
    took: float,
    workers: int,
    market: Market,
) -> dict[str, Any]:
    latencies: dict[str, list[float]] = {}
    counts: Counter[str] = Counter()
    spent: dict[str, Decimal] = {}
    for outcome in outcomes:
        counts.update(outcome.counts)
        for kind, some in outcome.seconds.items():
            latencies.setdefault(kind, []).extend(some)
        for brand, amount in outcome.spent.items():
            spent[brand] = spent.get(brand, Decimal(0)) + amount
    errors = sorted({error for outcome in outcomes for error in outcome.errors})
    wrong = disagreements(spent, stored, points, counts)
    return {
        "seconds": round(took, 1),
        "workers": workers,
        "database": stored["database"],
        "bids_per_request": market.bids,
        "events_per_batch": market.events,
        "requests_per_second": round(sum(map(len, latencies.values())) / took, 1),
        "bids_per_second": round(counts["bids"] / took),
        "events_per_second": round(counts["accepted"] / took),
        "counts": dict(sorted(counts.items())),
        "latency_ms": {kind: _quantiles(some) for kind, some in sorted(latencies.items())},
        "errors": errors,
        "disagreements": wrong,
        "agrees": not wrong,
    }


def disagreements(
    spent: dict[str, Decimal], stored: dict[str, Any], points: Sequence[dict[str, Any]], counts: Counter[str]
) -> list[str]:
    """In which ways what is stored and reported differs from what the workers were told."""
    wrong = [f"ledger: {one}" for one in stored["differences"]]
    for brand in sorted({*spent, *stored["spent"]}):
        told_, kept = spent.get(brand, Decimal(0)), Decimal(stored["spent"].get(brand, 0))
        if told_ != kept:
            wrong.append(f"{brand} has spent {kept}, and {told_} was accepted")
        budget = BUDGETS[int(brand[1:]) % len(BUDGETS)]
        if int(brand[1:]) % 2 == 0 and budget is not None and kept > Decimal(budget):
            wrong.append(f"{brand}, which pays what it reserved, has spent {kept} of {budget}")
    cost = sum((Decimal(point["cost"]) for point in points), Decimal(0))
    if cost != sum(spent.values(), Decimal(0)):
        wrong.append(f"the report's cost is {cost}, and {sum(spent.values(), Decimal(0))} was accepted")
    shown = sum(point["impressions"] for point in points)
    if shown != counts["impressions"]:
        wrong.append(f"the report has {shown} impressions, and {counts['impressions']} were accepted")
    return wrong


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    found = {"count": float(len(seconds))}
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)):
        found[name] = round(float(np.quantile(seconds, share)) * 1e3, 1)
    return found


def told(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        f"{result['workers']} workers, {result['seconds']} s, {result['database']}: "
        f"{result['requests_per_second']} requests, {result['bids_per_second']} bids "
        f"and {result['events_per_second']} events a second",
    ]
    for kind, one in result["latency_ms"].items():
        numbers = ", ".join(f"{name} {value:g}" for name, value in one.items() if name != "count")
        lines.append(f"  {kind:8} {one['count']:8.0f} times, ms: {numbers}")
    lines.append(f"  {', '.join(f'{n} {name}' for name, n in result['counts'].items())}")
    lines += [f"  ERROR {error}" for error in result["errors"][:10]]
    lines += [f"  WRONG {one}" for one in result["disagreements"][:10]]
    if result["agrees"] and not result["errors"]:
        lines.append("  no errors; ledger, tables and reports agree with what was accepted")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == [SERVE]:
        os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "ERROR")
        serve(Path(sys.argv[2]))
    else:
        sys.exit(main())
