"""The counters and gauges that all instances share, in Redis, for GET /metrics.

`metrics:counters` is a hash of sums by series (`bid_requests_total{model="CPA"}`), `metrics:gauges` one of
values, gone ten minutes after the last was set. Sums never expire; a Redis that was emptied begins at 0,
which Prometheus takes for a restart.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from adbid.data.wire import packed, post, settle

COUNTERS = "metrics:counters"
GAUGES = "metrics:gauges"
GAUGE_SECONDS = 600
LEFT_ALONE_SECONDS = 5.0

# KEYS: counters, gauges; ARGV: how many counters, then names and values of both.
_ADD = f"""
local last = 1 + 2 * ARGV[1]
for i = 2, last, 2 do redis.call('HINCRBYFLOAT', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = last + 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
if #ARGV > last then redis.call('EXPIRE', KEYS[2], {GAUGE_SECONDS}) end
"""

_SKIP = b"*3\r\n" + packed("CLIENT", "REPLY", "SKIP")
_ADDING = packed("EVAL", _ADD, "2", COUNTERS, GAUGES)


class SharedMetrics:
    """Adds to them and reads them. `is_down` says that Redis has just failed, so that it isn't tried."""

    def __init__(
        self,
        redis: Redis,
        is_down: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._is_down = is_down
        self._clock = clock
        self._left_alone_until = float("-inf")

    def add(self, counters: Mapping[str, float], gauges: Mapping[str, float]) -> bool:
        """Sends one message and doesn't wait: no round trip, and nothing is known of what becomes of it.

        False when Redis has failed a moment ago; raises RedisError when it can't be sent.
        """
        if self._is_down() or self._clock() < self._left_alone_until:
            return False
        pairs = [str(text) for numbers in (counters, gauges) for pair in numbers.items() for text in pair]
        try:
            # REPLY SKIP holds for the next command alone: nothing comes back that would have to be read.
            post(
                self._redis,
                _SKIP + b"*%d\r\n" % (6 + len(pairs)) + _ADDING + packed(str(len(counters)), *pairs),
            )
        except RedisError:
            self._left_alone_until = self._clock() + LEFT_ALONE_SECONDS
            raise
        return True

    def read(self) -> tuple[dict[str, float], dict[str, float]]:
        """Counters and gauges by series, with all that this process has added. Raises RedisError."""
        settle(self._redis)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hgetall(COUNTERS)
        pipeline.hgetall(GAUGES)
        counters, gauges = pipeline.execute()
        return _numbers(counters), _numbers(gauges)


def _numbers(stored: Mapping[bytes, Any]) -> dict[str, float]:
    return {series.decode(): float(value) for series, value in stored.items()}
