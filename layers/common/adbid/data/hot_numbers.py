"""What is known about a bundle's brands, partners and slots in numbers, as arrays over its places.

An object's numbers are packed when its document is parsed, so a place's row of numbers is joined bytes.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from struct import Struct
from typing import Any, Generic, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.cache import brand_key, partner_key, read_brand, read_partner, read_slot, slot_key
from adbid.data.steering import NEUTRAL, pack_steering
from adbid.domain.entities import BrandFeatures, PartnerFeatures, SlotFeatures, StrategyFeatures
from adbid.domain.money import to_micros

Array = NDArray[np.float64]
F = TypeVar("F", BrandFeatures, PartnerFeatures, SlotFeatures)
T = TypeVar("T", bound=Hashable)

_UNKNOWN, _NONE = float("nan"), 0
_NEUTRAL = pack_steering(NEUTRAL)


class Interned(Generic[T]):
    """Numbers from 1 for values of which a catalog has few, the same for as long as the process lives.

    0 stands for none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[T, int] = {}
        self._values: list[T | None] = [None]

    def number(self, value: T) -> int:
        known = self._numbers.get(value)
        if known is None:
            with self._lock:
                known = self._numbers.get(value)
                if known is None:
                    known = len(self._values)
                    self._values.append(value)  # before anybody can ask for it
                    self._numbers[value] = known
        return known

    def known(self, value: T) -> int:
        """Its number; 0 where it has none, which it isn't given for being asked about."""
        return self._numbers.get(value, 0)

    def value(self, number: int) -> T | None:
        return self._values[number]

    def values(self, numbers: Array) -> list[T | None]:
        return list(map(self._values.__getitem__, numbers.astype(np.intp).tolist()))


Strategy = tuple[str, str, float]
"""(id, name, multiplier): what an answer shows of it."""

BRANDS: Interned[str] = Interned()
CURRENCIES: Interned[str] = Interned()
MARKETS: Interned[str] = Interned()
PARTNERS: Interned[str] = Interned()
STRATEGIES: Interned[Strategy] = Interned()
TIMEZONES: Interned[str] = Interned()


@dataclass(frozen=True, eq=False)
class Numbers:
    """What is known about each place, in numbers: arrays [places].

    Where the object doesn't exist, numbers of `Interned` values are 0, and all others NaN: `strategy`,
    `brand`, `market`, `currency`, `timezone`, `floor_currency` and `owner`, the slot's only partner, which is
    0 for a slot that is open to all. `paused` is 1 or 0. `budget` is in micros a day, NaN where spend is not
    limited, `version` the brand's. `nu`, `mu` and `caution` are its steering, neutral where it has none.
    """

    multiplier: Array
    priority: Array
    target_roas: Array
    probe_share: Array
    exploration_share: Array
    paused: Array
    strategy: Array
    brand: Array
    market: Array
    currency: Array
    timezone: Array
    budget: Array
    version: Array
    partner_quality: Array
    placement_score: Array
    floor: Array
    floor_currency: Array
    owner: Array
    nu: Array
    mu: Array
    caution: Array

    @classmethod
    def of(cls, rows: Array) -> "Numbers":
        """Of rows [places, WIDTH]."""
        return cls(*np.ascontiguousarray(rows.T))


class Kind(Generic[F]):
    """One kind of object: how its document is read, its key, and what it is in numbers, known or unknown."""

    def __init__(
        self,
        key: Callable[[str], str],
        read: Callable[[Any], F],
        numbers: Callable[[F], Sequence[float]],
        unknown: Sequence[float],
    ) -> None:
        self.key = key
        self._read: Callable[[Any], F] = read
        self._packed = Struct(f"<{len(unknown)}d")
        self._numbers: Callable[[F], Sequence[float]] = numbers
        self._unknown = self._packed.pack(*unknown)

    def entry(self, features: F) -> "Entry[F]":
        return features, self._packed.pack(*self._numbers(features))

    def parsed(self, document: bytes) -> "Entry[F]":
        return self.entry(self._read(orjson.loads(document)))

    def packed(self, entry: "Entry[F] | None") -> bytes:
        """The numbers of an object, or those of one that doesn't exist."""
        return self._unknown if entry is None else entry[1]


Entry = tuple[F, bytes]
"""An object, and its numbers packed."""

BRAND: Kind[BrandFeatures] = Kind(
    brand_key,
    read_brand,
    lambda brand: (
        brand.strategy.multiplier,
        brand.strategy.priority,
        brand.target_roas,
        brand.strategy.probe_share,
        brand.strategy.exploration_share,
        brand.status == "paused",
        STRATEGIES.number(_shown(brand.strategy)),
        BRANDS.number(brand.id),
        MARKETS.number(brand.market),
        CURRENCIES.number(brand.currency),
        TIMEZONES.number(brand.timezone),
        _UNKNOWN if brand.daily_budget is None else to_micros(brand.daily_budget),
        brand.version,
    ),
    (*[_UNKNOWN] * 6, *[_NONE] * 5, _UNKNOWN, _UNKNOWN),
)
PARTNER: Kind[PartnerFeatures] = Kind(
    partner_key, read_partner, lambda partner: (partner.quality,), (_UNKNOWN,)
)
SLOT: Kind[SlotFeatures] = Kind(
    slot_key,
    read_slot,
    lambda slot: (
        slot.placement_score,
        float(slot.floor),
        CURRENCIES.number(slot.currency),
        _NONE if slot.partner_id is None else PARTNERS.number(slot.partner_id),
    ),
    (_UNKNOWN, _UNKNOWN, _NONE, _NONE),
)


def _shown(strategy: StrategyFeatures) -> Strategy:
    return strategy.id, strategy.name, strategy.multiplier


Objects = tuple[BrandFeatures | None, PartnerFeatures | None, SlotFeatures | None]
"""A place's brand, partner and slot; None of those that don't exist."""

WIDTH = len(fields(Numbers))


def row_of(
    brand: "Entry[BrandFeatures] | None",
    partner: "Entry[PartnerFeatures] | None",
    slot: "Entry[SlotFeatures] | None",
    steering: bytes | None,
) -> bytes:
    """A place's row of `Numbers`, packed."""
    return BRAND.packed(brand) + PARTNER.packed(partner) + SLOT.packed(slot) + (steering or _NEUTRAL)


def unpacked(rows: Sequence[bytes]) -> Array:
    """[rows, WIDTH]."""
    return np.frombuffer(b"".join(rows), dtype="<f8").reshape(-1, WIDTH)
