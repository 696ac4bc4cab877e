"""Each brand's traffic by local quarter hour, for its day's curve: learned from `performance` as it grows.

The hash `traffic` in Redis holds per brand 96 little-endian floats, impressions of past days, each day
counting half as much as one a week newer (so two weeks are most of it). Its field "" says up to when they
were counted. Six hours are added at a time, an hour after they are over; a lost hash is filled again from
the last two weeks, as far as each minute has time.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import Redis
from sqlalchemy import func, select

from adbid.data.database import Database
from adbid.data.tables import performance
from adbid.domain.pacing import QUARTERS, quarter_of_day, traffic_curve

Array = NDArray[np.float64]

KEY = "traffic"
PAST = timedelta(days=14)
HALF_LIFE = timedelta(days=7)
TTL_SECONDS = 30 * 86_400

_STEP = timedelta(hours=6)
_SETTLED = timedelta(hours=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALL = b" "  # the sum over all brands; no brand's id is a blank
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Traffic:
    """Impressions by local quarter hour: of all brands together [96], and of those that have any."""

    until: datetime
    everyone: Array
    brands: Mapping[str, Array]

    def curves(self, brands: Sequence[str]) -> Array:
        """[brands, 96]: the shares of a day's traffic; of a brand without a past, the portfolio's."""
        nothing = np.zeros(QUARTERS)
        own = np.array([self.brands.get(brand, nothing) for brand in brands]).reshape(-1, QUARTERS)
        return traffic_curve(own, self.everyone)


NO_TRAFFIC = Traffic(_EPOCH, np.zeros(QUARTERS), {})


class TrafficStore:
    """Reads and extends it. One per process: it remembers what it last read of all brands."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._known = NO_TRAFFIC

    def read(self, brands: Sequence[str]) -> Traffic:
        """The traffic of `brands`."""
        fields = [b"", _ALL, *(brand.encode() for brand in brands)]
        stored: list[Any] = self._redis.hmget(KEY, fields)
        until, everyone, *rows = stored
        if until is None or everyone is None:
            return NO_TRAFFIC
        known = {brand: _row(row) for brand, row in zip(brands, rows, strict=True) if row is not None}
        return Traffic(_moment(until), _row(everyone), known)

    def read_all(self) -> Traffic:
        """That of all brands, from memory as long as nothing was added to it."""
        until: Any = self._redis.hget(KEY, "")
        if until is None:
            self._known = NO_TRAFFIC
        elif _moment(until) != self._known.until:
            stored: Any = self._redis.hgetall(KEY)
            until, everyone = stored.pop(b"", None), stored.pop(_ALL, None)
            if until is None or everyone is None:
                return NO_TRAFFIC
            brands = {brand.decode(): _row(row) for brand, row in stored.items()}
            self._known = Traffic(_moment(until), _row(everyone), brands)
        return self._known

    def forget(self) -> None:
        """Has the past counted anew: for who has brought in history that is older than what was counted."""
        self._redis.delete(KEY)

    def advance(
        self, database: Database, timezones: Mapping[str, str], now: datetime, deadline: float
    ) -> Traffic:
        """Counts what has happened since, of the brands in `timezones`, until nothing is left to count or
        `deadline` (a reading of `time.monotonic()`) is near; the traffic of all brands then."""
        traffic = self.read_all()
        reached = _six_hours(now - _SETTLED)
        since = max(traffic.until, _six_hours(now - PAST))
        if since >= reached:
            return traffic
        ids = sorted(timezones)
        counts = np.array([traffic.brands.get(brand, np.zeros(QUARTERS)) for brand in ids])
        counts = counts.reshape(-1, QUARTERS) * _kept(since - traffic.until)
        places = {brand: place for place, brand in enumerate(ids)}
        start = since
        try:
            while since < reached and time.monotonic() < deadline:
                more = _count(database, places, timezones, since)
                counts = counts * _kept(_STEP) + more
                since += _STEP
        finally:  # what was counted is kept, also when the next six hours can't be read
            if since > start:
                rows = {brand: row for brand, row in zip(ids, counts, strict=True) if row.any()}
                self._replace(Traffic(since, counts.sum(axis=0), rows))
        return self._known

    def _replace(self, traffic: Traffic) -> None:
        fresh = f"{KEY}:{traffic.until.timestamp():.0f}"
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(fresh)
        head: Any = {"": f"{traffic.until.timestamp():.0f}", _ALL: _packed(traffic.everyone)}
        pipeline.hset(fresh, mapping=head)
        ids = list(traffic.brands)
        for start in range(0, len(ids), _AT_ONCE):
            some: Any = {brand: _packed(traffic.brands[brand]) for brand in ids[start : start + _AT_ONCE]}
            pipeline.hset(fresh, mapping=some)
        pipeline.expire(fresh, TTL_SECONDS)
        pipeline.rename(fresh, KEY)
        pipeline.execute()
        self._known = traffic


def _count(
    database: Database, places: Mapping[str, int], timezones: Mapping[str, str], since: datetime
) -> Array:
    """[brands, 96]: the impressions of the six hours from `since` on, by local quarter hour."""
    row = performance.c
    query = (
        select(row.brand_id, row.bucket_start, func.sum(row.impressions))
        .where(row.bucket_start >= since, row.bucket_start < since + _STEP)
        .group_by(row.brand_id, row.bucket_start)
    )
    counts = np.zeros((len(places), QUARTERS))
    quarters: dict[tuple[str, datetime], int] = {}
    with database.read() as connection:
        for brand, bucket, impressions in connection.execute(query):
            place = places.get(brand)
            if place is None:
                continue
            local = (timezones[brand], bucket)
            quarter = quarters.get(local)
            if quarter is None:
                quarter = quarters[local] = quarter_of_day(bucket, timezones[brand])
            counts[place, quarter] += max(float(impressions), 0.0)
    return counts


def _kept(age: timedelta) -> float:
    return float(2.0 ** -(age / HALF_LIFE)) if age < timedelta(days=365) else 0.0


def _six_hours(at: datetime) -> datetime:
    return _EPOCH + (at - _EPOCH) // _STEP * _STEP


def _moment(text: bytes) -> datetime:
    return datetime.fromtimestamp(float(text), UTC)


def _packed(row: Array) -> bytes:
    return row.astype("<f4").tobytes()


def _row(packed: bytes) -> Array:
    return np.frombuffer(packed, dtype="<f4").astype(np.float64)
