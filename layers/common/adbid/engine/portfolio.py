"""How brands are doing now: budget, spend, ROAS, prices, and a status in words, page by page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from redis.exceptions import RedisError

from adbid.data import portfolio, windows
from adbid.data.database import Database
from adbid.data.gauges import Gauges, GaugeStore
from adbid.data.ledger import Ledger
from adbid.data.portfolio import Goal
from adbid.data.steering import NEUTRAL, Steering, SteeringStore
from adbid.data.traffic import NO_TRAFFIC, Traffic, TrafficStore
from adbid.data.windows import Window
from adbid.domain import pacing
from adbid.domain.cursor import cursor_after, read_cursor
from adbid.domain.errors import NotFound
from adbid.domain.interval import credible_interval, gamma_shape
from adbid.domain.ledger import Account, budget_day
from adbid.domain.money import from_micros
from adbid.domain.portfolio_status import Condition, Status, status_of
from adbid.domain.roas_status import Standing, probability_under_target, standing

LEVEL = 0.9
"""The probability that a reported interval holds the truth."""

_KIND = "portfolio"


@dataclass(frozen=True, slots=True)
class Item:
    """One brand now. Money in its currency; None where unknown or without a limit."""

    goal: Goal
    status: Status
    reason: str
    day: date
    spent: Decimal
    reserved: Decimal | None
    expected_spend: Decimal | None
    pacing_index: float | None
    roas: float | None
    low: float | None
    high: float | None
    below_probability: float | None
    conversions: int
    steering: Steering
    as_of: datetime | None

    @property
    def overrun(self) -> Decimal:
        """What actual prices took beyond the budget."""
        budget = self.goal.daily_budget
        return Decimal(0) if budget is None else max(Decimal(0), self.spent - budget)


@dataclass(frozen=True, slots=True)
class Page:
    """Brands in the order of their ids; `degraded` names what could not be read."""

    items: list[Item]
    next_cursor: str | None
    degraded: tuple[str, ...]
    window_days: int


@dataclass(frozen=True)
class _Hot:
    """What Redis says of a page's brands."""

    steering: Mapping[str, Steering]
    gauges: Gauges | None
    traffic: Traffic
    accounts: Mapping[tuple[str, date], Account] | None
    degraded: tuple[str, ...]


class _Figures(NamedTuple):
    """One brand's row of what is computed for all; NaN where unknown."""

    share: float
    roas: float
    low: float
    high: float
    below: float
    stands: Standing


class Portfolio:
    """Answers from MySQL and Redis; from MySQL alone, and saying so, while Redis is down."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        steering: SteeringStore,
        gauges: GaugeStore,
        traffic: TrafficStore,
        *,
        window_days: int,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._steering = steering
        self._gauges = gauges
        self._traffic = traffic
        self._window_days = window_days

    def page(
        self,
        visible: frozenset[str] | None,
        *,
        brand_id: str | None = None,
        cursor: str | None = None,
        limit: int,
        now: datetime,
    ) -> Page:
        """The next `limit` of the `visible` brands (None: of all) after `cursor`, or `brand_id` alone.

        Raises NotFound for a brand that doesn't exist or isn't visible, Invalid for another list's cursor.
        """
        after = read_cursor(_KIND, cursor)
        with self._database.read() as connection:
            if brand_id is None:
                goals = portfolio.goals_page(connection, visible, after=after, limit=limit + 1)
            else:
                goals = [visible_goal(portfolio.goal(connection, brand_id), brand_id, visible)]
            more = len(goals) > limit
            goals = goals[:limit]
            todays = {goal.id: budget_day(now, goal.timezone) for goal in goals}
            found = windows.windows(connection, todays, self._window_days)
        hot = self._hot(goals, todays)
        items = self._items(goals, todays, found, hot, now)
        return Page(
            items, cursor_after(_KIND, goals[-1].id) if more else None, hot.degraded, self._window_days
        )

    def _hot(self, goals: Sequence[Goal], todays: Mapping[str, date]) -> _Hot:
        brands = [goal.id for goal in goals]
        degraded: list[str] = []
        try:
            steering, gauges = self._steering.get(brands), self._gauges.read(brands)
            traffic = self._traffic.read(brands)
        except RedisError:
            degraded.append("cache_unavailable")
            steering, gauges, traffic = {}, None, NO_TRAFFIC
        accounts: Mapping[tuple[str, date], Account] | None
        try:
            limited = [(goal.id, todays[goal.id]) for goal in goals if goal.daily_budget is not None]
            if not limited:
                accounts = {}
            elif self._ledger.alive():
                accounts = self._ledger.accounts(limited)
            else:
                accounts = None
        except RedisError:
            accounts = None
        if accounts is None:
            degraded.append("ledger_unavailable")
        return _Hot(steering, gauges, traffic, accounts, tuple(degraded))

    def _items(
        self,
        goals: Sequence[Goal],
        todays: Mapping[str, date],
        found: Mapping[str, Window],
        hot: _Hot,
        now: datetime,
    ) -> list[Item]:
        if not goals:
            return []
        past = [found.get(goal.id) or windows.nothing(todays[goal.id]) for goal in goals]
        curves = hot.traffic.curves([goal.id for goal in goals])
        _, shares = pacing.today(curves, [goal.timezone for goal in goals], now)
        conversions, cost, revenue = np.array([one.total for one in past], dtype=np.float64).T
        target = np.array([goal.target_roas for goal in goals])
        roas = np.divide(revenue, cost, out=np.full_like(cost, np.nan), where=cost > 0.0)
        low, high = credible_interval(roas, gamma_shape(conversions), LEVEL)
        below = probability_under_target(revenue, cost, conversions, target)
        stands = standing(below, np.zeros(len(goals), dtype=np.int8))
        columns = [column.tolist() for column in (shares, roas, low, high, below)]
        stood = [Standing(one) for one in stands.tolist()]
        figures = map(_Figures, *columns, stood)
        return [self._item(*row, hot) for row in zip(goals, past, figures, strict=True)]

    def _item(self, goal: Goal, past: Window, figures: _Figures, hot: _Hot) -> Item:
        share, roas, below = figures.share, _known(figures.roas), _known(figures.below)
        spent, reserved = (
            past.spent,
            None if hot.accounts is None and goal.daily_budget is not None else Decimal(0),
        )
        account = hot.accounts.get((goal.id, past.today)) if hot.accounts else None
        if account is not None:
            reserved = from_micros(account.reserved)
            if account.revision > 0:  # else MySQL alone knows what was spent
                spent = from_micros(account.spent)
        expected = None if goal.daily_budget is None else float(goal.daily_budget) * share
        seen = hot.gauges.brands.get(goal.id) if hot.gauges else None
        stands = figures.stands
        if seen is not None and below is not None:
            stands = seen.standing  # with the hysteresis that only the monitor can know
        steering = hot.steering.get(goal.id, NEUTRAL)
        status, reason = status_of(
            Condition(
                currency=goal.currency,
                paused=goal.status == "paused",
                window_days=self._window_days,
                days_run=past.days_run(share, self._window_days),
                conversions=past.total[0],
                roas=roas,
                target=goal.target_roas,
                below_probability=below,
                standing=stands,
                budget=None if goal.daily_budget is None else float(goal.daily_budget),
                spent=float(spent),
                reserved=None if reserved is None else float(reserved),
                expected=expected,
                nu=steering.nu,
                mu=steering.mu,
                lambda_=steering.lambda_(goal.target_roas),
                probe_share=goal.probe_share,
            )
        )
        bounded = math.isfinite(figures.low) and math.isfinite(figures.high)
        return Item(
            goal=goal,
            status=status,
            reason=reason,
            day=past.today,
            spent=spent,
            reserved=reserved,
            expected_spend=None if expected is None else Decimal(f"{expected:.6f}"),
            pacing_index=float(spent) / expected if expected else None,
            roas=roas,
            low=figures.low if bounded else None,
            high=figures.high if bounded else None,
            below_probability=below,
            conversions=past.total[0],
            steering=steering,
            as_of=hot.gauges.at if hot.gauges is not None and seen is not None else None,
        )


def visible_goal(goal: Goal | None, brand_id: str, visible: frozenset[str] | None) -> Goal:
    """`goal`, which is what exists of a brand. Raises NotFound where there is none, or it isn't visible."""
    if goal is None or (visible is not None and brand_id not in visible):
        raise NotFound("unknown_brand", f"there is no brand {brand_id}", property="brand_id")
    return goal


def _known(number: float) -> float | None:
    return None if math.isnan(number) else number
