"""Everything a bundle needs to be scored, in one read of Redis; what is missing, by one query per kind.

The keys of a bundle depend on two things that only Redis knows for certain: the current generation of the
sums and each brand's market. Both are remembered from the last read and checked in this one, so that a
warm bundle takes one round trip, and a second one only when either has changed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from adbid.data.cache import PRIORS, FeatureCache, brand_key, partner_key, slot_key
from adbid.data.counters import NO_DATA, POINTER, WIDTH, decayed, readable
from adbid.data.hot_keys import Cells, Place, Remembered
from adbid.data.hot_numbers import (
    BRAND,
    PARTNER,
    SLOT,
    Entry,
    F,
    Kind,
    Numbers,
    Wanted,
    numbers_of,
    rows_of,
)
from adbid.data.steering import steering_key
from adbid.data.wire import mget, nothing, packed
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.entities import BrandFeatures, PartnerFeatures, PriorFeatures, SlotFeatures
from adbid.domain.priors import operator_priors
from adbid.domain.response import OperatorPriors

__all__ = ["MODEL", "Hot", "HotStore", "Numbers", "Place"]

Array = NDArray[np.float64]

MODEL = "model"

LEFT_ALONE_SECONDS = 1.0
"""How long a Redis that failed isn't asked: one that hangs would cost every bundle its whole timeout."""

_REMEMBERED = 50_000  # parsed documents kept per instance; dropped all at once beyond
_FIXED = packed(POINTER, MODEL, PRIORS)


class Catalog(Protocol):
    """What people set, from MySQL: one query per kind."""

    def brands(self, ids: Sequence[str]) -> Mapping[str, BrandFeatures]: ...
    def partners(self, ids: Sequence[str]) -> Mapping[str, PartnerFeatures]: ...
    def slots(self, ids: Sequence[str]) -> Mapping[str, SlotFeatures]: ...
    def priors(self) -> Sequence[PriorFeatures]: ...


@dataclass(frozen=True)
class Hot:
    """What is known about one bundle. `brands`, `partners` and `slots` lack the ids that don't exist.

    `evidence` is [places, levels, H, M]; None when the sums are lost. `model` points to the current model.
    `degraded` names what could not be reached.
    """

    brands: Mapping[str, BrandFeatures]
    partners: Mapping[str, PartnerFeatures]
    slots: Mapping[str, SlotFeatures]
    numbers: Numbers
    evidence: Array | None
    priors: OperatorPriors | None
    model: bytes | None
    degraded: tuple[str, ...] = ()


@dataclass
class _Memory:
    """What one instance remembers between bundles: parsed documents by their bytes, and two guesses."""

    parsed: dict[bytes | None, Any] = field(default_factory=dict)
    priors: tuple[bytes, Sequence[PriorFeatures]] = (b"[]", ())
    names: Cells | None = None
    markets: dict[str, str] = field(default_factory=dict)

    def entry(self, document: bytes, kind: Kind[F]) -> "Entry[F]":
        if len(self.parsed) > _REMEMBERED:
            self.parsed = {}
        entry = self.parsed[document] = kind.parsed(document)
        return entry


class HotStore:
    """Reads bundles. One per instance; safe to share between threads (a lost guess costs a round trip)."""

    def __init__(self, redis: Redis, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._catalog = catalog
        self._clock = clock
        self._down_until = float("-inf")
        self._cache = FeatureCache(redis)
        self._memory = _Memory()
        self._brand_keys = Remembered(brand_key, steering_key)
        self._partner_keys = Remembered(partner_key)
        self._slot_keys = Remembered(slot_key)

    @property
    def is_down(self) -> bool:
        """Whether Redis failed so recently that it isn't asked."""
        return self._clock() < self._down_until

    def read(self, places: Sequence[Place], now: datetime, meanwhile: Callable[[], None] = nothing) -> Hot:
        """What is known at `now` about the bids at `places`, of which there is at least one.

        `meanwhile` may be called while Redis is at work, more than once, or never.
        """
        wanted = Wanted.of(places)
        try:
            if self.is_down:
                raise RedisConnectionError
            return self._from_redis(places, wanted, now, meanwhile)
        except RedisError:
            if not self.is_down:
                self._down_until = self._clock() + LEFT_ALONE_SECONDS
            return self._from_catalog(places, wanted)

    def _from_catalog(self, places: Sequence[Place], wanted: Wanted) -> Hot:
        found = self._catalog.brands(wanted.brands.distinct)
        all_priors = self._catalog.priors()
        partners = self._catalog.partners(wanted.partners.distinct)
        slots = self._catalog.slots(wanted.slots.distinct)
        numbers = numbers_of(
            wanted,
            rows_of(BRAND, wanted.brands.distinct, found),
            rows_of(PARTNER, wanted.partners.distinct, partners),
            rows_of(SLOT, wanted.slots.distinct, slots),
            [None] * len(wanted.brands.distinct),
        )
        priors = operator_priors(all_priors, places, _markets(found))
        return Hot(found, partners, slots, numbers, None, priors, None, degraded=("cache_unavailable",))

    def _from_redis(
        self, places: Sequence[Place], wanted: Wanted, now: datetime, meanwhile: Callable[[], None]
    ) -> Hot:
        memory = self._memory
        names, guessed = memory.names, memory.markets
        brands, partners, slots = (one.distinct for one in (wanted.brands, wanted.partners, wanted.slots))
        cells: list[bytes] = []
        cell_count, index = 0, None
        if names is not None:
            cells, cell_count, index = names.keys(places, wanted.brands, guessed)
        parts = [_FIXED, *self._brand_keys.of(brands), *self._partner_keys.of(partners)]
        parts += self._slot_keys.of(slots)
        ends = [3, 3 + 2 * len(brands)]
        ends += [ends[-1] + len(partners), ends[-1] + len(partners) + len(slots)]
        values = mget(self._redis, parts + cells, ends[-1] + cell_count, meanwhile)

        pointer, model, stored_priors = values[:3]
        catalog = self._catalog
        found, brand_rows = self._fill(BRAND, brands, values[3 : ends[1] : 2], catalog.brands)
        found_partners, partner_rows = self._fill(
            PARTNER, partners, values[ends[1] : ends[2]], catalog.partners
        )
        found_slots, slot_rows = self._fill(SLOT, slots, values[ends[2] : ends[3]], catalog.slots)
        numbers = numbers_of(wanted, brand_rows, partner_rows, slot_rows, values[4 : ends[1] : 2])
        all_priors = self._priors(stored_priors)

        markets = _markets(found)
        sums = values[ends[3] :]
        evidence: Array | None = None
        if readable(pointer):
            moved = not markets.items() <= guessed.items()
            if names is None or pointer != names.pointer:
                names, moved = Cells(pointer), True
            if moved:
                memory.names = names
                memory.markets = {**(guessed if len(guessed) < _REMEMBERED else {}), **markets}
                # not what another thread remembers by now
                cells, cell_count, index = names.keys(places, wanted.brands, markets)
                sums = mget(self._redis, cells, cell_count)
            assert index is not None
            evidence = _evidence([*sums, NO_DATA], index, names.generation.landmark, now)
        priors = operator_priors(all_priors, places, markets)
        return Hot(found, found_partners, found_slots, numbers, evidence, priors, model)

    def _fill(
        self,
        kind: Kind[F],
        ids: list[str],
        values: Sequence[bytes | None],
        load: Callable[[Sequence[str]], Mapping[str, F]],
    ) -> tuple[dict[str, F], Array]:
        """Objects by id, and all in numbers [width, ids]: parsed where cached, loaded by one query where not,
        and cached for the next."""
        entries: list[Entry[F] | None] = list(map(self._memory.parsed.get, values))
        if None not in entries:
            return {one: entry[0] for one, entry in zip(ids, entries, strict=True) if entry}, kind.rows(
                entries
            )
        missing: list[str] = []
        for place, value in enumerate(values):
            if value is None:
                missing.append(ids[place])
            elif entries[place] is None and value != b"null":
                entries[place] = self._memory.entry(value, kind)
        if missing:
            loaded = load(missing)
            absent = [kind.key(one) for one in missing if one not in loaded]
            with suppress(RedisError):  # a Redis that takes no writes (full, a replica) can still be read
                self._cache.put(*loaded.values(), missing=absent)
            for place, one in enumerate(ids):
                if one in loaded:
                    entries[place] = kind.entry(loaded[one])
        found = {one: entry[0] for one, entry in zip(ids, entries, strict=True) if entry is not None}
        return found, kind.rows(entries)

    def _priors(self, stored: bytes | None) -> Sequence[PriorFeatures]:
        if stored is not None:
            known, priors = self._memory.priors
            if stored != known:
                priors = _read_priors(orjson.loads(stored))
                self._memory.priors = stored, priors
            return priors
        priors = self._catalog.priors()
        with suppress(RedisError):
            self._cache.put_priors(priors)
        return priors


def _evidence(sums: list[bytes | None], index: NDArray[np.intp], landmark: datetime, now: datetime) -> Array:
    """[places, levels, H, M] of the values that `index` [levels, places] points at.

    In memory one plane per half-life and measure: what reads it takes some of the planes, and then whole.
    """
    planes = decayed(sums, landmark, now).reshape(-1, WIDTH).T.take(index, axis=1)
    shaped: Array = planes.reshape(len(HALF_LIVES_DAYS), len(MEASURES), *index.shape)
    return shaped.transpose(3, 2, 0, 1)


def _read_priors(documents: Sequence[Mapping[str, Any]]) -> tuple[PriorFeatures, ...]:
    return tuple([PriorFeatures(**document) for document in documents])


def _markets(brands: Mapping[str, BrandFeatures]) -> dict[str, str]:
    return {brand: features.market for brand, features in brands.items()}
