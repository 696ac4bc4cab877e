"""The monitor's minute: the ledger looked after, every brand steered, and what was left behind caught up
with.

Each part fails by itself: that is logged, told under `degraded`, and never stops the others. A part that was
missed is made good by the next minute, because each begins from what is, not from what the last one did.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import TypeVar

from redis.exceptions import RedisError
from sqlalchemy import Connection

from adbid.data import events, ledger_snapshots, outbox, portfolio, rebuild, sealing
from adbid.data.counters import Counters
from adbid.data.database import Database
from adbid.data.ledger import Ledger
from adbid.data.outbox import Outbox
from adbid.data.steering_state import StateStore
from adbid.data.traffic import TrafficStore
from adbid.domain.errors import Unavailable
from adbid.engine.steering import Outcome, PortfolioSteering
from adbid.eyes import traces

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIME = 45.0
"""Seconds that a minute may take: the rest of it is the next one's start."""

_RESTORING = 20.0  # seconds, of lost ledger or lost sums
_LEARNING = 5.0  # of traffic curves
_SEALING = 10.0  # of days that are over
_DRAINED_AT_ONCE = 200
_PURGED_AT_ONCE = 1_000
_PURGES = 5  # a minute, of events and of deltas
_SPENT_SINCE = timedelta(days=1)  # of days before, what changes them tells the ledger itself


@dataclass(frozen=True)
class Report:
    """One minute. `done` is False when somebody else was at it; degraded: the parts that failed.

    steering: None where it failed. event_lag: seconds since the newest event happened, None without any.
    """

    minute: int
    done: bool
    degraded: tuple[str, ...] = ()
    steering: Outcome | None = None
    event_lag: float | None = None
    released: int = 0
    caught_up: int = 0
    seconds: float = 0.0


@dataclass
class _Minute:
    """The minute as far as it has come."""

    now: datetime
    end: float
    degraded: list[str] = field(default_factory=list)

    def deadline(self, seconds: float) -> float:
        """For a part that may take so long, unless the minute is over before."""
        return min(time.monotonic() + seconds, self.end)

    def attempt(self, part: str, work: Callable[[], T]) -> T | None:
        """What `work` returns; None when it failed."""
        try:
            with traces.span(part):
                return work()
        except (RedisError, Unavailable) as error:
            logger.warning("monitor: %s failed: %s", part, error)
        except Exception:
            logger.exception("monitor: %s failed", part)
        self.degraded.append(part)
        return None


class Monitoring:
    """The use case, over everything that is kept."""

    def __init__(
        self,
        database: Database,
        counters: Counters,
        ledger: Ledger,
        steering: PortfolioSteering,
        states: StateStore,
        traffic: TrafficStore,
    ) -> None:
        self._database = database
        self._counters = counters
        self._outbox = Outbox(database, counters)
        self._ledger = ledger
        self._steering = steering
        self._states = states
        self._traffic = traffic
        self._lives: list[bytes | None] = []
        self._told: dict[tuple[str, date], int] = {}  # revisions, of the ledger that `_lives` marks

    def run(self, now: datetime) -> Report:
        """One minute's work. The same minute a second time, even at the same moment, changes nothing.

        Without Redis nobody can claim the minute; what then still happens may happen twice without harm.
        """
        started = time.monotonic()
        number = int(now.timestamp()) // 60
        minute = _Minute(now, started + TIME)
        if minute.attempt("claim", lambda: self._states.claim(number)) is False:
            return Report(number, done=False)
        minute.attempt("ledger_restore", partial(self._restore_ledger, minute))
        released = minute.attempt("ledger_sweep", lambda: self._ledger.sweep(now))
        minute.attempt("ledger_spent", partial(self._tell_spent, now))
        minute.attempt("ledger_snapshot", lambda: ledger_snapshots.take(self._database, self._ledger, now))
        steered = minute.attempt("steering", lambda: self._steering.run(now, number))
        if steered is not None and not steered.ledger_read:
            minute.degraded.append("ledger_read")
        minute.attempt("traffic", partial(self._learn_traffic, minute))
        caught_up = minute.attempt("counters", partial(self._catch_up, minute))
        minute.attempt("purge", partial(self._purge, now))
        minute.attempt("seal", lambda: sealing.seal(self._database, now, minute.deadline(_SEALING)))
        lag = minute.attempt("event_lag", partial(self._event_lag, now))
        return Report(
            number,
            done=True,
            degraded=tuple(minute.degraded),
            steering=steered,
            event_lag=lag,
            released=released or 0,
            caught_up=caught_up or 0,
            seconds=time.monotonic() - started,
        )

    def _restore_ledger(self, minute: _Minute) -> None:
        if self._ledger.alive():
            return
        restored = ledger_snapshots.restore(
            self._database, self._ledger, minute.now, minute.deadline(_RESTORING)
        )
        if not restored:
            raise Unavailable("ledger_restoring", "The ledger is not restored yet.")

    def _tell_spent(self, now: datetime) -> None:
        """Puts what MySQL says was spent where it is newer than what the ledger holds; all of it after a
        loss, and when this process begins."""
        lives = self._ledger.lives()
        if lives != self._lives:
            self._lives, self._told = lives, {}
        with self._database.read() as connection:
            spent = portfolio.spent(connection, (now - _SPENT_SINCE).date())
        news = [one for one in spent if self._told.get((one.brand_id, one.day)) != one.revision]
        self._ledger.settle((), news, now)
        self._told = {(one.brand_id, one.day): one.revision for one in spent}

    def _learn_traffic(self, minute: _Minute) -> None:
        with self._database.read() as connection:
            timezones = {goal.id: goal.timezone for goal in portfolio.goals(connection)}
        self._traffic.advance(self._database, timezones, minute.now, minute.deadline(_LEARNING))

    def _catch_up(self, minute: _Minute) -> int:
        """Makes the sums in Redis those of MySQL: rebuilt where they are lost, and with every delta that was
        left behind. How many deltas it were."""
        now = minute.now
        if rebuild.ensure_current(self._database, self._counters, now, minute.deadline(_RESTORING)) is None:
            raise Unavailable("counters_unavailable", "The sums in Redis are lost, and not rebuilt yet.")
        caught_up = 0
        while time.monotonic() < minute.end:
            generation = self._outbox.generation()  # before the deltas are looked up: see `adbid.data.outbox`
            if generation is None:
                break
            added = self._outbox.drain(generation, now, _DRAINED_AT_ONCE)
            caught_up += added
            if added < _DRAINED_AT_ONCE:
                break
        return caught_up

    def _purge(self, now: datetime) -> None:
        """Forgets what is old, a part each minute: no long transaction, no long lock."""
        works: tuple[Callable[[Connection], int], ...] = (
            lambda connection: events.purge(connection, now, _PURGED_AT_ONCE),
            lambda connection: outbox.purge(connection, now),
        )
        for work in works:
            for _ in range(_PURGES):
                if self._database.transaction(work) < _PURGED_AT_ONCE:
                    break

    def _event_lag(self, now: datetime) -> float | None:
        with self._database.read() as connection:
            newest = portfolio.newest_event(connection)
        return None if newest is None else max((now - newest).total_seconds(), 0.0)
