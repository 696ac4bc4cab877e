"""What if: one brand's recent days played again with other targets, another budget or another strategy.

The rules are `adbid.domain.what_if`'s; here the days come from MySQL, and what each place is expected to
return from the current model and the sums in Redis, as in the nightly solve. Nothing is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite

import numpy as np

from adbid.data.catalog import Strategy
from adbid.data.database import Database
from adbid.data.hot import HotStore
from adbid.data.portfolio import Goal
from adbid.data.steering import SteeringStore
from adbid.domain.interval import credible_interval, gamma_shape
from adbid.domain.ledger import day_bounds
from adbid.domain.money import PLACES
from adbid.domain.roas_status import MINIMUM_CONVERSIONS
from adbid.domain.what_if import AROUND, Past, Setting, play
from adbid.domain.what_if_words import Point as Said
from adbid.domain.what_if_words import confidence, note_of, too_little
from adbid.engine.brand_history import MATURE_AFTER
from adbid.engine.played_days import CONVERSIONS, COST, IMPRESSIONS, REVENUE, PlayedDays, past_of, read_days
from adbid.engine.portfolio import LEVEL
from adbid.ml.model import Model


@dataclass(frozen=True, slots=True)
class Question:
    """What to play: the last whole `days` of a brand with each of `targets`.

    targets: None is a grid around the present one. strategy_id: None is the present one. other_budget:
    whether `daily_budget` (None: without limit) takes the place of the present one.
    """

    brand_id: str
    days: int
    targets: Sequence[float] | None = None
    strategy_id: str | None = None
    other_budget: bool = False
    daily_budget: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What some days came to. Money in the brand's currency; None where there is nothing to divide by.

    budget_use: of all the days' budgets.
    """

    impressions: int
    conversions: int
    spend: Decimal
    revenue: Decimal
    roas: float | None
    budget_use: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """The days with one target. low, high: hold the ROAS with probability `LEVEL`, None where unknown.
    lambda_, ended_days, beyond: as in `what_if.Played`."""

    target: float
    figures: Figures
    low: float | None
    high: float | None
    lambda_: float
    ended_days: int
    beyond: float
    note: str | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """The answer. days: from `first` to `last`, 0 where nothing was bought; `immature` ones may still get
    conversions. played: the present setting's point, to be held against `observed`. Without it, and with an
    empty `curve`, there is too little data, and `confidence` says so.
    """

    goal: Goal
    daily_budget: Decimal | None
    strategy_id: str
    first: date
    last: date
    days: int
    immature: int
    places: int
    rows: int
    observed: Figures
    played: Point | None
    curve: list[Point]
    confidence: str


class Simulator:
    """The use case. `models` as in `ScoringEngine`."""

    def __init__(
        self,
        database: Database,
        store: HotStore,
        models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
        steering: SteeringStore,
    ) -> None:
        self._database = database
        self._store = store
        self._models = models
        self._steering = steering

    def run(self, question: Question, visible: frozenset[str] | None, now: datetime) -> Simulation:
        """Plays the days. Today, which isn't over, is not among them.

        Raises NotFound for a brand that doesn't exist or isn't visible, Invalid for an unknown strategy,
        Unavailable where MySQL, or the sums in Redis, can't be had.
        """
        with self._database.read() as connection:
            read = read_days(
                connection,
                question.brand_id,
                visible,
                days=question.days,
                strategy_id=question.strategy_id,
                now=now,
            )
        goal, days = read.goal, len(read.days)
        budget = question.daily_budget if question.other_budget else goal.daily_budget
        immature = sum(now < day_bounds(day, goal.timezone)[1] + MATURE_AFTER for day in read.days)
        observed = _observed(read)
        played: Point | None = None
        curve: list[Point] = []
        words = too_little(days, observed.conversions)
        if observed.conversions >= MINIMUM_CONVERSIONS and observed.spend > 0:
            past = past_of(read, self._store, self._models, self._steering, now)
            table = _Table(past, goal, read.strategy)
            (played,) = table.points([goal.target_roas], goal.daily_budget, read.strategy)
            targets = question.targets or [goal.target_roas * factor for factor in AROUND]
            curve = table.points(targets, budget, read.other)
            errors = (
                _error(played.figures.spend, observed.spend),
                _error(played.figures.revenue, observed.revenue),
            )
            words = confidence(days, immature, observed.conversions, *errors)
        return Simulation(
            goal=goal,
            daily_budget=budget,
            strategy_id=read.other.id,
            first=read.days[0] if days else read.yesterday,
            last=read.yesterday,
            days=days,
            immature=immature,
            places=len(read.bought.places),
            rows=read.bought.rows,
            observed=observed,
            played=played,
            curve=curve,
            confidence=words,
        )


@dataclass(frozen=True)
class _Table:
    """Plays settings on one past."""

    past: Past
    goal: Goal
    strategy: Strategy

    def points(self, targets: Sequence[float], budget: Decimal | None, strategy: Strategy) -> list[Point]:
        """One of each distinct target, ascending."""
        days = self.past.days
        present = _setting(self.goal.daily_budget, self.strategy)
        setting = _setting(budget, strategy)
        played = play(self.past, np.unique(np.round(targets, 6)), setting, present, self.goal.target_roas)
        roas = np.divide(
            played.revenue, played.spend, out=np.full_like(played.spend, np.nan), where=played.spend > 0.0
        )
        low, high = credible_interval(roas, gamma_shape(played.conversions), LEVEL)
        points = []
        for number, target in enumerate(played.target.tolist()):
            spend = _money(played.spend[number])
            if budget is not None:
                spend = min(spend, budget * days)  # to the last micro
            figures = _figures(
                played.impressions[number],
                played.conversions[number],
                spend,
                _money(played.revenue[number]),
                budget,
                days,
            )
            beyond, ended = float(played.beyond[number]), int(played.ended_days[number])
            changed = setting.multiplier != present.multiplier
            known = isfinite(low[number]) and isfinite(high[number])
            only_probes = bool(played.only_probes[number])
            said = Said(target, figures.roas, only_probes, beyond, ended, days, changed)
            points.append(
                Point(
                    target=target,
                    figures=figures,
                    low=float(low[number]) if known else None,
                    high=float(high[number]) if known else None,
                    lambda_=float(played.lambda_[number]),
                    ended_days=ended,
                    beyond=beyond,
                    note=note_of(said),
                )
            )
        return points


def _setting(budget: Decimal | None, strategy: Strategy) -> Setting:
    return Setting(
        budget=float("inf") if budget is None else float(budget),
        multiplier=float(strategy.vpi_multiplier),
        probe_share=float(strategy.probe_share),
    )


def _observed(read: PlayedDays) -> Figures:
    totals = read.bought.measures.sum(axis=(1, 2))
    return _figures(
        totals[IMPRESSIONS],
        totals[CONVERSIONS],
        _money(totals[COST]),
        _money(totals[REVENUE]),
        read.goal.daily_budget,
        len(read.days),
    )


def _figures(
    impressions: float,
    conversions: float,
    spend: Decimal,
    revenue: Decimal,
    budget: Decimal | None,
    days: int,
) -> Figures:
    return Figures(
        impressions=round(impressions),
        conversions=round(conversions),
        spend=spend,
        revenue=revenue,
        roas=float(revenue / spend) if spend > 0 else None,
        budget_use=float(spend / (budget * days)) if budget and days else None,
    )


def _money(amount: float) -> Decimal:
    return Decimal(float(amount)).quantize(PLACES)


def _error(played: Decimal, observed: Decimal) -> float:
    """Relative; 0 where nothing was observed."""
    return float(played / observed) - 1.0 if observed else 0.0
