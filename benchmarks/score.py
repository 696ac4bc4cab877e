"""How long POST /api/score takes, beside a plain implementation of the same answer in the same run.

    .venv/bin/python -m benchmarks.score [--json OUT] [--calls 2000]

The score function's own handler is called with API Gateway's events inside this process; MySQL and Redis are
real and private. Every bid of a bundle is another brand's, ten bids compete for each slot, and between calls
another process counts events of one brand in twenty. The two implementations take turns and must agree to
1e-9. `cold`: what Redis caches of the catalog was just lost.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from math import isclose
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from adbid import wiring
from benchmarks.plain_score import PlainScore
from benchmarks.score_market import BRANDS, Market, bundle, http_event, open_market
from benchmarks.score_model import BIAS, WEIGHT
from benchmarks.score_places import PLACES, REST
from benchmarks.score_stages import Stages
from benchmarks.score_stir import Stirrer, stirrer
from functions.score.app import handler

SIZES = (1, 100, 1_000)
TOLERANCE = 1e-9
COLD = ("brand:*:features", "partner:*:features", "slot:*:features", "priors", "hot:revision")

Answer = dict[str, Any]
Call = Callable[[Answer], Answer]
"""An event in, the function's answer out."""


class Clock:
    """The time that both implementations see: the same for a pair of calls."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def tick(self) -> None:
        self.now = datetime.now(UTC)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the results here as well")
    parser.add_argument("--calls", type=int, default=2_000, help="of a bundle of 100 (default: 2000)")
    options = parser.parse_args()
    with open_market() as market, stirrer(market) as events, quiet():
        results = measure(market, events, options.calls)
    print_tables(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(market: Market, events: Stirrer, calls: int) -> dict[str, dict[str, Any]]:
    """By the number of bids: milliseconds of both, their ratio, and microseconds by stage."""
    clock = Clock()
    wiring.now = lambda: clock.now
    plain = PlainScore(
        market.database_url,
        market.redis_url,
        market.booster,
        market.vocabulary,
        market.quality,
        (WEIGHT, BIAS),
        lambda: clock.now,
    )
    try:

        def ours(event: Answer) -> Answer:
            return handler(event, None)

        theirs: Call = plain.answer
        found = {}
        for bids in SIZES:
            ours(http_event(bundle(BRANDS, f"warm-up-{bids}")))
            agree(bids, clock, ours, theirs)
            found[str(bids)] = {
                **take_turns(bids, max(calls * 100 // max(bids, 100), 20), clock, events, ours, theirs),
                "stages_us": stages(bids, max(calls * 25 // max(bids, 100), 20), clock, events, ours),
                "peak_mb": peak_mb(bids, market),
                **cold(bids, 40, clock, ours),
            }
        return found
    finally:
        plain.close()


def agree(bids: int, clock: Clock, ours: Call, theirs: Call) -> None:
    """Raises AssertionError unless both say the same of every brand."""
    for first in range(0, BRANDS, max(bids, 50)):
        clock.tick()
        event = http_event(bundle(bids, f"agree-{bids}-{first}", first))
        mine, other = (_body(call(event)) for call in (ours, theirs))
        assert mine.pop("model_version") != "packaged-1"
        _same(mine, other, "answer")


def take_turns(
    bids: int, calls: int, clock: Clock, events: Stirrer, ours: Call, theirs: Call
) -> dict[str, float]:
    """Milliseconds per call of both, warm. Ours is called ten times as often."""
    taken: dict[str, list[float]] = {"ours": [], "plain": []}
    worked = 0.0
    for number in range(calls):
        clock.tick()
        events.stir(stirred(bids, number), clock.now)
        event = http_event(bundle(bids, f"turn-{bids}-{number}", number * bids % BRANDS))
        began = time.process_time()
        taken["ours"].append(_timed(ours, event))
        worked += time.process_time() - began
        if number % 10 == 0:
            event = http_event(bundle(bids, f"plain-{bids}-{number}", number * bids % BRANDS))
            taken["plain"].append(_timed(theirs, event))
    mine, plain = (sorted(each[len(each) // 10 :]) for each in taken.values())  # the first calls warm up
    tenths, hundredths = quantiles(mine, n=10), quantiles(mine, n=100)
    return {
        "p50_ms": _ms(median(mine)),
        "p90_ms": _ms(tenths[8]),
        "p99_ms": _ms(hundredths[98]),
        "plain_p50_ms": _ms(median(plain)),
        "ratio": round(median(plain) / median(mine), 1),
        "least_ms": _ms(mine[0]),
        "least_ratio": round(plain[0] / mine[0], 1),
        "per_second": round(len(mine) / sum(mine)),
        "per_cpu_second": round(calls / worked),
    }


def stirred(bids: int, number: int) -> range:
    """One brand in twenty of a bundle: those that something happened to since they were scored last."""
    first = number * bids % BRANDS
    return range(first, first + bids, 20)


def cold(bids: int, calls: int, clock: Clock, ours: Call) -> dict[str, float]:
    """Milliseconds per call when the catalog has to be read from MySQL."""
    redis = wiring.redis_client()
    taken = []
    for number in range(calls):
        clock.tick()
        lost = [key for pattern in COLD for key in redis.scan_iter(pattern, count=1_000)]
        redis.delete(*lost)
        taken.append(_timed(ours, http_event(bundle(bids, f"cold-{bids}-{number}"))))
    return {"cold_p50_ms": _ms(median(taken))}


def stages(bids: int, calls: int, clock: Clock, events: Stirrer, ours: Call) -> dict[str, float]:
    """Median microseconds of each stage; the wrapping adds about a microsecond to each."""
    watch = Stages(PLACES, REST)
    with watch.watching():
        for number in range(calls):
            clock.tick()
            events.stir(stirred(bids, number), clock.now)
            event = http_event(bundle(bids, f"stage-{bids}-{number}", number * bids % BRANDS))
            watch.call(partial(ours, event))
    return watch.medians()


def peak_mb(bids: int, market: Market) -> float:
    """The most memory that a process of its own takes for such bundles, in millions of bytes."""
    environment = {**os.environ, "DATABASE_URL": market.database_url, "REDIS_URL": market.redis_url}
    command = [sys.executable, "-m", "benchmarks.score_alone", str(bids)]
    event = json.dumps(http_event(bundle(bids, "alone"))).encode()
    done = subprocess.run(command, input=event, env=environment, stdout=subprocess.PIPE, check=True)
    return float(done.stdout.split()[-1])


def print_tables(results: dict[str, dict[str, Any]]) -> None:
    columns = [name for name in next(iter(results.values())) if name != "stages_us"]
    print(f"{'bids':>6}" + "".join(f"{name:>16}" for name in columns))
    for bids, figures in results.items():
        print(f"{bids:>6}" + "".join(f"{figures[name]:>16,}" for name in columns))
    hundred = results["100"]["p50_ms"]
    print(f"\n1,000 bids take {results['1000']['p50_ms'] / hundred:.1f} times as long as 100, ", end="")
    print(f"one bid {results['1']['p50_ms'] / hundred:.2f} times\n")
    print(f"{'µs':<24}" + "".join(f"{bids:>10}" for bids in results))
    for stage in results["100"]["stages_us"]:
        spent = [figures["stages_us"][stage] for figures in results.values()]
        print(f"{stage:<24}" + "".join(f"{one:>10,.0f}" for one in spent))


@contextmanager
def quiet() -> Iterator[None]:
    """What the function writes for CloudWatch goes where it costs a write, and nobody's screen."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _timed(call: Call, event: Answer) -> float:
    began = time.perf_counter()
    answer = call(event)
    taken = time.perf_counter() - began
    assert answer["statusCode"] == 200, answer
    return taken


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 3)


def _body(answer: Answer) -> Answer:
    found: Answer = json.loads(answer["body"])
    return found


def _same(mine: Any, other: Any, where: str) -> None:
    if isinstance(mine, dict):
        assert mine.keys() == other.keys(), f"{where}: {mine.keys() ^ other.keys()}"
        for name in mine:
            _same(mine[name], other[name], f"{where}.{name}")
    elif isinstance(mine, list):
        assert len(mine) == len(other), where
        for place, (one, another) in enumerate(zip(mine, other, strict=True)):
            _same(one, another, f"{where}[{place}]")
    elif isinstance(mine, float):
        assert isclose(mine, other, rel_tol=TOLERANCE, abs_tol=1e-15), f"{where}: {mine} and {other}"
    else:
        assert mine == other, f"{where}: {mine} and {other}"


if __name__ == "__main__":
    main()
