"""What the system in the closed loop remembers: brand-days, and the sums that predictions rest on."""

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, weights
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULTS
from adbid.domain.pacing import QUARTERS, traffic_curve
from adbid.domain.response import respond
from benchmarks.closed_loop_market import DAY_MINUTES, PARTNERS, SLOTS, VERTICALS, Market

Array = NDArray[np.float64]
Indexes = NDArray[np.intp]

PAST_DAYS = 28
"""Days before the run that predictions and traffic curves have seen: every brand shown everywhere."""

_CURVE_HALF_LIFE = 7.0  # days, as `adbid.data.traffic`


class Predictions:
    """The response chains of `adbid.domain`, over brand × slot cells; [brands, slots] each.

    The sums are the ones that Redis holds, the rates are worked out anew only so often (`refresh`).
    """

    def __init__(self, market: Market, rng: np.random.Generator) -> None:
        self._vertical = market.brands.vertical
        count = len(self._vertical)
        self._sums = np.zeros((count, SLOTS, len(HALF_LIVES_DAYS), len(MEASURES)))
        cells = np.arange(count * SLOTS)
        brand, slot = cells // SLOTS, cells % SLOTS
        amount = market.brands.amount[brand]
        for day in range(-PAST_DAYS, 0):
            shown = rng.poisson(10.0 * market.brands.size[brand] / market.brands.size.mean())
            clicks = rng.binomial(shown, market.brands.ctr[brand, slot])
            conversions = rng.binomial(clicks, market.brands.cvr[brand, slot])
            _, cost = market.worth(brand, slot, amount, 0)
            revenue = (
                rng.gamma(np.maximum(conversions, 1e-9)) * (conversions > 0) * market.brands.payment[brand]
            )
            self.add(
                cells, np.stack([shown, clicks, conversions, cost * shown, revenue], 1), day * DAY_MINUTES
            )
        self.ctr, self.cvr, self.revenue = (np.zeros((count, SLOTS)) for _ in range(3))

    def add(self, cells: Indexes, measures: Array, minute: int) -> None:
        """Counts what happened in a minute, in cells brand · SLOTS + slot."""
        weighed = weights(minute / DAY_MINUTES)[:, None] * measures[:, None, :]
        flat = self._sums.reshape(-1, *self._sums.shape[2:])
        np.add.at(flat, cells, weighed)

    def refresh(self, minute: int, known: Market | None = None) -> None:
        """The current rates of every cell; those of the market where it is `known`."""
        if known is not None:
            brands = known.brands
            self.ctr = brands.ctr
            self.cvr = brands.cvr * known.conversion(np.arange(len(brands.target))[:, None], minute)
            self.revenue = self.ctr * self.cvr * brands.payment[:, None]
            return
        own = self._sums * weights(-minute / DAY_MINUTES)[:, None]
        count = len(own)
        by_brand = own.sum(axis=1)
        by_vertical = np.stack([by_brand[self._vertical == one].sum(axis=0) for one in range(VERTICALS)])
        partner = np.arange(SLOTS) % PARTNERS
        by_partner = np.stack([own[:, partner == one].sum(axis=1) for one in range(PARTNERS)], axis=1)
        evidence = np.zeros((count, SLOTS, len(LEVELS), *own.shape[2:]))
        evidence[:, :, LEVELS.index("global")] = by_brand.sum(axis=0)
        evidence[:, :, LEVELS.index("vertical")] = by_vertical[self._vertical][:, None]
        evidence[:, :, LEVELS.index("brand")] = by_brand[:, None]
        evidence[:, :, LEVELS.index("partner")] = by_partner[:, partner]
        evidence[:, :, LEVELS.index("slot")] = own
        evidence = evidence.reshape(count * SLOTS, *evidence.shape[2:])
        current = follow(evidence, respond(evidence, DEFAULTS.response), DEFAULTS.drift)
        rates = (current.ctr, current.cvr, current.revenue)
        self.ctr, self.cvr, self.revenue = (one.reshape(count, SLOTS) for one in rates)


class Days:
    """[brands, days]: each brand's days, as `brand_day`. Money in micros.

    A system that begins: nothing was bought before the run.
    """

    def __init__(self, brands: int, days: int) -> None:
        self.conversions, self.impressions, self.cost, self.revenue, self.spent, self.revision = (
            np.zeros((brands, days), dtype=np.int64) for _ in range(6)
        )

    def window(self, today: Indexes, days: int) -> dict[str, Array]:
        """Sums over the `days` days up to `today` (per brand), today's and yesterday's; `age`: how many days
        ago the first cost was, −1 without any."""
        rows = np.arange(len(today))
        span = today[:, None] - np.arange(days)  # newest first
        here = span >= 0
        places = np.where(here, span, 0)
        found: dict[str, Array] = {}
        for name in ("conversions", "impressions", "cost", "revenue"):
            column = np.where(here, getattr(self, name)[rows[:, None], places], 0).astype(np.float64)
            if name in ("cost", "revenue"):
                column /= 1e6
            found[name] = column.sum(axis=1)
            found[f"{name}_today"], found[f"{name}_before"] = column[:, 0], column[:, 1]
            if name == "cost":
                paid = column > 0.0
                found["age"] = np.where(paid.any(axis=1), days - 1 - np.argmax(paid[:, ::-1], axis=1), -1.0)
        return found


class Curves:
    """Traffic by local quarter hour as `adbid.data.traffic` keeps it: six hours at a time, an hour later."""

    def __init__(self, brands: int, past: Array) -> None:
        self._kept = past
        self._waiting: list[tuple[int, Indexes, Indexes]] = []

    def add(self, minute: int, brand: Indexes, quarter: Indexes) -> None:
        """Impressions shown in a minute."""
        self._waiting.append((minute, brand, quarter))

    def advance(self, minute: int) -> None:
        """Every six hours: what was over an hour ago is counted."""
        if minute % 360 != 60:
            return
        self._kept = self._kept * 2.0 ** (-0.25 / _CURVE_HALF_LIFE)
        over = [one for one in self._waiting if one[0] < minute - 60]
        self._waiting = self._waiting[len(over) :]
        for _, brand, quarter in over:
            np.add.at(self._kept, (brand, quarter), 1.0)

    def curves(self) -> Array:
        """[brands, 96]."""
        return traffic_curve(self._kept, self._kept.sum(axis=0).reshape(QUARTERS))
