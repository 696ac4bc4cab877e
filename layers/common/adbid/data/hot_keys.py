"""Which cells a bundle's places lie in: their keys, packed (`adbid.data.wire`) once per place.

An instance meets the same places again and again: what is remembered of them turns a bundle of a thousand
bids into joining bytes and filling in arrays of positions.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.data.counters import Generation
from adbid.data.hot_numbers import MARKETS
from adbid.data.wire import packed
from adbid.domain.context import LEVELS, chain

Place = tuple[str, str, str, tuple[str, ...]]
"""(brand, partner, slot, context values) of a bid: what its evidence is about."""

MOST_SEATS = 10_000
"""Places that an instance remembers at once, each with about 1 kB; dropped all at once beyond."""

_GLOBAL, _VERTICAL, _BRAND, _PARTNER = map(LEVELS.index, ("global", "vertical", "brand", "partner"))


class Seats:
    """Numbers for places: whatever an instance remembers of a place, it keeps in a table by its number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[Place, int] = {}

    def of(self, places: Sequence[Place]) -> list[int] | None:
        """The numbers of `places`, below `MOST_SEATS`; None when there is no room for them."""
        found = list(map(self._numbers.get, places))
        if None not in found:
            return found  # type: ignore[return-value]
        with self._lock:
            numbers = self._numbers
            new = [place for place in dict.fromkeys(places) if place not in numbers]
            if len(numbers) + len(new) > MOST_SEATS:
                return None
            numbers.update(zip(new, range(len(numbers), len(numbers) + len(new)), strict=True))
        return [self._numbers[place] for place in places]


@dataclass(frozen=True, eq=False)
class Seated:
    """The numbers [places] that `seats` gave: of the same `seats`, the same for the same place."""

    seats: Seats
    numbers: NDArray[np.intp]


class Cells:
    """The cells of one generation of sums that places lie in."""

    def __init__(self, pointer: bytes, seats: Seats) -> None:
        self.pointer = pointer
        self.seats = seats
        self.generation = Generation.parse(pointer)
        self._markets: dict[int, tuple[bytes, bytes]] = {}
        self._brands: list[bytes] = [b""] * MOST_SEATS
        self._tails: list[bytes | None] = [None] * MOST_SEATS
        self._levels: list[bytes] = [b""] * MOST_SEATS

    def keys(
        self,
        places: Sequence[Place],
        seats: Sequence[int],
        brands: NDArray[np.intp],
        markets: NDArray[np.intp],
    ) -> tuple[list[bytes], int, NDArray[np.intp]]:
        """The keys of `places`, packed; how many they are; and where each level of each place stands among
        them: [levels, places], -1 where it is skipped. A cell may be asked for more than once.

        `seats` are the places' numbers; `brands` [places] any numbers that tell brands apart; `markets`
        [places] those of the brands' markets (`MARKETS`).
        """
        tails = [self._tails[seat] for seat in seats]
        if None in tails:
            tails = [self._tail(place, seat) for place, seat in zip(places, seats, strict=True)]
        levels = [self._levels[seat] for seat in seats]
        index = np.full((len(LEVELS), len(places)), -1, dtype=np.intp)
        coarse = self._coarse(markets, index)
        own = self._of_brands(seats, brands, index, len(coarse))
        first = len(coarse) + len(own)
        if len({*levels}) == 1:
            end = first + len(levels[0]) * len(places)
            index[list(levels[0])] = np.arange(first, end).reshape(len(places), -1).T
        else:
            depths = np.frombuffer(b"".join(levels), dtype=np.uint8)
            end = first + len(depths)
            index[depths, np.repeat(np.arange(len(places)), list(map(len, levels)))] = np.arange(first, end)
        return [*coarse, *own, *tails], end, index  # type: ignore[list-item]  # none of them is None any more

    def _coarse(self, markets: NDArray[np.intp], index: NDArray[np.intp]) -> list[bytes]:
        """The keys above the brands, and where each place's stand among them."""
        numbers = list(dict.fromkeys(markets.tolist()))
        known = [self._markets.get(number) or self._market(number) for number in numbers]
        tops = list(dict.fromkeys([top for top, _ in known]))
        verticals = [(number, key) for number, (_, key) in zip(numbers, known, strict=True) if key]
        position = np.full((2, max(numbers) + 1), -1, dtype=np.intp)
        position[0, numbers] = [tops.index(top) for top, _ in known]
        position[1, [number for number, _ in verticals]] = np.arange(len(tops), len(tops) + len(verticals))
        index[_GLOBAL : _VERTICAL + 1] = position.take(markets, axis=1)
        return tops + [key for _, key in verticals]

    def _of_brands(
        self, seats: Sequence[int], brands: NDArray[np.intp], index: NDArray[np.intp], first: int
    ) -> list[bytes]:
        """The same of the brands."""
        if len({*brands.tolist()}) == len(brands):
            index[_BRAND] = np.arange(first, first + len(brands))
            return [self._brands[seat] for seat in seats]
        _, where, inverse = np.unique(brands, return_index=True, return_inverse=True)
        index[_BRAND] = first + inverse
        return [self._brands[seats[place]] for place in where.tolist()]

    def _market(self, number: int) -> tuple[bytes, bytes]:
        """The keys of a market's currency and of its vertical, b"" where it has none."""
        cells = chain(MARKETS.value(number) or "", "", "", "", ())
        vertical = cells[_VERTICAL]
        found = packed(self._key(cells[_GLOBAL])), b"" if vertical is None else packed(self._key(vertical))
        self._markets[number] = found
        return found

    def _tail(self, place: Place, seat: int) -> bytes:
        """The keys below the brand; its own, and their levels, are kept beside them."""
        tail = self._tails[seat]
        if tail is None:
            cells = list(enumerate(chain("", *place)))
            found = [(level, self._key(cell)) for level, cell in cells[_PARTNER:] if cell is not None]
            self._brands[seat] = packed(self._key(cells[_BRAND][1]))
            self._levels[seat] = bytes([level for level, _ in found])
            tail = self._tails[seat] = packed(*[key for _, key in found])
        return tail

    def _key(self, cell: str | None) -> str:
        return self.generation.key(str(cell))
