"""One brand's recent past: its days, today by the quarter hour, and what people changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from redis.exceptions import RedisError

from adbid.data import brand_days, portfolio
from adbid.data.brand_days import BrandDay
from adbid.data.database import Database
from adbid.data.portfolio import Change, Goal, Night
from adbid.data.traffic import NO_TRAFFIC, TrafficStore
from adbid.domain import pacing
from adbid.domain.ledger import budget_day, day_bounds
from adbid.engine.portfolio import visible_goal

MATURE_AFTER = timedelta(days=2)
"""A day's conversions have come when it has been over for so long; until then it is immature."""

LATEST_CHANGES = 50

_ABOUT_OBJECT = {"id", "version", "created_at", "updated_at"}  # of an object's document, not what people set


@dataclass(frozen=True, slots=True)
class Quarter:
    """A quarter hour of a day: what of the day's traffic is expected, and what was spent, by its end. `spent`
    is None while it is still to come."""

    at: datetime
    expected_share: float
    spent: Decimal | None


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a brand, and the prices of the night before it, where one was solved."""

    totals: BrandDay
    immature: bool
    night: Night | None

    @property
    def roas(self) -> float | None:
        return float(self.totals.revenue / self.totals.cost) if self.totals.cost > 0 else None


@dataclass(frozen=True, slots=True)
class Edit:
    """A change that people made, as {field: (old, new)}."""

    change: Change
    changed: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True)
class Record:
    """A brand's recent past."""

    goal: Goal
    days: list[Day]
    today: date
    quarters: list[Quarter]
    edits: list[Edit]


class BrandHistory:
    """Answers from MySQL, and from Redis what traffic is expected: the flat curve while it is down."""

    def __init__(self, database: Database, traffic: TrafficStore) -> None:
        self._database = database
        self._traffic = traffic

    def read(self, brand_id: str, visible: frozenset[str] | None, *, days: int, now: datetime) -> Record:
        """The last `days` days of a brand, from the first of them that anything is known of.

        Raises NotFound for a brand that doesn't exist or isn't visible.
        """
        with self._database.read() as connection:
            goal = visible_goal(portfolio.goal(connection, brand_id), brand_id, visible)
            today = budget_day(now, goal.timezone)
            since = today - timedelta(days=days - 1)
            start, end = day_bounds(today, goal.timezone)
            past = {one.day: one for one in brand_days.of_brand(connection, brand_id, since)}
            nights = portfolio.nights(connection, brand_id, since)
            costs = portfolio.costs(connection, brand_id, start, end)
            changes = portfolio.changes(connection, brand_id, goal.strategy_id, LATEST_CHANGES)
        first = min([*past, *nights, today])
        span = [first + timedelta(days=number) for number in range((today - first).days + 1)]
        return Record(
            goal,
            [
                Day(
                    past.get(day) or _empty(brand_id, day),
                    now < day_bounds(day, goal.timezone)[1] + MATURE_AFTER,
                    nights.get(day),
                )
                for day in span
            ],
            today,
            self._quarters(goal, today, costs, now),
            [_edit(change) for change in changes],
        )

    def _quarters(
        self, goal: Goal, today: date, costs: Mapping[datetime, Decimal], now: datetime
    ) -> list[Quarter]:
        try:
            traffic = self._traffic.read([goal.id])
        except RedisError:
            traffic = NO_TRAFFIC
        passing = np.array(pacing.quarters_of(today, goal.timezone), dtype=np.intp)
        reached = np.cumsum(pacing.curve_of_day(traffic.curves([goal.id])[0], passing))
        start, _ = day_bounds(today, goal.timezone)
        found: list[Quarter] = []
        spent = Decimal(0)
        for number, share in enumerate(reached.tolist()):
            at = start + number * pacing.QUARTER
            spent += costs.get(at, Decimal(0))
            found.append(Quarter(at, min(share, 1.0), spent if at <= now else None))
        return found


def _edit(change: Change) -> Edit:
    old, new = change.old or {}, change.new or {}
    names = [name for name in {**old, **new} if name not in _ABOUT_OBJECT]
    changed = {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}
    return Edit(change, changed)


def _empty(brand_id: str, day: date) -> BrandDay:
    return BrandDay(brand_id, day, 0, 0, 0, Decimal(0), Decimal(0), Decimal(0), 0)
