"""A brand's recent days, read so that they can be played again (`adbid.domain.what_if`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError
from sqlalchemy import Connection

from adbid.data import catalog, portfolio, replayed
from adbid.data.catalog import STRATEGY, Strategy
from adbid.data.hot import HotStore
from adbid.data.portfolio import Goal, Night
from adbid.data.replayed import Bought
from adbid.data.steering import NEUTRAL, SteeringStore
from adbid.domain.decay import MEASURES
from adbid.domain.errors import Invalid, Unavailable
from adbid.domain.ledger import budget_day, day_bounds
from adbid.domain.what_if import Past
from adbid.engine.portfolio import visible_goal
from adbid.engine.steering import NIGHT_KEPT
from adbid.engine.worth import worth_of
from adbid.ml.model import Model

Array = NDArray[np.float64]

MOST_PLACES = 4_000
"""Those that cost most are played one by one, the others all together, as what they returned."""

IMPRESSIONS, CONVERSIONS, COST, REVENUE = (
    MEASURES.index(name) for name in ("impressions", "conversions", "cost", "revenue")
)


@dataclass(frozen=True)
class PlayedDays:
    """What MySQL knows of the days, oldest first, from the first one with anything on it until yesterday.

    strategy: the present one; other: the one asked for. contested: the slots that rivals were shown in too,
    read only where the strategies rank differently.
    """

    goal: Goal
    strategy: Strategy
    other: Strategy
    yesterday: date
    days: list[date]
    bought: Bought
    contested: frozenset[str]
    nights: Mapping[date, Night]


def read_days(
    connection: Connection,
    brand_id: str,
    visible: frozenset[str] | None,
    *,
    days: int,
    strategy_id: str | None,
    now: datetime,
) -> PlayedDays:
    """The last whole `days` of a brand's own calendar.

    Raises NotFound for a brand that doesn't exist or isn't visible, Invalid for an unknown strategy.
    """
    goal = visible_goal(portfolio.goal(connection, brand_id), brand_id, visible)
    today = budget_day(now, goal.timezone)
    asked = [today - timedelta(days=age) for age in range(days, 0, -1)]
    spans = [day_bounds(day, goal.timezone) for day in asked]
    strategy = _strategy(connection, goal.strategy_id)
    other = strategy if strategy_id is None else _strategy(connection, strategy_id)
    bought = replayed.bought(connection, goal.id, spans)
    contested: set[str] = set()
    if other.vpi_multiplier != strategy.vpi_multiplier:
        slots = sorted({slot for _, slot, _ in bought.places})
        contested = replayed.contested(connection, goal.id, slots, spans[0][0])
    filled = bought.measures.any(axis=(0, 2))
    first = int(np.argmax(filled)) if filled.any() else days
    return PlayedDays(
        goal,
        strategy,
        other,
        asked[-1],
        asked[first:],
        Bought(bought.places, bought.measures[:, first:], bought.rows),
        frozenset(contested),
        portfolio.nights(connection, goal.id, asked[0] - NIGHT_KEPT),
    )


def past_of(
    read: PlayedDays,
    store: HotStore,
    models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
    steering: SteeringStore,
    now: datetime,
) -> Past:
    """The days with what each place is expected to return. `models` as in `ScoringEngine`.

    Raises Unavailable where Redis, or the sums in it, can't be had.
    """
    bought = read.bought
    places = [(read.goal.id, *place) for place in bought.places]
    by_cost = np.argsort(-bought.measures[COST].sum(axis=0), kind="stable")
    kept, rest = by_cost[:MOST_PLACES], by_cost[MOST_PLACES:]
    worth = worth_of([places[place] for place in kept], store, models, now)
    expected = np.array([worth[places[place]] for place in kept]).T
    contested = np.array([places[place][2] in read.contested for place in kept], dtype=np.bool_)
    measures = bought.measures[:, :, kept]
    if len(rest):
        others = bought.measures[:, :, rest].sum(axis=2, keepdims=True)
        shown, revenue, cost = others[[IMPRESSIONS, REVENUE, COST]].sum(axis=(1, 2)).tolist()
        expected = np.column_stack([expected, np.array([revenue, cost]) / max(shown, 1.0)])
        contested = np.append(contested, bool(read.contested))
        measures = np.concatenate([measures, others], axis=2)
    return Past(
        impressions=measures[IMPRESSIONS],
        conversions=measures[CONVERSIONS],
        cost=measures[COST],
        revenue=measures[REVENUE],
        expected_revenue=expected[0],
        expected_cost=expected[1],
        contested=contested,
        lambda_=_prices(read, steering),
    )


def _strategy(connection: Connection, strategy_id: str) -> Strategy:
    found = catalog.get(connection, STRATEGY, strategy_id)
    if found is None:
        raise Invalid("unknown_strategy", f"there is no strategy {strategy_id}", property="strategy_id")
    return found


def _prices(read: PlayedDays, steering: SteeringStore) -> Array:
    """λ of each day, as the last night before it solved it, 0 where none did: then nothing was steered yet.
    Where no night is known at all, what bids are priced by now."""
    try:
        now = steering.get([read.goal.id]).get(read.goal.id, NEUTRAL)
    except RedisError as error:
        raise Unavailable("cache_unavailable", "Redis cannot be read right now.") from error
    if not read.nights:
        return np.full(len(read.days), now.lambda_(read.goal.target_roas))
    found = []
    for day in read.days:
        before = [night for night in read.nights if day - NIGHT_KEPT <= night <= day]
        found.append(read.nights[max(before)].lambda_ if before else 0.0)
    return np.array(found)
