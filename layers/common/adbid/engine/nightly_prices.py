"""The nightly solve: the prices that would have steered an expected day best, from the days just past.

An expected day is what was shown lately, the newer days counting for more, valued as tonight's model values
it. The rule is `adbid.domain.planning.solve`; the monitor goes on from there (`adbid.domain.steering_step`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from adbid.data import catalog, duals, windows
from adbid.data.database import Database
from adbid.data.duals import Night, Shown
from adbid.data.hot import HotStore
from adbid.domain.context import context_of
from adbid.domain.duals import Duals, guarded_target
from adbid.domain.entities import BrandFeatures
from adbid.domain.ledger import budget_day
from adbid.domain.planning import Goals, Opportunities, recency_weights, solve
from adbid.domain.steering_step import UNSEEN_DAYS
from adbid.engine.worth import worth_of
from adbid.ml.model import Model

Array = NDArray[np.float64]

RECENT_DAYS = 7
"""How many past days an expected one is made of, and the window that slack is counted over."""


class NightlyPrices:
    """Solves and stores. `models` as in `ScoringEngine`."""

    def __init__(
        self,
        database: Database,
        store: HotStore,
        models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
    ) -> None:
        self._database = database
        self._store = store
        self._models = models

    def solve(self, now: datetime) -> dict[str, Night]:
        """The prices of every brand that was shown lately, from now on also in MySQL.

        Raises Unavailable where MySQL or the sums in Redis can't be had: then last night's stay.
        """
        with self._database.read() as connection:
            rows = duals.shown(connection, now, RECENT_DAYS)
            brands = catalog.load_brands(connection, sorted({row.brand_id for row in rows}))
            before = duals.latest(connection)
            days = {brand: budget_day(now, one.timezone) for brand, one in brands.items()}
            past = windows.windows(connection, days, RECENT_DAYS)
        rows = [row for row in rows if row.brand_id in brands]
        if not rows:
            return {}
        ids = sorted({row.brand_id for row in rows})
        day = self._expected_day(rows, ids, now)
        goals, target = _goals([brands[one] for one in ids], [past.get(one) for one in ids])
        start = Duals(*np.array([_start(before, one) for one in ids]).T)
        found = solve(day, goals, start)
        lambdas = found.lambda_(target)
        nights = {
            one: Night(float(found.nu[n]), float(found.mu[n]), float(lambdas[n])) for n, one in enumerate(ids)
        }
        self._database.transaction(lambda connection: duals.store(connection, nights, now.date(), now))
        return nights

    def _expected_day(self, rows: Sequence[Shown], ids: Sequence[str], now: datetime) -> Opportunities:
        number = {one: place for place, one in enumerate(ids)}
        slots: dict[str, int] = {}
        brand = np.array([number[row.brand_id] for row in rows])
        slot = np.array([slots.setdefault(row.slot_id, len(slots)) for row in rows])
        age = np.array([float(row.age) for row in rows])
        shown = np.array([float(row.impressions) for row in rows])
        amount = shown * recency_weights(age, np.ones(len(rows), dtype=np.bool_))
        nowhere = context_of({})
        places = [(row.brand_id, row.partner_id, row.slot_id, nowhere) for row in rows]
        worth = worth_of(places, self._store, self._models, now)
        revenue, cost = np.array([worth[place] for place in places]).T
        return Opportunities(brand, slot, amount, revenue, cost, np.bincount(slot, amount), len(ids))


def _goals(brands: Sequence[BrandFeatures], past: Sequence["windows.Window | None"]) -> tuple[Goals, Array]:
    """What the day should keep to, and the ROAS it is steered to."""
    target = np.array([brand.target_roas for brand in brands])
    budget = np.array(
        [np.inf if brand.daily_budget is None else float(brand.daily_budget) for brand in brands]
    )
    slack, run = np.zeros(len(brands)), np.zeros(len(brands))
    for place, window in enumerate(past):
        if window is not None:
            _, cost, revenue = window.total
            slack[place] = (float(revenue) - target[place] * float(cost)) / RECENT_DAYS
            run[place] = window.days_run(1.0, RECENT_DAYS)
    guarded = guarded_target(target, UNSEEN_DAYS, run)
    return Goals(budget, slack, guarded), guarded


def _start(before: Mapping[str, Night], brand: str) -> tuple[float, float]:
    night = before.get(brand)
    return (0.0, 0.0) if night is None else (night.nu, night.mu)
