"""How long the ledger takes for a decision, beside a plain PING in the same run.

    .venv/bin/python -m benchmarks.ledger [--url redis://…] [--calls 2000] [--partitions 1 3 16] [--json OUT]

Each bid is of another brand. Either every first bid of a slot can be paid, or none of the bids, which is the
most that the ledger can be asked. With several partitions a decision takes one call to begin, one to end, and
in every round one per partition that holds the next in line. Without a URL, a private Redis is started.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis

from adbid.data.ledger import Ledger
from adbid.domain.ledger import Budget, Candidate
from tests.support.servers import redis_server

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)
PRICE = 1_234  # micros
PLENTY = 10**12
RECORD_BYTES = 120  # per bid: about what a packed answer has

SIZES = {100: 10, 1_000: 10}
"""Slots by the number of bids."""

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", help="an empty Redis")
    parser.add_argument("--calls", type=int, default=2_000, help="of each kind; fewer for 1,000 bids")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 3, 16])
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    results = {}
    with ExitStack() as stack:
        url = chosen.url or stack.enter_context(redis_server())
        redis = stack.enter_context(Redis.from_url(url))
        for name, figures in measured(redis, chosen.partitions, chosen.calls):
            results[name] = figures
            told = "  ".join(f"{key} {value:8,.1f}" for key, value in figures.items())
            print(f"{name:65} {told}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


def measured(redis: Redis, partitions: Sequence[int], calls: int) -> Iterator[tuple[str, Figures]]:
    """Each case by its name."""
    yield "PING", timed(redis, lambda _: redis.ping(), calls)
    for number in partitions:
        for bids, slots in SIZES.items():
            for words, budget in (("all can be paid", PLENTY), ("none can be paid", 1)):
                ledger = empty_ledger(redis, number)
                contests = bundle(bids, slots, budget)
                decide = partial(_decide, ledger, contests, bytes(RECORD_BYTES * bids))
                preview = partial(_preview, ledger, contests)
                repeated = max(100, min(calls, 200_000 // bids))
                name = f"{number} partition{'s' * (number > 1)}, {bids:,} bids on {slots} slots, {words}"
                yield name, timed(redis, decide, repeated)
                yield f"{name}: preview", timed(redis, preview, repeated)


def empty_ledger(redis: Redis, partitions: int) -> Ledger:
    """A ledger that is alive, with nothing in it."""
    redis.flushdb()
    ledger = Ledger(redis, partitions=partitions)
    for partition in ledger.partitions:
        redis.set(partition.alive, "since this run began")
    return ledger


def bundle(bids: int, slots: int, budget: int) -> list[list[Candidate]]:
    """As many bids of as many brands, spread evenly over the slots."""
    limit = Budget(DAY, budget, 1)
    return [
        [
            Candidate(f"bid-{n}", f"brand-{n}", "partner-1", f"slot-{slot}", "CPC", DAY, PRICE, limit)
            for n in range(slot, bids, slots)
        ]
        for slot in range(slots)
    ]


def _decide(ledger: Ledger, contests: list[list[Candidate]], record: bytes, number: int) -> object:
    return ledger.decide(f"decision-{number}", b"f" * 16, record, contests, NOW)


def _preview(ledger: Ledger, contests: list[list[Candidate]], _: int) -> object:
    return ledger.preview(contests, NOW)


def timed(redis: Redis, call: Callable[[int], object], calls: int) -> Figures:
    """Microseconds of one call: median and 99th percentile, and the CPU time that it takes here and in Redis,
    which a busy machine changes least. How many scripts it runs. After a tenth as warm-up."""
    for number in range(calls // 10):
        call(number)
    taken = []
    redis.config_resetstat()
    before, here = _cpu_seconds(redis), time.process_time()
    for number in range(calls // 10, calls):
        begin = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - begin) * 1e6)
    here, there = time.process_time() - here, _cpu_seconds(redis) - before
    scripts: Any = redis.info("commandstats")
    return {
        "p50_us": statistics.median(taken),
        "p99_us": statistics.quantiles(taken, n=100)[98],
        "cpu_us": here * 1e6 / len(taken),
        "redis_cpu_us": there * 1e6 / len(taken),
        "scripts": scripts.get("cmdstat_evalsha", {}).get("calls", 0) / len(taken),
    }


def _cpu_seconds(redis: Redis) -> float:
    used: Any = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


if __name__ == "__main__":
    main()
