"""One minute's steering, with its inputs and outputs: see `adbid.domain.steering_step` for the rules.

What people set, the nightly prices and the trailing windows come from MySQL, what is promised from the
ledger, the traffic curves and the last minute's state from Redis. The next state, the prices and the gauges
go to Redis, in this order: a minute that comes too late, after a later one, changes nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError

from adbid.data import portfolio, windows
from adbid.data.database import Database
from adbid.data.gauges import Gauge, Gauges, GaugeStore
from adbid.data.ledger import Ledger
from adbid.data.portfolio import Goal, Night
from adbid.data.steering import Steering, SteeringStore
from adbid.data.steering_state import StateStore, Stored
from adbid.data.traffic import TrafficStore
from adbid.data.windows import Window
from adbid.domain import pacing
from adbid.domain.ledger import Account, budget_day
from adbid.domain.money import MICROS
from adbid.domain.roas_status import Standing
from adbid.domain.steering_step import ALERT_MINUTES, Seen, Steered, beginning, last_day, realigned, steer

Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

NIGHT_KEPT = timedelta(days=3)
"""An older nightly price is no start any more."""

_STANDINGS = {Standing.UNKNOWN: "unknown", Standing.ON_TARGET: "on_target", Standing.BELOW: "below_target"}
_NAMED_IN_LOG = 20


@dataclass(frozen=True)
class Outcome:
    """What a minute's steering found: how many brands stand how (`paused` ones apart), how many alerts fire,
    and whether the ledger could be read."""

    brands: Mapping[str, int] = field(default_factory=dict)
    alerts: int = 0
    ledger_read: bool = True


class PortfolioSteering:
    """The use case over MySQL and Redis."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        steering: SteeringStore,
        states: StateStore,
        gauges: GaugeStore,
        traffic: TrafficStore,
        *,
        window_days: int,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._steering = steering
        self._states = states
        self._gauges = gauges
        self._traffic = traffic
        self._window_days = window_days

    def run(self, now: datetime, minute: int) -> Outcome | None:
        """Steers all brands, once per `minute`; None when this minute or a later one is done already.

        Raises Unavailable without MySQL, RedisError without Redis; both before any price has changed, or in
        the midst of writing them, which the next minute makes good.
        """
        with self._database.read() as connection:
            goals = portfolio.goals(connection)
            todays = _todays(goals, now)
            past = windows.windows(connection, todays, self._window_days)
            nights = portfolio.latest_nights(connection, now.date() - NIGHT_KEPT)
        stored = self._states.get()
        committed, granted = self._committed(goals, todays, past)
        seen = self._seen(goals, todays, past, nights, committed, granted, now, minute)
        brands = [goal.id for goal in goals]
        state = beginning(len(brands))
        if stored is not None:
            if stored.state.minute >= minute:
                return None
            state = realigned(stored.state, stored.brands, brands)
        after, steered = steer(state, seen)
        if not self._states.put(Stored(brands, after)):
            return None
        prices = np.stack([steered.nu, steered.mu, steered.caution]).T.tolist()
        self._steering.put({brand: Steering(*one) for brand, one in zip(brands, prices, strict=True)})
        self._gauges.put(Gauges(now, _gauges(brands, seen, steered)))
        _log_alerts(brands, after.below)
        return Outcome(
            _counts(seen, steered), int(steered.alert.sum()), not np.isnan(committed[seen.active]).any()
        )

    def _committed(
        self, goals: Sequence[Goal], todays: Mapping[str, date], past: Mapping[str, Window]
    ) -> tuple[Array, Array]:
        """Of each brand's day what is spent and reserved, NaN where the ledger should know and can't say, and
        what was ever granted; 0 where spend isn't limited."""
        found, granted = np.zeros(len(goals)), np.zeros(len(goals))
        limited = [(row, goal) for row, goal in enumerate(goals) if goal.daily_budget is not None]
        if not limited:
            return found, granted
        accounts: Mapping[tuple[str, date], Account] = {}
        try:
            alive = self._ledger.alive()
            if alive:
                accounts = self._ledger.accounts([(goal.id, todays[goal.id]) for _, goal in limited])
        except RedisError as error:
            logger.warning("the ledger cannot be read: %s", error)
            alive = False
        for row, goal in limited:
            if not alive:
                found[row] = np.nan
                continue
            account, window = accounts[goal.id, todays[goal.id]], past.get(goal.id)
            told = account.revision > 0 or window is None  # else MySQL alone knows what was spent
            spent = account.spent / MICROS if told or window is None else float(window.spent)
            found[row] = spent + account.reserved / MICROS
            granted[row] = account.granted / MICROS
        return found, granted

    def _seen(
        self,
        goals: Sequence[Goal],
        todays: Mapping[str, date],
        past: Mapping[str, Window],
        nights: Mapping[str, Night],
        committed: Array,
        granted: Array,
        now: datetime,
        minute: int,
    ) -> Seen:
        curves = self._traffic.read_all().curves([goal.id for goal in goals])
        days, shares = pacing.today(curves, [goal.timezone for goal in goals], now)
        rows = [past.get(goal.id) or windows.nothing(todays[goal.id]) for goal in goals]
        solved = [nights.get(goal.id) for goal in goals]
        paid = np.array([(*one.total, *one.last, *one.before) for one in rows], dtype=np.float64)
        total, last, before = np.split(paid.reshape(-1, 9).T, 3)
        recent = last_day(last, before, shares)
        budgets = [np.inf if goal.daily_budget is None else float(goal.daily_budget) for goal in goals]
        ran = [one.days_run(share, self._window_days) for one, share in zip(rows, shares, strict=True)]
        return Seen(
            minute=minute,
            window_days=float(self._window_days),
            day=np.array([day.toordinal() for day in days], dtype=np.int64),
            share=shares,
            active=np.array([goal.status == "active" for goal in goals], dtype=np.bool_),
            target=np.array([goal.target_roas for goal in goals], dtype=np.float64),
            budget=np.array(budgets, dtype=np.float64),
            committed=committed,
            granted=granted,
            conversions=total[0],
            cost=total[1],
            revenue=total[2],
            impressions=np.array([one.impressions for one in rows], dtype=np.float64),
            days_run=np.array(ran, dtype=np.float64),
            day_conversions=recent[0],
            day_cost=recent[1],
            day_revenue=recent[2],
            night=np.array([one.day.toordinal() if one else 0 for one in solved], dtype=np.int64),
            night_nu=np.array([one.nu if one else 0.0 for one in solved], dtype=np.float64),
            night_mu=np.array([one.mu if one else 0.0 for one in solved], dtype=np.float64),
        )


def _todays(goals: Sequence[Goal], now: datetime) -> dict[str, date]:
    local = {timezone: budget_day(now, timezone) for timezone in {goal.timezone for goal in goals}}
    return {goal.id: local[goal.timezone] for goal in goals}


def _gauges(brands: Sequence[str], seen: Seen, steered: Steered) -> dict[str, Gauge]:
    roas = np.divide(seen.revenue, seen.cost, out=np.full_like(seen.cost, np.nan), where=seen.cost > 0.0)
    left = np.where(np.isfinite(seen.budget), seen.budget - seen.committed, np.nan)
    columns = (roas, seen.target, np.maximum(left, 0.0), steered.below_probability)
    rows = zip(brands, *(column.tolist() for column in columns), strict=True)
    marks = zip(steered.standing.tolist(), steered.alert.tolist(), strict=True)
    return {
        brand: Gauge(now, target, over, below, Standing(stands), alert)
        for (brand, now, target, over, below), (stands, alert) in zip(rows, marks, strict=True)
    }


def _counts(seen: Seen, steered: Steered) -> dict[str, int]:
    counts = {
        name: int((seen.active & (steered.standing == stands)).sum()) for stands, name in _STANDINGS.items()
    }
    return {**counts, "paused": int((~seen.active).sum())}


def _log_alerts(brands: Sequence[str], below: NDArray[np.int64]) -> None:
    """Says once of each brand that its alert began to fire."""
    fresh = [brands[row] for row in np.flatnonzero(below == ALERT_MINUTES).tolist()]
    if fresh:
        named = ", ".join(fresh[:_NAMED_IN_LOG])
        logger.warning(
            "%d brands are below their target ROAS for %d minutes: %s", len(fresh), ALERT_MINUTES, named
        )
