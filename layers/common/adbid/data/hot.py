"""Everything a bundle needs to be scored, in one read of Redis; what is missing, by one query per kind.

The keys of a bundle depend on two things that only Redis knows for certain: the current generation of the
sums and each brand's vertical. Both are remembered from the last read and checked in this one, so that a
warm bundle takes one round trip, and a second one only when either has changed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, Protocol, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from adbid.data.cache import (
    PRIORS,
    FeatureCache,
    brand_key,
    partner_key,
    read_brand,
    read_partner,
    read_slot,
    slot_key,
)
from adbid.data.counters import POINTER, Generation, decayed
from adbid.data.steering import Steering, read_steering, steering_key
from adbid.domain.context import LEVELS, chain
from adbid.domain.entities import BrandFeatures, PartnerFeatures, PriorFeatures, SlotFeatures
from adbid.domain.priors import operator_priors
from adbid.domain.response import OperatorPriors

F = TypeVar("F", BrandFeatures, PartnerFeatures, SlotFeatures)

Place = tuple[str, str, str, tuple[str, ...]]
"""(brand, partner, slot, context values) of a bid: what its evidence is about."""

MODEL = "model"

LEFT_ALONE_SECONDS = 1.0
"""How long a Redis that failed isn't asked: one that hangs would cost every bundle its whole timeout."""

_REMEMBERED = 50_000  # parsed documents kept per instance; dropped all at once beyond
_REMEMBERED_PLACES = 10_000  # each takes about 1 kB


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
    `steering` lacks the brands that nothing steers. `degraded` names what could not be reached.
    """

    brands: Mapping[str, BrandFeatures]
    partners: Mapping[str, PartnerFeatures]
    slots: Mapping[str, SlotFeatures]
    evidence: NDArray[np.float64] | None
    priors: OperatorPriors | None
    model: bytes | None
    steering: Mapping[str, Steering] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()


@dataclass
class _Memory:
    """What one instance remembers between bundles: parsed documents by their bytes, and two guesses."""

    parsed: dict[bytes, Any] = field(default_factory=dict)
    names: "_Names | None" = None
    verticals: dict[str, str] = field(default_factory=dict)

    def parse(self, document: bytes, read: Callable[[Any], Any]) -> Any:
        known = self.parsed.get(document)
        if known is None:
            if len(self.parsed) > _REMEMBERED:
                self.parsed = {}
            known = self.parsed[document] = read(orjson.loads(document))
        return known


class _Names:
    """The names of the cells that places lie in, as keys of one generation: made once per place."""

    def __init__(self, pointer: bytes) -> None:
        self.pointer = pointer
        self.generation = Generation.parse(pointer)
        self._known: dict[tuple[Place, str], tuple[str | None, ...]] = {}

    def keys(
        self, places: Sequence[Place], verticals: Mapping[str, str]
    ) -> tuple[list[str], NDArray[np.intp]]:
        """The distinct keys of `places`, and [places, levels] indexes into them; -1 where skipped."""
        known = self._known
        path: list[str | None] = []
        for place in places:
            vertical = verticals.get(place[0], "")
            keys = known.get((place, vertical))
            if keys is None:
                if len(known) >= _REMEMBERED_PLACES:
                    known.clear()
                keys = known[place, vertical] = self._of(vertical, *place)
            path += keys
        distinct = [key for key in dict.fromkeys(path) if key is not None]
        numbers: dict[str | None, int] = {None: -1}
        numbers.update(zip(distinct, range(len(distinct)), strict=True))
        index = np.fromiter(map(numbers.__getitem__, path), np.intp, len(path))
        return distinct, index.reshape(len(places), len(LEVELS))

    def _of(
        self, vertical: str, brand: str, partner: str, slot: str, context: tuple[str, ...]
    ) -> tuple[str | None, ...]:
        cells = chain(vertical, brand, partner, slot, context)
        return tuple([None if cell is None else self.generation.key(cell) for cell in cells])


class HotStore:
    """Reads bundles. One per instance; safe to share between threads (a lost guess costs a round trip)."""

    def __init__(self, redis: Redis, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._catalog = catalog
        self._clock = clock
        self._down_until = float("-inf")
        self._cache = FeatureCache(redis)
        self._memory = _Memory()

    @property
    def is_down(self) -> bool:
        """Whether Redis failed so recently that it isn't asked."""
        return self._clock() < self._down_until

    def read(self, places: Sequence[Place], now: datetime) -> Hot:
        """What is known at `now` about the bids at `places`."""
        brands = list(dict.fromkeys([place[0] for place in places]))
        partners = list(dict.fromkeys([place[1] for place in places]))
        slots = list(dict.fromkeys([place[2] for place in places]))
        try:
            if self.is_down:
                raise RedisConnectionError
            return self._from_redis(places, brands, partners, slots, now)
        except RedisError:
            if not self.is_down:
                self._down_until = self._clock() + LEFT_ALONE_SECONDS
            found = self._catalog.brands(brands)
            priors = operator_priors(self._catalog.priors(), places, _verticals(found))
            return Hot(
                found,
                self._catalog.partners(partners),
                self._catalog.slots(slots),
                None,
                priors,
                None,
                degraded=("cache_unavailable",),
            )

    def _from_redis(
        self, places: Sequence[Place], brands: list[str], partners: list[str], slots: list[str], now: datetime
    ) -> Hot:
        memory = self._memory
        names, guessed = memory.names, memory.verticals
        wanted, index = names.keys(places, guessed) if names else ([], None)
        fixed = [POINTER, MODEL, PRIORS]
        features = [*map(brand_key, brands), *map(partner_key, partners), *map(slot_key, slots)]
        features += map(steering_key, brands)
        values: list[Any] = self._redis.mget([*fixed, *features, *wanted])

        pointer, model, stored_priors = values[:3]
        ends = list(accumulate((3, len(brands), len(partners), len(slots), len(brands))))[1:]
        catalog = self._catalog
        found_brands = self._fill(brands, values[3 : ends[0]], read_brand, brand_key, catalog.brands)
        found_partners = self._fill(
            partners, values[ends[0] : ends[1]], read_partner, partner_key, catalog.partners
        )
        found_slots = self._fill(slots, values[ends[1] : ends[2]], read_slot, slot_key, catalog.slots)
        steering = {
            brand: read_steering(value)
            for brand, value in zip(brands, values[ends[2] : ends[3]], strict=True)
            if value is not None
        }
        all_priors = self._priors(stored_priors)

        verticals = _verticals(found_brands)
        sums = values[ends[3] :]
        if pointer is None:
            evidence = None
        else:
            moved = any(guessed.get(brand) != vertical for brand, vertical in verticals.items())
            if names is None or pointer != names.pointer:
                names, moved = _Names(pointer), True
            if moved:
                memory.names = names
                memory.verticals = {**(guessed if len(guessed) < _REMEMBERED else {}), **verticals}
                wanted, index = names.keys(places, verticals)  # not what another thread remembers by now
                sums = self._redis.mget(wanted)
            nothing = (None,)  # the row that skipped levels point at
            evidence = decayed([*sums, *nothing], names.generation.landmark, now)[index]
        priors = operator_priors(all_priors, places, verticals)
        return Hot(found_brands, found_partners, found_slots, evidence, priors, model, steering)

    def _fill(
        self,
        ids: list[str],
        values: list[bytes | None],
        read: Callable[[Any], F],
        key: Callable[[str], str],
        load: Callable[[Sequence[str]], Mapping[str, F]],
    ) -> dict[str, F]:
        """Features by id: parsed where cached, loaded by one query where not, and cached for the next."""
        found: dict[str, F] = {}
        missing: list[str] = []
        for one, value in zip(ids, values, strict=True):
            if value is None:
                missing.append(one)
            elif value != b"null":
                found[one] = self._memory.parse(value, read)
        if missing:
            loaded = load(missing)
            found.update(loaded)
            absent = [key(one) for one in missing if one not in loaded]
            with suppress(RedisError):  # a Redis that takes no writes (full, a replica) can still be read
                self._cache.put(*loaded.values(), missing=absent)
        return found

    def _priors(self, stored: bytes | None) -> Sequence[PriorFeatures]:
        if stored is not None:
            priors: Sequence[PriorFeatures] = self._memory.parse(stored, _read_priors)
            return priors
        priors = self._catalog.priors()
        with suppress(RedisError):
            self._cache.put_priors(priors)
        return priors


def _read_priors(documents: Sequence[Mapping[str, Any]]) -> tuple[PriorFeatures, ...]:
    return tuple([PriorFeatures(**document) for document in documents])


def _verticals(brands: Mapping[str, BrandFeatures]) -> dict[str, str]:
    return {brand: features.vertical for brand, features in brands.items()}
