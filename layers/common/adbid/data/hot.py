"""Everything a bundle needs to be scored, in one read of Redis; what is missing, by one query per kind.

The keys of a bundle depend on two things that only Redis knows for certain: the current generation of the
sums, and what brands are, above all of which market. Both are remembered, with the generation's pointer and
the revision of what is known (`cache.REVISION`), which every read brings along. So a warm bundle reads its
sums alone, in one round trip; when something has changed since, it is read once more, with all it needs.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from adbid.data.cache import PRIORS, REVISION
from adbid.data.counters import NO_DATA, POINTER, decayed, readable
from adbid.data.counters import WIDTH as SUMS
from adbid.data.hot_keys import MOST_SEATS, Cells, Place, Seated, Seats
from adbid.data.hot_numbers import MARKETS, WIDTH, Numbers, Objects
from adbid.data.hot_objects import Catalog, Documents, Wanted
from adbid.data.wire import mget, packed
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.entities import BrandFeatures, PartnerFeatures, SlotFeatures
from adbid.domain.priors import operator_priors
from adbid.domain.response import OperatorPriors

__all__ = ["MODEL", "Hot", "HotStore", "Numbers", "Place"]

Array = NDArray[np.float64]

MODEL = "model"

LEFT_ALONE_SECONDS = 1.0
"""How long a Redis that failed isn't asked: one that hangs would cost every bundle its whole timeout."""

KNOWN_SECONDS = 60.0
"""How long what was read is remembered: should a change not have reached Redis, its old documents expire."""

_REMEMBERED = 50_000  # brands whose market was met; dropped all at once beyond
_FIXED = packed(POINTER, MODEL, PRIORS, REVISION)
_FIXED_COUNT = 4


@dataclass(frozen=True, eq=False)
class Hot:
    """What is known about one bundle, parallel to its `places`.

    `evidence` is [places, levels, H, M]; None when the sums are lost. `model` points to the current model.
    `degraded` names what could not be reached. `seated` are the places' numbers, where they have some.
    """

    places: Sequence[Place]
    objects: Sequence[Objects]
    numbers: Numbers
    evidence: Array | None
    priors: OperatorPriors | None
    model: bytes | None
    degraded: tuple[str, ...] = ()
    seated: Seated | None = None

    @cached_property
    def brands(self) -> Mapping[str, BrandFeatures]:
        """By id, without those that don't exist."""
        return {brand.id: brand for brand, _, _ in self.objects if brand is not None}

    @cached_property
    def partners(self) -> Mapping[str, PartnerFeatures]:
        """The same."""
        return {partner.id: partner for _, partner, _ in self.objects if partner is not None}

    @cached_property
    def slots(self) -> Mapping[str, SlotFeatures]:
        """The same."""
        return {slot.id: slot for _, _, slot in self.objects if slot is not None}


class _Known:
    """What Redis said, as of one revision, of places all of whose objects exist: in tables by their numbers.

    `since`: by the store's clock.
    """

    def __init__(self, seats: Seats, revision: bytes | None, since: float) -> None:
        self.seats = seats
        self.revision = revision
        self.since = since
        self._filled = np.zeros(MOST_SEATS, dtype=np.bool_)
        self._rows = np.zeros((MOST_SEATS, WIDTH))
        self._objects: list[Objects] = [(None, None, None)] * MOST_SEATS

    def numbers(self, seated: NDArray[np.intp]) -> Numbers | None:
        """What is known of places; None unless all are known."""
        return Numbers.of(self._rows.take(seated, axis=0)) if self._filled.take(seated).all() else None

    def objects(self, seated: Sequence[int]) -> list[Objects]:
        known = self._objects
        return [known[seat] for seat in seated]

    def learn(self, seated: Sequence[int], rows: Array, objects: Sequence[Objects]) -> None:
        for place, (seat, its) in enumerate(zip(seated, objects, strict=True)):
            if None not in its:
                self._rows[seat] = rows[place]
                self._objects[seat] = its
                self._filled[seat] = True


@dataclass
class _Memory:
    """What one instance remembers between bundles."""

    known: _Known = field(default_factory=lambda: _Known(Seats(), None, float("-inf")))
    cells: Cells | None = None
    markets: dict[str, str] = field(default_factory=dict)


def _wait(_: Numbers | None) -> None:
    """What there is to do while Redis is at work, by default."""


class HotStore:
    """Reads bundles. One per instance; safe to share between threads (a lost memory costs a round trip)."""

    def __init__(self, redis: Redis, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._documents = Documents(redis, catalog)
        self._clock = clock
        self._down_until = float("-inf")
        self._memory = _Memory()

    @property
    def is_down(self) -> bool:
        """Whether Redis failed so recently that it isn't asked."""
        return self._clock() < self._down_until

    def read(
        self, places: Sequence[Place], now: datetime, meanwhile: Callable[[Numbers | None], None] = _wait
    ) -> Hot:
        """What is known at `now` about the bids at `places`, of which there is at least one.

        `meanwhile` may be called while Redis is at work, more than once, or never: with the numbers that the
        answer has if nothing has changed, where they are known.
        """
        try:
            if self.is_down:
                raise RedisConnectionError
            known, seated = self._seated(places)
            return self._warm(places, known, seated, now, meanwhile) or self._cold(
                places, known, seated, now, meanwhile
            )
        except RedisError:
            if not self.is_down:
                self._down_until = self._clock() + LEFT_ALONE_SECONDS
            return self._from_catalog(places)

    def _warm(
        self,
        places: Sequence[Place],
        known: _Known,
        seated: list[int],
        now: datetime,
        meanwhile: Callable[[Numbers | None], None],
    ) -> Hot | None:
        """From the sums alone; None when more is needed, or something else has changed."""
        cells, at = self._memory.cells, np.array(seated, dtype=np.intp)
        numbers = known.numbers(at)
        if numbers is None or cells is None or cells.seats is not known.seats:
            return None
        brands, markets = numbers.brand.astype(np.intp), numbers.market.astype(np.intp)
        keys, count, index = cells.keys(places, seated, brands, markets)
        count += _FIXED_COUNT
        values = mget(self._redis, [_FIXED, *keys], count, partial(meanwhile, numbers))
        pointer, model, stored_priors, revision = values[:_FIXED_COUNT]
        if revision is None or revision != known.revision or pointer != cells.pointer:
            return None
        evidence = _evidence(values[_FIXED_COUNT:], index, cells, now)
        objects = known.objects(seated)
        priors = None
        if all_priors := self._documents.priors(stored_priors):
            its_market = {brand.id: brand.market for brand, _, _ in objects if brand is not None}
            priors = operator_priors(all_priors, places, its_market)
        return Hot(places, objects, numbers, evidence, priors, model, seated=Seated(known.seats, at))

    def _cold(
        self,
        places: Sequence[Place],
        known: _Known,
        seated: list[int],
        now: datetime,
        meanwhile: Callable[[Numbers | None], None],
    ) -> Hot:
        """From everything that Redis has, and from MySQL what it hasn't; remembered for the next."""
        memory, wanted = self._memory, Wanted.of(places)
        cells, guesses = memory.cells, memory.markets
        number = dict(zip(wanted.brands, range(len(wanted.brands)), strict=True))
        brands = np.array([number[place[0]] for place in places])
        keys: list[bytes] = []
        count, index = 0, None
        if cells is not None and cells.seats is known.seats:
            keys, count, index = cells.keys(places, seated, brands, _markets(places, guesses))
        documents, their_count = self._documents.keys(wanted)
        values = mget(
            self._redis,
            [_FIXED, *documents, *keys],
            _FIXED_COUNT + their_count + count,
            partial(meanwhile, None),
        )
        pointer, model, stored_priors, revision = values[:_FIXED_COUNT]
        found, began = self._documents.read(wanted, values[_FIXED_COUNT : _FIXED_COUNT + their_count])
        rows, objects = found.rows(places), found.objects(places)
        if revision != known.revision or revision is None:
            known = memory.known = _Known(known.seats, began if revision is None else revision, self._clock())
        known.learn(seated, rows, objects)

        markets, evidence = found.markets(), None
        if readable(pointer):
            sums = values[_FIXED_COUNT + their_count :]
            moved = any(guesses.get(brand, "") != markets.get(brand, "") for brand in wanted.brands)
            if index is None or cells is None or pointer != cells.pointer:
                cells, moved = Cells(pointer, known.seats), True
            if moved:
                memory.cells = cells
                memory.markets = {**(guesses if len(guesses) < _REMEMBERED else {}), **markets}
                # not what another thread remembers by now
                keys, count, index = cells.keys(places, seated, brands, _markets(places, markets))
                sums = mget(self._redis, keys, count)
            assert index is not None
            evidence = _evidence(sums, index, cells, now)
        priors = operator_priors(self._documents.priors(stored_priors), places, markets)
        at = np.array(seated, dtype=np.intp)
        return Hot(
            places,
            objects,
            Numbers.of(rows),
            evidence,
            priors,
            model,
            seated=Seated(known.seats, at),
        )

    def _from_catalog(self, places: Sequence[Place]) -> Hot:
        found, all_priors = self._documents.from_catalog(Wanted.of(places))
        priors = operator_priors(all_priors, places, found.markets())
        return Hot(
            places,
            found.objects(places),
            Numbers.of(found.rows(places)),
            None,
            priors,
            None,
            degraded=("cache_unavailable",),
        )

    def _seated(self, places: Sequence[Place]) -> tuple[_Known, list[int]]:
        """What is known, unless it is too old, and the numbers of `places` in it."""
        known = self._memory.known
        seated = known.seats.of(places)
        if seated is None or self._clock() - known.since > KNOWN_SECONDS:
            seats = known.seats if seated is not None else Seats()
            known = self._memory.known = _Known(seats, known.revision, self._clock())
            seated = seats.of(places)
            assert seated is not None, f"more than {MOST_SEATS} places at once"
        return known, seated


def _evidence(sums: Sequence[bytes | None], index: NDArray[np.intp], cells: Cells, now: datetime) -> Array:
    """[places, levels, H, M] of the values that `index` [levels, places] points at.

    In memory one plane per half-life and measure: what reads it takes some of the planes, and then whole.
    """
    known = decayed([*sums, NO_DATA], cells.generation.landmark, now)  # the last is what -1 points at
    planes = known.reshape(-1, SUMS).T.take(index, axis=1)
    shaped: Array = planes.reshape(len(HALF_LIVES_DAYS), len(MEASURES), *index.shape)
    return shaped.transpose(3, 2, 0, 1)


def _markets(places: Sequence[Place], markets: Mapping[str, str]) -> NDArray[np.intp]:
    """[places]: the numbers of the markets that brands are, or are thought to be, in."""
    return np.array([MARKETS.number(markets[place[0]]) if place[0] in markets else 0 for place in places])
