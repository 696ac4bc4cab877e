"""A made-up market for the closed loop: brands, the bids of every minute, and what people do with the ads.

Everything follows from a seed. Rates are true ones, which steering never sees. A day's traffic follows local
hours; in the middle of the run demand is shaken for a day, and one brand's conversion rate halves overnight.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from adbid.domain.pricing import PricingModel

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

START = datetime(2026, 10, 21, tzinfo=UTC)
"""The week has the last Sunday of October in it: a day of 25 hours in London."""

ZONES = ("Europe/London", "America/New_York", "America/Los_Angeles", "Asia/Tokyo")
DAY_MINUTES = 1440
SLOTS, PARTNERS, VERTICALS = 24, 6, 5

SHOCK_TRAFFIC, SHOCK_CONVERSION = 2.0, 0.7
"""While demand is shaken: times the traffic, times the conversion rate."""

HALVED = 0
"""The brand that converts half as often overnight."""

FEWEST_CHARGES = 20.0
"""What the smallest budget pays for: with less, a single click is an overrun."""

_HOURS = 1.0 + 0.8 * np.sin((np.arange(24) - 9.0) * np.pi / 12.0) + 0.25 * np.sin(np.arange(24) * np.pi / 6.0)
_CLICK_MINUTES = 1.0
_SOON_MINUTES, _LATE_MINUTES, _SOON = 30.0, 960.0, 0.5


@dataclass(frozen=True)
class Scale:
    """How large a market: auctions are the mean number per minute."""

    brands: int = 200
    days: int = 7
    auctions: float = 40.0
    bidders: int = 8

    @property
    def minutes(self) -> int:
        return self.days * DAY_MINUTES

    @property
    def shock(self) -> tuple[int, int]:
        """[first, end) minutes: a day in the middle."""
        middle = self.minutes // 2
        return middle - DAY_MINUTES // 2, middle + DAY_MINUTES // 2

    @property
    def halved_from(self) -> int:
        """The minute from which `HALVED` converts half as often: a midnight of its zone."""
        midnight = START + timedelta(days=min(2, self.days - 1))
        offset = ZoneInfo(ZONES[0]).utcoffset(midnight)
        assert offset is not None
        return int((midnight - offset - START) / timedelta(minutes=1))


@dataclass(frozen=True)
class Brands:
    """[brands]: what people set, and what is true. `budget`: micros a day, −1 without one. ctr and cvr are
    [brands, slots]; `payment`: the mean revenue of a conversion; `amount`: the usual bid."""

    zone: NDArray[np.intp]
    vertical: NDArray[np.intp]
    size: Array
    pricing: NDArray[np.intp]
    ctr: Array
    cvr: Array
    payment: Array
    amount: Array
    target: Array
    budget: Numbers


@dataclass(frozen=True)
class Auctions:
    """Every auction of the run in order of time: [auctions], and its bids, [auctions, bidders]."""

    minute: NDArray[np.int32]
    slot: NDArray[np.int16]
    brand: NDArray[np.int16]
    amount: NDArray[np.float32]

    def starts(self, minutes: int) -> NDArray[np.intp]:
        """[minutes + 1]: where each minute's auctions begin."""
        return np.searchsorted(self.minute, np.arange(minutes + 1))


class Market:
    """A run's market."""

    def __init__(self, scale: Scale, seed: int) -> None:
        self.scale = scale
        rng = np.random.default_rng(seed)
        brands = _brands(scale, rng)
        self.auctions = _auctions(scale, brands, rng)
        self.brands = _with_goals(scale, brands, self.auctions, rng)
        self._rng = rng

    def conversion(self, brand: NDArray[np.integer], minute: NDArray[np.integer] | int) -> Array:
        """Times the usual conversion rate."""
        first, end = self.scale.shock
        shaken = (np.asarray(minute) >= first) & (np.asarray(minute) < end)
        halved = (brand == HALVED) & (np.asarray(minute) >= self.scale.halved_from)
        return np.where(shaken, SHOCK_CONVERSION, 1.0) * np.where(halved, 0.5, 1.0)

    def worth(
        self,
        brand: NDArray[np.integer],
        slot: NDArray[np.integer],
        amount: NDArray[np.floating],
        minute: NDArray[np.integer] | int,
    ) -> tuple[Array, Array]:
        """Expected revenue and cost of impressions, at the true rates."""
        ctr = self.brands.ctr[brand, slot]
        cvr = self.brands.cvr[brand, slot] * self.conversion(brand, minute)
        return _worth(self.brands, brand, amount, ctr, cvr)

    def responses(
        self, brand: NDArray[np.intp], slot: NDArray[np.intp], minute: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Array]:
        """What people do with impressions shown in a minute: which are clicked and when, which of the clicks
        convert and when, and what those pay. Minutes are whole ones from the run's start."""
        rng = self._rng
        clicked = np.flatnonzero(rng.random(len(brand)) < self.brands.ctr[brand, slot])
        at = minute + 1 + np.floor(rng.exponential(_CLICK_MINUTES, len(clicked))).astype(np.intp)
        who, where = brand[clicked], slot[clicked]
        rate = self.brands.cvr[who, where] * self.conversion(who, minute)
        converted = np.flatnonzero(rng.random(len(clicked)) < rate)
        soon = rng.random(len(converted)) < _SOON
        delay = rng.exponential(np.where(soon, _SOON_MINUTES, _LATE_MINUTES))
        paid = at[converted] + np.floor(delay).astype(np.intp)
        revenue = self.brands.payment[who[converted]] * rng.exponential(1.0, len(converted))
        return clicked, at, converted, paid, revenue


def hours(zone: str, minute: int) -> float:
    """Times the mean traffic, at a moment in a zone."""
    local = (START + timedelta(minutes=minute)).astimezone(ZoneInfo(zone))
    hour = local.hour + local.minute / 60.0
    return float(np.interp(hour, np.arange(25), [*_HOURS, _HOURS[0]]) / _HOURS.mean())


def _brands(scale: Scale, rng: np.random.Generator) -> Brands:
    count = scale.brands
    size = rng.lognormal(0.0, 0.6, count)
    pricing = rng.choice([PricingModel.CPM, PricingModel.CPC, PricingModel.CPA], count, p=(0.3, 0.45, 0.25))
    zone = rng.integers(0, len(ZONES), count)
    size[HALVED], pricing[HALVED], zone[HALVED] = 2.0, PricingModel.CPC, 0
    slots = rng.lognormal(0.0, 0.2, SLOTS)
    ctr = np.clip(
        rng.uniform(0.1, 0.3, count)[:, None] * slots * rng.lognormal(0.0, 0.2, (count, SLOTS)), 0, 0.8
    )
    cvr = np.clip(rng.uniform(0.2, 0.4, count)[:, None] * rng.lognormal(0.0, 0.15, (count, SLOTS)), 0, 0.8)
    earned = rng.lognormal(0.0, 0.15, count)  # per impression
    payment = earned / (ctr * cvr).mean(axis=1)
    per_impression = earned / rng.uniform(1.2, 3.0, count)  # the ROAS of the usual bid
    divisor = np.where(
        pricing == PricingModel.CPM,
        1e-3,
        np.where(pricing == PricingModel.CPC, ctr.mean(axis=1), (ctr * cvr).mean(axis=1)),
    )
    nothing = np.zeros(count)
    vertical = rng.integers(0, VERTICALS, count)
    return Brands(
        zone,
        vertical,
        size,
        pricing,
        ctr,
        cvr,
        payment,
        per_impression / divisor,
        nothing,
        nothing.astype(int),
    )


def _auctions(scale: Scale, brands: Brands, rng: np.random.Generator) -> Auctions:
    """Two bidders of three come from the zone that the impression is shown in."""
    first, end = scale.shock
    minutes, zones = [], []
    for number, zone in enumerate(ZONES):
        curve = np.repeat([hours(zone, minute) for minute in range(0, scale.minutes, 15)], 15)
        curve[first:end] *= SHOCK_TRAFFIC
        shown = rng.poisson(scale.auctions / len(ZONES) * curve)
        minutes.append(np.repeat(np.arange(scale.minutes), shown))
        zones.append(np.full(len(minutes[-1]), number))
    order = np.argsort(np.concatenate(minutes), kind="stable")
    minute, zone_of = np.concatenate(minutes)[order], np.concatenate(zones)[order]
    brand = np.empty((len(minute), scale.bidders), dtype=np.int16)
    for number in range(len(ZONES)):
        likely = brands.size * np.where(brands.zone == number, 1.0, 0.5 / (len(ZONES) - 1))
        rows = np.flatnonzero(zone_of == number)
        # Gumbel's trick draws without repetition, by weight; in parts, for the sake of memory.
        for part in np.array_split(rows, max(1, len(rows) // 5_000)):
            keys = np.log(likely) + rng.gumbel(size=(len(part), scale.brands))
            brand[part] = np.argpartition(-keys, scale.bidders - 1, axis=1)[:, : scale.bidders]
    slot = (zone_of * (SLOTS // len(ZONES)) + rng.integers(0, SLOTS // len(ZONES), len(minute))).astype(
        np.int16
    )
    amount = brands.amount[brand] * rng.lognormal(0.0, 0.35, brand.shape)
    return Auctions(minute.astype(np.int32), slot, brand, amount.astype(np.float32))


def _with_goals(scale: Scale, brands: Brands, auctions: Auctions, rng: np.random.Generator) -> Brands:
    """Budgets and targets around what each brand would spend and earn if nobody steered."""
    some = auctions.minute < DAY_MINUTES
    brand, slot = auctions.brand[some], auctions.slot[some, None]
    rates = brands.ctr[brand, slot], brands.cvr[brand, slot]
    revenue, cost = _worth(brands, brand, auctions.amount[some], *rates)
    won = np.arange(len(brand)), np.argmax(revenue, axis=1)
    spend, earned = (np.bincount(brand[won], value[won], minlength=scale.brands) for value in (cost, revenue))
    kind = rng.random(scale.brands)
    share = np.where(kind < 0.6, rng.uniform(0.3, 0.9, scale.brands), 1.6)
    charge = brands.amount * np.where(brands.pricing == PricingModel.CPM, 1e-3, 1.0)
    least = FEWEST_CHARGES * charge
    budget = np.where(kind < 0.85, np.round(np.maximum(share * spend, least), 2) * 1e6, -1).astype(np.int64)
    target = np.round(earned / np.maximum(spend, 1e-9) * rng.uniform(0.6, 1.2, scale.brands), 2)
    target = np.where(target > 0.0, target, 1.0)
    target[HALVED] = np.round(earned[HALVED] / spend[HALVED] * 0.9, 2)
    columns = {name: getattr(brands, name) for name in Brands.__dataclass_fields__}
    return Brands(**{**columns, "budget": budget, "target": target})


def _worth(
    brands: Brands, brand: NDArray[np.integer], amount: NDArray[np.floating], ctr: Array, cvr: Array
) -> tuple[Array, Array]:
    revenue = ctr * cvr * brands.payment[brand]
    pricing = brands.pricing[brand]
    by_response = np.where(pricing == PricingModel.CPC, ctr, ctr * cvr)
    cost: Array = amount.astype(np.float64) * np.where(pricing == PricingModel.CPM, 1e-3, by_response)
    return revenue, cost
