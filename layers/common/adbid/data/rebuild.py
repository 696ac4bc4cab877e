"""The sums in Redis made anew from MySQL: after Redis has lost them, and when their landmark is old.

Events keep coming in meanwhile. What a snapshot of the database holds is summed up; what it doesn't hold is
added afterwards. `adbid.data.outbox` says why nothing is counted twice or missed.
"""

import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import numpy as np
from numpy.typing import NDArray
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection

from adbid.data import history, outbox
from adbid.data.counters import POINTER, WIDTH, Counters, Generation
from adbid.data.database import Database
from adbid.domain.decay import LANDMARK_LIFETIME, age_days, quarter_hour
from adbid.domain.errors import Unavailable

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]
Progress = Callable[[int], None]
"""Called now and then with the number of rows read since the last call."""

LOCK = "cells:rebuilding"
UNFINISHED = "cells:unfinished"
"""Names the generation that late events are still being added to. Found later, its rebuild has died."""

_LOCK_SECONDS = 60  # a rebuild that shows no sign of life for so long is dead
_AHEAD = timedelta(days=1)  # events may be a little ahead of our clock
_CELLS_PER_WRITE = 1_000
_IDS_PER_REPORT = 500

# KEYS: lock; ARGV: token, lifetime (0: let go). 1 when the lock was still ours.
_HOLD = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
"""

# KEYS: lock, pointer, unfinished; ARGV: token, new pointer, name. 0: the lock is lost (an emptied Redis).
_PUBLISH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], ARGV[3])
return 1
"""


def ensure_current(
    database: Database, counters: Counters, now: datetime, deadline: float | None = None
) -> Generation | None:
    """The current generation, rebuilt when it is missing, unfinished or old (`decay.LANDMARK_LIFETIME`).

    An old one goes on serving while it is rebuilt elsewhere, or can't be. None when there is none and it
    can't be had now: another process is at it, time ran out, or the database or Redis is down.
    """
    try:
        current = counters.current()
        fresh = current is not None and now - current.landmark < LANDMARK_LIFETIME
        if current is not None and fresh and counters.redis.get(UNFINISHED) != current.name.encode():
            return current
    except RedisError as error:
        logger.warning("the sums cannot be reached: %s", error)
        return None
    try:
        return rebuild(database, counters, now, deadline)
    except (Unavailable, RedisError) as error:
        logger.warning("the sums are not rebuilt: %s", error)
        return current


def rebuild(
    database: Database,
    counters: Counters,
    now: datetime,
    deadline: float | None = None,
    progress: Progress | None = None,
) -> Generation:
    """Sums up all rows within `history.HORIZON` as a new generation, and makes it the current one.

    Memory grows with the number of distinct cells, not of rows. `deadline` is a reading of
    `time.monotonic()`. Raises Unavailable when another process is rebuilding, when the deadline has passed
    before the sums were complete, when Redis was emptied meanwhile or the database can't be reached;
    RedisError when Redis can't. The sums that served before then go on serving.
    """
    generation = Generation.new(quarter_hour(now))
    lock = _Lock(counters.redis, deadline)
    try:
        with database.read() as connection:
            if connection.dialect.name != "sqlite":  # there every read transaction is a snapshot
                connection.execution_options(isolation_level="REPEATABLE READ")
            shown = outbox.seen(connection, now)  # the first query: nothing changes from here on
            names, sums = _sum_up(connection, generation.landmark, now, lock, progress)
            waiting = []
            for number, increments in outbox.pending(connection):
                counters.mark(generation, str(number), increments)
                lock.keep()
                waiting.append(number)
        for start in range(0, len(names), _CELLS_PER_WRITE):
            lock.keep()
            part = slice(start, start + _CELLS_PER_WRITE)
            counters.write(generation, names[part], sums[part])
        lock.publish(generation)
        late = _add_late(database, counters, generation, shown, now)
        _report(database, [*waiting, *late], now)
        counters.redis.delete(UNFINISHED)
        counters.discard_others(generation)
    except BaseException:
        with suppress(RedisError):
            if not lock.published:
                counters.discard(generation)
        raise
    finally:
        with suppress(RedisError):
            lock.release()
    logger.info("rebuilt the sums of %d cells; %d deltas came in meanwhile", len(names), len(late))
    return generation


def _sum_up(
    connection: Connection, landmark: datetime, now: datetime, lock: "_Lock", progress: Progress | None
) -> tuple[list[str], Array]:
    """The cells of all rows, and their forward-decayed sums: [cells, H·M]."""
    numbers: dict[tuple[str, ...], int] = {}
    sums = np.zeros((1024, WIDTH))
    for chunk in history.stream(connection, now - history.HORIZON, now + _AHEAD):
        rows = [numbers.setdefault(path, len(numbers)) for path in chunk.paths]
        while len(sums) < len(numbers):
            sums = np.concatenate([sums, np.zeros_like(sums)])
        touched, groups = np.unique(rows, return_inverse=True)
        ages = np.array([age_days(landmark, start) for start in chunk.bucket_start])
        gained = history.decayed_sums(groups, len(touched), ages, chunk.measures)
        sums[touched] += gained.reshape(-1, WIDTH)
        lock.keep()
        if progress is not None:
            progress(len(rows))
    return _roll_up(numbers, sums)


def _roll_up(numbers: Mapping[tuple[str, ...], int], sums: Array) -> tuple[list[str], Array]:
    """From the finest cells to those of every level."""
    places: dict[str, int] = {}
    rows: list[int] = []
    cells: list[int] = []
    for path, number in numbers.items():
        for cell in history.cells_of(path):
            if cell is not None:
                rows.append(number)
                cells.append(places.setdefault(cell, len(places)))
    row, cell_of = np.array(rows, dtype=np.intp), np.array(cells, dtype=np.intp)
    totals = np.empty((len(places), WIDTH))
    for column in range(WIDTH):
        totals[:, column] = np.bincount(cell_of, sums[row, column], len(places))
    return list(places), totals


def _add_late(
    database: Database, counters: Counters, generation: Generation, shown: Collection[int], now: datetime
) -> list[int]:
    """Adds the deltas that the snapshot didn't show; their numbers."""
    late: list[int] = []
    with database.read() as connection:
        for number, increments in outbox.missing(connection, shown, now):
            counters.add(generation, str(number), increments)
            late.append(number)
    return late


def _report(database: Database, numbers: Sequence[int], now: datetime) -> None:
    for start in range(0, len(numbers), _IDS_PER_REPORT):
        part = numbers[start : start + _IDS_PER_REPORT]
        database.transaction(partial(outbox.report, numbers=part, now=now))


class _Lock:
    """One rebuild at a time, and none past its deadline. Raises Unavailable when it can't be had or kept."""

    def __init__(self, redis: Redis, deadline: float | None) -> None:
        self._redis = redis
        self._deadline = deadline
        self._token = secrets.token_hex(16)
        self._hold = redis.register_script(_HOLD)
        self._publish = redis.register_script(_PUBLISH)
        self.published = False
        if not redis.set(LOCK, self._token, nx=True, ex=_LOCK_SECONDS):
            raise Unavailable("rebuild_running", "Another process is rebuilding the sums.", retry_after=5)

    def keep(self) -> None:
        """Shows a sign of life."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise Unavailable("rebuild_timed_out", "There was not enough time to rebuild the sums.")
        if not self._hold(keys=[LOCK], args=[self._token, _LOCK_SECONDS]):
            raise _interrupted()

    def publish(self, generation: Generation) -> None:
        """Makes `generation` current, if Redis still holds what was written since the lock was taken."""
        self.published = True  # should no answer come: a generation that may be current isn't discarded
        args: list[str | bytes] = [self._token, generation.pointer, generation.name]
        if not self._publish(keys=[LOCK, POINTER, UNFINISHED], args=args):
            self.published = False
            raise _interrupted()

    def release(self) -> None:
        self._hold(keys=[LOCK], args=[self._token, 0])


def _interrupted() -> Unavailable:
    return Unavailable("rebuild_interrupted", "Redis was emptied while the sums were being rebuilt.")
