"""What is known about a bundle's brands, partners and slots in numbers, as arrays over its places.

An object's numbers are packed when its document is parsed, so a bundle's array is joined bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Generic, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.cache import brand_key, partner_key, read_brand, read_partner, read_slot, slot_key
from adbid.data.hot_keys import Numbered, Place
from adbid.data.steering import NEUTRAL, pack_steering
from adbid.domain.entities import BrandFeatures, PartnerFeatures, SlotFeatures

Array = NDArray[np.float64]
F = TypeVar("F", BrandFeatures, PartnerFeatures, SlotFeatures)

_UNKNOWN = float("nan")
_NEUTRAL = pack_steering(NEUTRAL)


@dataclass(frozen=True)
class Numbers:
    """What is known about each place, in numbers: arrays [places], NaN where the object doesn't exist.

    `paused` is 1 or 0. `nu`, `mu` and `caution` are a brand's steering, neutral where it has none.
    """

    multiplier: Array
    priority: Array
    target_roas: Array
    probe_share: Array
    exploration_share: Array
    paused: Array
    partner_quality: Array
    placement_score: Array
    floor: Array
    nu: Array
    mu: Array
    caution: Array


class Kind(Generic[F]):
    """One kind of object: how its document is read, its key, and what it is in `width` numbers."""

    def __init__(
        self,
        key: Callable[[str], str],
        read: Callable[[Any], F],
        width: int,
        numbers: Callable[[F], Sequence[float]],
    ) -> None:
        self.key = key
        self._read: Callable[[Any], F] = read
        self._packed = Struct(f"<{width}d")
        self._numbers: Callable[[F], Sequence[float]] = numbers
        self._unknown = self._packed.pack(*[_UNKNOWN] * width)

    def entry(self, features: F) -> "Entry[F]":
        return features, self._packed.pack(*self._numbers(features))

    def parsed(self, document: bytes) -> "Entry[F]":
        return self.entry(self._read(orjson.loads(document)))

    def rows(self, entries: "Sequence[Entry[F] | None]") -> Array:
        """[width, entries]."""
        rows = b"".join([self._unknown if entry is None else entry[1] for entry in entries])
        return np.ascontiguousarray(np.frombuffer(rows, dtype="<f8").reshape(len(entries), -1).T)


Entry = tuple[F, bytes]
"""An object, and its numbers packed."""

BRAND: Kind[BrandFeatures] = Kind(
    brand_key,
    read_brand,
    6,
    lambda brand: (
        brand.strategy.multiplier,
        brand.strategy.priority,
        brand.target_roas,
        brand.strategy.probe_share,
        brand.strategy.exploration_share,
        brand.status == "paused",
    ),
)
PARTNER: Kind[PartnerFeatures] = Kind(partner_key, read_partner, 1, lambda partner: (partner.quality,))
SLOT: Kind[SlotFeatures] = Kind(
    slot_key, read_slot, 2, lambda slot: (slot.placement_score, float(slot.floor))
)


@dataclass(frozen=True)
class Wanted:
    """The distinct ids of a bundle."""

    brands: Numbered
    partners: Numbered
    slots: Numbered

    @classmethod
    def of(cls, places: Sequence[Place]) -> "Wanted":
        brands, partners, slots, _ = zip(*places, strict=True)
        return cls(Numbered.of(brands), Numbered.of(partners), Numbered.of(slots))


def numbers_of(
    wanted: Wanted, brands: Array, partners: Array, slots: Array, steering: Sequence[bytes | None]
) -> Numbers:
    prices = np.frombuffer(b"".join([one or _NEUTRAL for one in steering]), dtype="<f8").reshape(-1, 3).T
    return Numbers(
        *wanted.brands.spread(brands),
        *wanted.partners.spread(partners),
        *wanted.slots.spread(slots),
        *wanted.brands.spread(prices),
    )


def rows_of(kind: Kind[F], ids: Sequence[str], found: Mapping[str, F]) -> Array:
    return kind.rows([kind.entry(found[one]) if one in found else None for one in ids])
