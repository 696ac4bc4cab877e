"""Brands, partners and slots of a bundle: as Redis has them, and what it hasn't got by one query per kind."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray
from redis import Redis
from redis.exceptions import RedisError

from adbid.data.cache import FeatureCache, brand_key, partner_key, slot_key
from adbid.data.hot_keys import Place
from adbid.data.hot_numbers import BRAND, PARTNER, SLOT, Entry, F, Kind, Objects, row_of, unpacked
from adbid.data.steering import steering_key
from adbid.data.wire import Remembered
from adbid.domain.entities import BrandFeatures, PartnerFeatures, PriorFeatures, SlotFeatures

_REMEMBERED = 50_000  # parsed documents kept per instance; dropped all at once beyond


class Catalog(Protocol):
    """What people set, from MySQL: one query per kind."""

    def brands(self, ids: Sequence[str]) -> Mapping[str, BrandFeatures]: ...
    def partners(self, ids: Sequence[str]) -> Mapping[str, PartnerFeatures]: ...
    def slots(self, ids: Sequence[str]) -> Mapping[str, SlotFeatures]: ...
    def priors(self) -> Sequence[PriorFeatures]: ...


@dataclass(frozen=True)
class Wanted:
    """The distinct ids of a bundle."""

    brands: list[str]
    partners: list[str]
    slots: list[str]

    @classmethod
    def of(cls, places: Sequence[Place]) -> "Wanted":
        brands, partners, slots, _ = zip(*places, strict=True)
        return cls(*(list(dict.fromkeys(ids)) for ids in (brands, partners, slots)))


@dataclass(frozen=True, eq=False)
class Found:
    """What is known of a bundle's objects, by id; those that don't exist are lacking."""

    brands: Mapping[str, Entry[BrandFeatures]]
    partners: Mapping[str, Entry[PartnerFeatures]]
    slots: Mapping[str, Entry[SlotFeatures]]
    steering: Mapping[str, bytes | None]

    def objects(self, places: Sequence[Place]) -> list[Objects]:
        """Each place's."""
        return [
            (_first(self.brands.get(brand)), _first(self.partners.get(partner)), _first(self.slots.get(slot)))
            for brand, partner, slot, _ in places
        ]

    def rows(self, places: Sequence[Place]) -> NDArray[np.float64]:
        """[places, WIDTH], as `Numbers.of` takes them."""
        brands, partners, slots, steering = self.brands, self.partners, self.slots, self.steering
        return unpacked(
            [
                row_of(brands.get(brand), partners.get(partner), slots.get(slot), steering.get(brand))
                for brand, partner, slot, _ in places
            ]
        )

    def markets(self) -> dict[str, str]:
        """The brands' markets."""
        return {brand: entry[0].market for brand, entry in self.brands.items()}


class Documents:
    """Reads the documents of objects. Safe to share between threads."""

    def __init__(self, redis: Redis, catalog: Catalog) -> None:
        self._catalog = catalog
        self._cache = FeatureCache(redis)
        self._parsed: dict[bytes, Any] = {}
        self._priors: tuple[bytes, Sequence[PriorFeatures]] = (b"[]", ())
        self._brand_keys = Remembered(brand_key, steering_key)
        self._partner_keys = Remembered(partner_key)
        self._slot_keys = Remembered(slot_key)

    def keys(self, wanted: Wanted) -> tuple[list[bytes], int]:
        """The keys that say what is `wanted`, packed, and how many they are."""
        parts = self._brand_keys.of(wanted.brands) + self._partner_keys.of(wanted.partners)
        parts += self._slot_keys.of(wanted.slots)
        return parts, 2 * len(wanted.brands) + len(wanted.partners) + len(wanted.slots)

    def read(self, wanted: Wanted, values: Sequence[bytes | None]) -> tuple[Found, bytes | None]:
        """What the values of `keys` say; what is missing is loaded, and cached for the next.

        Also the revision that this began, where Redis had none.
        """
        catalog, brands = self._catalog, 2 * len(wanted.brands)
        slots = brands + len(wanted.partners)
        began: list[bytes] = []
        found = Found(
            self._read(BRAND, wanted.brands, values[:brands:2], catalog.brands, began),
            self._read(PARTNER, wanted.partners, values[brands:slots], catalog.partners, began),
            self._read(SLOT, wanted.slots, values[slots:], catalog.slots, began),
            dict(zip(wanted.brands, values[1:brands:2], strict=True)),
        )
        return found, began[0] if began else None

    def from_catalog(self, wanted: Wanted) -> tuple[Found, Sequence[PriorFeatures]]:
        """Everything from MySQL: nothing is known of steering."""
        catalog = self._catalog
        brands = catalog.brands(wanted.brands)
        priors = catalog.priors()
        found = Found(
            _entries(BRAND, brands),
            _entries(PARTNER, catalog.partners(wanted.partners)),
            _entries(SLOT, catalog.slots(wanted.slots)),
            {},
        )
        return found, priors

    def priors(self, stored: bytes | None) -> Sequence[PriorFeatures]:
        """What people set, of the document in Redis."""
        if stored is not None:
            known, priors = self._priors
            if stored != known:
                priors = tuple([PriorFeatures(**document) for document in orjson.loads(stored)])
                self._priors = stored, priors
            return priors
        priors = self._catalog.priors()
        with suppress(RedisError):
            self._cache.put_priors(priors)
        return priors

    def _read(
        self,
        kind: Kind[F],
        ids: Sequence[str],
        values: Sequence[bytes | None],
        load: Callable[[Sequence[str]], Mapping[str, F]],
        began: list[bytes],
    ) -> dict[str, Entry[F]]:
        entries: dict[str, Entry[F]] = {}
        missing: list[str] = []
        for one, value in zip(ids, values, strict=True):
            if value is None:
                missing.append(one)
            elif value != b"null":
                entries[one] = self._parsed.get(value) or self._parse(kind, value)
        if missing:
            loaded = load(missing)
            absent = [kind.key(one) for one in missing if one not in loaded]
            with suppress(RedisError):  # a Redis that takes no writes (full, a replica) can still be read
                revision = self._cache.fill(*loaded.values(), missing=absent)
                began += [revision] if revision else []
            entries |= _entries(kind, loaded)
        return entries

    def _parse(self, kind: Kind[F], document: bytes) -> Entry[F]:
        if len(self._parsed) > _REMEMBERED:
            self._parsed = {}
        entry: Entry[F] = kind.parsed(document)
        self._parsed[document] = entry
        return entry


def _entries(kind: Kind[F], found: Mapping[str, F]) -> dict[str, Entry[F]]:
    return {one: kind.entry(features) for one, features in found.items()}


def _first(entry: Entry[F] | None) -> F | None:
    return None if entry is None else entry[0]
