"""The ingest function's part of the market, in a process of its own, as it has in production.

    DATABASE_URL=… REDIS_URL=… python -m benchmarks.score_stir

Each line of standard input is the first, the last and the step of some brands' numbers, and the time at which
something happens to them. A line comes back when it is counted.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from benchmarks.score_market import Market, stir


class Stirrer:
    """Lets things happen to brands, and waits until they are counted."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def stir(self, brands: range, now: datetime) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(brands.start, brands.stop, brands.step, now.isoformat(), file=self._process.stdin, flush=True)
        assert self._process.stdout.readline(), "the process that counts has ended"


@contextmanager
def stirrer(market: Market) -> Iterator[Stirrer]:
    environment = {**os.environ, "DATABASE_URL": market.database_url, "REDIS_URL": market.redis_url}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.score_stir"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield Stirrer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    for line in sys.stdin:
        start, stop, step, now = line.split()
        stir(range(int(start), int(stop), int(step)), datetime.fromisoformat(now))
        print(flush=True)


if __name__ == "__main__":
    main()
