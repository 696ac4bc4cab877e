"""How long GET /api/roas and GET /api/metrics/vpi take over many rows of `performance`.

    python -m benchmarks.reporting --rows 10000000 --json OUT

Thirty days of a made-up market in an empty MySQL database: one day's rows are made here and copied to the
others by the server, then migration 0005 adds them up, as it does on an installation that has a past. The
requests go through the function itself; with them, what a score asks MySQL while Redis is down. With --keep a
second run finds the rows of the first.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from sqlalchemy import create_engine, text

from benchmarks import reporting_market as market
from tests.support.servers import fresh_database, mysql_server, redis_server

_MEMORY = 4 << 30

Call = Callable[[], None]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reporting", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--database", metavar="URL", help="an empty MySQL database (default: on one of its own)"
    )
    parser.add_argument("--redis", metavar="URL", help="a Redis with nothing in it (default: its own)")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--calls", type=int, default=60, help="of each kind")
    parser.add_argument("--keep", action="store_true", help="the database holds the rows of a run before")
    parser.add_argument(
        "--plain", action="store_true", help="the same sums from `performance` too, once each"
    )
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        os.environ |= {
            "DATABASE_URL": options.database or _own_database(stack),
            "REDIS_URL": options.redis or stack.enter_context(redis_server()),
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
        }
        result = measure(options.rows, options.calls, keep=options.keep, plain=options.plain)
    for name, one in result["calls"].items():
        print(line(name, one))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def line(name: str, one: dict[str, Any]) -> str:
    """One kind of call as text."""
    plain = f", plain {one['plain_ms']:,.0f} ms" if "plain_ms" in one else ""
    times = (f"{label} {one[f'{label}_ms']:8.2f} ms" for label in ("p50", "p99", "least"))
    return f"{name:36} {', '.join(times)}{plain}"


def _own_database(stack: ExitStack) -> str:
    """On a server with memory for all that is asked about, as production's has."""
    server = stack.enter_context(mysql_server(durable=True))
    if not os.environ.get("ADBID_TEST_MYSQL_URL"):
        with create_engine(server).connect() as connection:
            connection.execute(text(f"SET GLOBAL innodb_buffer_pool_size = {_MEMORY}"))
    return stack.enter_context(fresh_database(server))


def measure(rows: int, calls: int, *, keep: bool = False, plain: bool = False) -> dict[str, Any]:
    """Fills the database that the environment names, unless it is kept, and times every kind of call."""
    from adbid import wiring
    from adbid.data.counters import Generation
    from adbid.data.database import Database

    now = datetime.now(UTC)
    random = np.random.default_rng(2)
    found: dict[str, dict[str, float]] = {}
    with Database(os.environ["DATABASE_URL"], statement_timeout=None) as database:
        filled = {} if keep else market.fill(database, rows, now)
        places = market.places(database)
        until = market.newest(database) + timedelta(minutes=8)  # within a quarter hour, as nearly always
        sizes = market.sizes(database)
        wiring.counters().publish(Generation.new(now))
        kinds = {**_roas(places, until, random), **_vpi(places, until, random)}
        kinds |= _evidence(places, until, random, database)
        for name, (make, query) in kinds.items():
            times = max(3, calls // 10) if name.endswith("100 bids") else calls
            found[name] = _figures([_timed(make()) for _ in range(3 + times)][3:])
            if plain and query is not None:
                with database.read() as connection:
                    found[name]["plain_ms"] = round(_timed(partial(query, connection)) * 1e3, 1)
            print(line(name, found[name]), file=sys.stderr, flush=True)
    wiring.close()
    return {"rows": rows, "filled": filled, "sizes": sizes, "calls": found}


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    named = {"p50_ms": p50, "p99_ms": p99, "least_ms": min(seconds)}
    return {name: round(float(one) * 1e3, 2) for name, one in named.items()}


Kinds = dict[str, tuple[Callable[[], Call], Callable[[Any], None] | None]]
"""By name: what makes a call, and the same sums from `performance` on a connection."""


def _roas(places: Sequence[market.Seen], until: datetime, random: np.random.Generator) -> Kinds:
    heaviest = places[0]
    span = {"from": (until - timedelta(days=30)).isoformat(), "to": until.isoformat()}

    def request(one: market.Seen, **context: str) -> Call:
        ids = {"brand_id": one.brand_id, "partner_id": one.partner_id, "slot_id": one.slot_id}
        return _get("/api/roas", {**ids, **span, **context})

    def any_place() -> market.Seen:
        return places[int(random.integers(len(places)))]

    since = until - timedelta(days=30)
    return {
        "roas, any place": (
            lambda: request(any_place()),
            lambda c: market.plain_place(c, any_place(), since),
        ),
        "roas, a device and a creative": (
            lambda: request(any_place(), device_type="d1", creative_type="c1"),
            None,
        ),
        "roas, the busiest place": (
            lambda: request(heaviest),
            lambda c: market.plain_place(c, heaviest, since),
        ),
        "roas, the busiest, a device": (lambda: request(heaviest, device_type="d1"), None),
    }


def _vpi(places: Sequence[market.Seen], until: datetime, random: np.random.Generator) -> Kinds:
    def any_of(*names: str) -> dict[str, str]:
        one = places[int(random.integers(len(places)))]
        return {name: getattr(one, name) for name in names}

    def asked(days: int, granularity: str, *names: str, timezone: str = "UTC", token: Any = None) -> Any:
        since = until - timedelta(days=days)
        span = {"from": since.isoformat(), "to": until.isoformat()}
        return lambda: _get(
            "/api/metrics/vpi",
            {"granularity": granularity, "timezone": timezone, **span, **any_of(*names)},
            token,
        )

    def plain(days: int, *names: str) -> Callable[[Any], None]:
        return lambda c: market.plain_time(c, until - timedelta(days=days), any_of(*names))

    few = {"scope": "brand", "brand_ids": json.dumps([f"b{number}" for number in range(5)])}
    both = {"scope": "brand partner", "brand_ids": '["b0", "b1"]', "partner_ids": '["p1"]'}
    return {
        "vpi, all, 30 days": (asked(30, "day"), plain(30)),
        "vpi, all, 30 days in Kolkata": (asked(30, "day", timezone="Asia/Kolkata"), None),
        "vpi, all, 24 hours": (asked(1, "hour"), plain(1)),
        "vpi, all, 30 days by hour": (asked(30, "hour"), None),
        "vpi, a brand, 30 days": (asked(30, "day", "brand_id"), plain(30, "brand_id")),
        "vpi, a partner, 30 days": (asked(30, "day", "partner_id"), plain(30, "partner_id")),
        "vpi, a slot, 30 days": (asked(30, "day", "slot_id"), plain(30, "slot_id")),
        "vpi, a brand and partner, 30 days": (asked(30, "day", "brand_id", "partner_id"), None),
        "vpi, a brand and slot, 30 days": (asked(30, "day", "brand_id", "slot_id"), None),
        "vpi, a token's 5 brands, 30 days": (asked(30, "day", token=few), None),
        "vpi, brands and a partner, 30 days": (asked(30, "day", token=both), None),
    }


def _evidence(
    places: Sequence[market.Seen], until: datetime, random: np.random.Generator, patient: Any
) -> Kinds:
    from adbid.data.evidence import evidence_before

    def asked(bids: int) -> Callable[[], Call]:
        def make() -> Call:
            some = [places[int(n)] for n in random.integers(0, len(places), bids)]
            paths = [one.path for one in some]

            def call() -> None:
                with patient.read() as connection:
                    evidence_before(connection, paths, until)

            return call

        return make

    return {
        "evidence without Redis, 1 bid": (asked(1), None),
        "evidence without Redis, 100 bids": (asked(100), None),
    }


def _get(path: str, query: dict[str, str], token: dict[str, str] | None = None) -> Call:
    from functions.roas.app import handler

    everything = {"scope": "admin", "brand_ids": '["*"]', "partner_ids": '["*"]'}
    claims = {"sub": "benchmark", "exp": "4102444800", "brand_ids": "[]", "partner_ids": "[]"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": urlencode(query),
        "headers": {"host": "api.example"},
        "requestContext": {
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "benchmark",
            "stage": "$default",
            "authorizer": {"lambda": claims | (token or everything)},
        },
        "isBase64Encoded": False,
    }

    def call() -> None:
        answer = handler(event, None)
        if answer["statusCode"] != 200:
            raise SystemExit(answer["body"])

    return call


def _timed(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
