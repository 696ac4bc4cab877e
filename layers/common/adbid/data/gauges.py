"""What the monitor last saw of each brand, in Redis: the gauges that GET /metrics and the portfolio read.

`gauges:brands` is a hash of all brands, replaced as a whole every minute and gone ten minutes after the last
one. A brand's field is its id, its value packed little-endian: four doubles (ROAS now, its target, what is
left of the day's budget, P(ROAS < target); NaN where unknown or without a budget) and two bytes
(`roas_status.Standing`, and 1 while its alert fires). The field "" holds the time of the minute, as epoch
seconds in text.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from adbid.domain.roas_status import Standing

KEY = "gauges:brands"
TTL_SECONDS = 600

_PACKED = struct.Struct("<4d2B")
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Gauge:
    """One brand's. roas: revenue ÷ cost over the trailing window. Numbers are NaN where unknown."""

    roas: float
    target: float
    budget_left: float
    below_probability: float
    standing: Standing
    alert: bool


@dataclass(frozen=True, slots=True)
class Gauges:
    """The gauges of brands, as of `at`."""

    at: datetime
    brands: Mapping[str, Gauge]


class GaugeStore:
    """Replaces and reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def put(self, gauges: Gauges) -> None:
        """Replaces all gauges at once; a brand that isn't among them has none any more."""
        values = {brand: _pack(gauge) for brand, gauge in gauges.brands.items()}
        fresh = f"{KEY}:{gauges.at.timestamp():.0f}"  # of this minute alone: nobody else writes it
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(fresh)
        pipeline.hset(fresh, "", str(gauges.at.timestamp()))
        names = list(values)
        for start in range(0, len(names), _AT_ONCE):
            some: Any = {name: values[name] for name in names[start : start + _AT_ONCE]}
            pipeline.hset(fresh, mapping=some)
        pipeline.expire(fresh, TTL_SECONDS)
        pipeline.rename(fresh, KEY)
        pipeline.execute()

    def read(self, brands: Sequence[str] | None = None) -> Gauges | None:
        """The gauges of `brands` (None: of all); None when the monitor hasn't run for ten minutes."""
        if brands is None:
            stored: Any = self._redis.hgetall(KEY)
        else:
            fields = [b"", *(brand.encode() for brand in brands)]
            stored = dict(zip(fields, self._redis.hmget(KEY, fields), strict=True))
        at = stored.pop(b"", None)
        if at is None:
            return None
        known = {brand.decode(): _unpack(value) for brand, value in stored.items() if value is not None}
        return Gauges(datetime.fromtimestamp(float(at), UTC), known)


def _pack(gauge: Gauge) -> bytes:
    numbers = (gauge.roas, gauge.target, gauge.budget_left, gauge.below_probability)
    return _PACKED.pack(*numbers, gauge.standing, gauge.alert)


def _unpack(value: bytes) -> Gauge:
    roas, target, left, probability, standing, alert = _PACKED.unpack(value)
    return Gauge(roas, target, left, probability, Standing(standing), bool(alert))
