"""Spending with the day's traffic, not with the clock: the expected curve, what is due by now, the index.

A day is 96 local quarter hours. A brand's curve is its own past traffic, shrunk to the portfolio's where it
has little (a Dirichlet posterior), as in Agarwal, Ghosh, Wei & You, "Budget pacing for targeted online
advertisements at LinkedIn", KDD 2014. Arrays are [..., quarters]: one curve, or one per brand.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adbid.domain.ledger import budget_day, day_bounds

Array = NDArray[np.float64]
Indexes = NDArray[np.intp]

QUARTERS = 96
QUARTER_HOURS = 0.25
QUARTER = timedelta(minutes=15)

CURVE_STRENGTH = 10_000.0
"""Impressions of its own at which a brand's curve is half its own."""

_FLAT_STRENGTH = 960.0  # impressions: the portfolio's curve is shrunk to a flat one, so no share is ever 0


def traffic_curve(impressions: Array, portfolio: Array | None = None) -> Array:
    """Shares of a day's traffic [..., 96], each row summing to 1, from past impressions [..., 96].

    portfolio: the impressions of all brands [96]; without it those of the rows given.
    Raises ValueError unless there are 96 columns, none negative.
    """
    own = np.asarray(impressions, dtype=np.float64)
    if own.shape[-1] != QUARTERS or np.any(own < 0.0):
        raise ValueError(f"impressions must be {QUARTERS} quarter hours, none negative")
    everyone = own.reshape(-1, QUARTERS).sum(axis=0) if portfolio is None else portfolio
    common = (everyone + _FLAT_STRENGTH / QUARTERS) / (everyone.sum() + _FLAT_STRENGTH)
    total = own.sum(axis=-1, keepdims=True)
    curve: Array = (own + CURVE_STRENGTH * common) / (total + CURVE_STRENGTH)
    return curve


def curve_of_day(curve: Array, quarters: Indexes) -> Array:
    """The curve of one day in the order it passes: `quarters` [n] are its local quarter hours, 0 to 95.

    A day of 23 hours has 92 of them, one of 25 hours 100, four of them twice; the shares sum to 1 again.
    """
    if len(quarters) == 0:
        raise ValueError("a day has quarter hours")
    passing = curve[..., quarters]
    shares: Array = passing / passing.sum(axis=-1, keepdims=True)
    return shares


def expected_share(curve: Array, elapsed: float) -> Array:
    """[...]: the share of the day's traffic expected in its first `elapsed` hours of real time.

    Linear within a quarter hour, 0 before the day and 1 after it.
    """
    quarters = min(max(elapsed / QUARTER_HOURS, 0.0), float(curve.shape[-1]))
    whole = int(quarters)
    share = curve[..., :whole].sum(axis=-1)
    if whole < curve.shape[-1]:
        share = share + (quarters - whole) * curve[..., whole]
    return np.minimum(share, 1.0)


def quarter_of_day(at: datetime, timezone: str) -> int:
    """The local quarter hour, 0 to 95, that `at` lies in."""
    local = at.astimezone(ZoneInfo(timezone))
    return local.hour * 4 + local.minute // 15


@lru_cache(maxsize=2048)
def quarters_of(day: date, timezone: str) -> tuple[int, ...]:
    """The local quarter hours of a day as they pass, for `curve_of_day`: 92, 96 or 100 of them."""
    start, end = day_bounds(day, timezone)
    count = (end - start) // QUARTER
    return tuple(quarter_of_day(start + number * QUARTER, timezone) for number in range(count))


def today(curves: Array, timezones: Sequence[str], now: datetime) -> tuple[list[date], Array]:
    """Per brand, of its `curves` row and time zone: its local date, and the share of that day's traffic that
    is expected to be over at `now`."""
    rows: dict[str, list[int]] = {}
    for row, timezone in enumerate(timezones):
        rows.setdefault(timezone, []).append(row)
    days, shares = [date.min] * len(timezones), np.zeros(len(timezones))
    for timezone, places in rows.items():
        day = budget_day(now, timezone)
        start, _ = day_bounds(day, timezone)
        passing = curve_of_day(curves[places], np.array(quarters_of(day, timezone), dtype=np.intp))
        shares[places] = expected_share(passing, (now - start) / timedelta(hours=1))
        for place in places:
            days[place] = day
    return days, shares


def expected_spend(budget: ArrayLike, share: ArrayLike) -> Array:
    """What of a budget is due once `share` of the day's traffic has come; infinite without a budget."""
    budget, share = np.asarray(budget, dtype=np.float64), np.asarray(share, dtype=np.float64)
    limited = np.isfinite(budget)
    due: Array = np.where(limited, np.where(limited, budget, 0.0) * share, np.inf)
    return due


def pacing_index(spent: ArrayLike, expected: ArrayLike) -> Array:
    """Spend ÷ expected spend by now: 1 is on the curve. NaN where nothing is expected, or no budget."""
    spent, expected = np.asarray(spent, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    paced = np.isfinite(expected) & (expected > 0.0)
    spent, paced = np.broadcast_arrays(spent, paced)
    index: Array = np.divide(spent, expected, out=np.full(spent.shape, np.nan), where=paced)
    return index
