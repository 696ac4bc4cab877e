"""Which keys a bundle needs, packed (`adbid.data.wire`) once per brand, partner, slot and place.

An instance meets the same ones again and again: what is remembered here turns a bundle of a thousand bids
into joining bytes and filling in arrays of positions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.data.counters import Generation
from adbid.data.wire import packed
from adbid.domain.context import LEVELS, chain

Place = tuple[str, str, str, tuple[str, ...]]
"""(brand, partner, slot, context values) of a bid: what its evidence is about."""

_REMEMBERED = 50_000  # keys of brands, partners and slots, each some 100 bytes; dropped all at once beyond
_REMEMBERED_PLACES = 10_000  # each takes about 1 kB
_VERTICAL, _BRAND, _PARTNER = (LEVELS.index(level) for level in ("vertical", "brand", "partner"))


@dataclass(frozen=True)
class Numbered:
    """The distinct names of places, and where each place's stands among them; None: they are all distinct."""

    distinct: list[str]
    index: NDArray[np.intp] | None

    @classmethod
    def of(cls, names: Sequence[str]) -> "Numbered":
        numbers = dict.fromkeys(names)
        distinct = list(numbers)
        if len(distinct) == len(names):
            return cls(distinct, None)
        numbered = dict(zip(distinct, range(len(distinct)), strict=True))
        return cls(distinct, np.fromiter(map(numbered.__getitem__, names), np.intp, len(names)))

    def spread(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """[k, distinct] as [k, places]."""
        return rows if self.index is None else rows.take(self.index, axis=1)


class Remembered:
    """Packed keys by id: what `keys` makes of it."""

    def __init__(self, *keys: Callable[[str], str]) -> None:
        self._keys = keys
        self._known: dict[str, bytes] = {}

    def of(self, ids: Sequence[str]) -> list[bytes]:
        try:
            return list(map(self._known.__getitem__, ids))
        except KeyError:
            if len(self._known) > _REMEMBERED:
                self._known = {}
            known = self._known
            for one in ids:
                if one not in known:
                    known[one] = packed(*[key(one) for key in self._keys])
            return [known[one] for one in ids]


class Cells:
    """The cells of one generation of sums that places lie in."""

    def __init__(self, pointer: bytes) -> None:
        self.pointer = pointer
        self.generation = Generation.parse(pointer)
        self._currencies = Remembered(lambda market: self._key(chain(market, "", "", "", ())[0]))
        self._verticals = Remembered(lambda market: self._key(chain(market, "", "", "", ())[_VERTICAL]))
        self._brands = Remembered(lambda name: self._key(chain("", name, "", "", ())[_BRAND]))
        self._tails: dict[Place, tuple[bytes, bytes]] = {}

    def keys(
        self, places: Sequence[Place], brands: Numbered, markets: Mapping[str, str]
    ) -> tuple[list[bytes], int, NDArray[np.intp]]:
        """The keys of `places`, packed; how many they are; and where each level of each place stands among
        them: [levels, places], -1 where it is skipped. A cell may be asked for more than once."""
        tails = [self._tails.get(place) or self._tail(place) for place in places]
        of_brand = [markets.get(brand, "") for brand in brands.distinct]
        named = list(dict.fromkeys(of_brand))
        tops = self._currencies.of(named)
        currencies = list(dict.fromkeys(tops))
        verticals = range(len(currencies), len(currencies) + len(named))
        number = dict(zip(named, verticals, strict=True))
        index = np.full((len(LEVELS), len(places)), -1, dtype=np.intp)
        first = verticals.stop
        numbers = np.array([[number[market] for market in of_brand], range(first, first + len(of_brand))])
        index[_VERTICAL : _BRAND + 1] = numbers if brands.index is None else numbers[:, brands.index]
        index[0] = 0
        if len(currencies) > 1:
            index[0] = np.array([currencies.index(top) for top in tops])[index[_VERTICAL] - verticals.start]
        first += len(of_brand)
        depths = np.frombuffer(b"".join([tail[1] for tail in tails]), dtype=np.uint8)
        rows = np.repeat(np.arange(len(places)), [len(tail[1]) for tail in tails])
        index[depths, rows] = np.arange(first, first + len(depths))
        parts = [*currencies, *self._verticals.of(named), *self._brands.of(brands.distinct)]
        return parts + [tail[0] for tail in tails], first + len(depths), index

    def _tail(self, place: Place) -> tuple[bytes, bytes]:
        """The keys below the brand, and their levels."""
        if len(self._tails) >= _REMEMBERED_PLACES:
            self._tails = {}
        cells = list(enumerate(chain("", *place)))[_PARTNER:]
        found = [(level, self._key(cell)) for level, cell in cells if cell is not None]
        tail = packed(*[key for _, key in found]), bytes([level for level, _ in found])
        self._tails[place] = tail
        return tail

    def _key(self, cell: str | None) -> str:
        """Of no cell: a key that holds nothing."""
        return self.generation.key(cell or "")
