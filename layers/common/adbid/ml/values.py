"""The trees' answers, remembered: what a model makes of a row never changes.

A score meets the same brands, slots and devices again and again. The codes and lifts of their values, and the
leaves that these leave reachable, are kept per combination of values. The other features change all the time,
but seldom so far that they fall into another bin of the trees: as long as all are within the bins that they
were in before, the answer is the one from before.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import CONTEXT_DIMENSIONS, LEVELS
from adbid.domain.quality_tables import QualityTables
from adbid.ml.features import CATEGORIES, CODES, FEATURES, LIFTED, LIFTS, VALUES, Vocabulary
from adbid.ml.leaf_masks import Masks
from adbid.ml.trees import Trees

Array = NDArray[np.float64]

_REMEMBERED = 8_192  # combinations of values, each some 2 kB
_STATIC = frozenset((*range(CODES.start, CODES.stop), *range(LIFTS.start, LIFTS.stop)))
_CODES, _LIFTS = len(CATEGORIES), len(CATEGORIES) + 2 * len(LIFTED)
_QUALITY = _LIFTS + 2
_NUMBERS = _QUALITY + 1
_MARKET_BITS = 20


def own_levels(columns: Mapping[str, Sequence[str]]) -> NDArray[np.intp]:
    """[n]: the finest of `LEVELS` that each row names."""
    own = np.full(len(columns["slot"]), LEVELS.index("slot"), dtype=np.intp)
    for dimension in CONTEXT_DIMENSIONS:
        own[np.array(columns[dimension], dtype=np.bool_)] = LEVELS.index(dimension)
    return own


@dataclass(frozen=True, eq=False)
class Numbered:
    """Numbers that somebody else has for rows: as long as `book` is the same object, the same number and
    market mean the same values. Numbers [n] are below `most`; markets [n] are numbers, too."""

    book: object
    most: int
    numbers: NDArray[np.intp]
    markets: NDArray[np.intp]


class _Met:
    """Some combinations, by number. Rows are filled in before their number is known to anybody.

    `answers`: the bounds of the bins that the other features were in, and the trees' sum there; NaN as long
    as there is none. `known`: by somebody else's number, the combination's and the market in one, or -1.
    """

    def __init__(self, trees: Trees | None, bounded: int) -> None:
        self.numbered: dict[tuple[str, ...], int] = {}
        self.numbers = np.empty((_REMEMBERED, _NUMBERS))
        if trees is not None:
            self.masks: Masks = np.empty((_REMEMBERED, len(trees.everything)), dtype=trees.everything.dtype)
        self.answers = np.full((_REMEMBERED, 2 * bounded + 1), np.nan)
        self.book: object = None
        self.known = np.empty(0, dtype=np.int64)

    def of(self, numbered: Numbered) -> NDArray[np.intp] | None:
        """Which combinations they are, where all of them are known."""
        known = self.known
        if self.book is not numbered.book:
            return None
        found = known.take(numbered.numbers, mode="clip")
        numbers = found >> _MARKET_BITS
        same = found == (numbers << _MARKET_BITS) + numbered.markets
        return numbers if same.all() and numbers.min() >= 0 else None

    def remember(self, numbered: Numbered, numbers: NDArray[np.intp]) -> None:
        if self.book is not numbered.book:
            self.book, self.known = None, np.full(numbered.most, -1, dtype=np.int64)
        self.known[numbered.numbers] = (numbers << _MARKET_BITS) + numbered.markets
        self.book = numbered.book


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known of rows: `codes` [len(CATEGORIES), n], `lifts` [2, len(LIFTED), n], the `quality`'s
    logarithms of device and creative [2, n], their `own` level [n], the finest that they name, and which
    combinations they are."""

    codes: Array
    lifts: Array
    quality: Array
    own: NDArray[np.intp]
    met: _Met
    numbers: NDArray[np.intp]


class Values:
    """Of one model. Safe to share between threads."""

    def __init__(
        self, vocabulary: Vocabulary, trees: Trees | None, quality: QualityTables | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._trees = trees
        self._quality = quality
        self._static = trees.part(_STATIC) if trees else None
        self._others = trees.part(frozenset(range(len(FEATURES))) - _STATIC) if trees else None
        self._bounded = 0 if self._others is None else len(self._others.features)
        self._lock = threading.Lock()
        self._met = _Met(trees, self._bounded)

    def of(self, columns: Mapping[str, Sequence[str]], numbered: Numbered | None = None) -> Rows | None:
        """Rows given as `VALUES`; None when they are too many to be remembered."""
        met = self._met
        numbers = None if numbered is None else met.of(numbered)
        if numbers is None:
            keys = list(zip(*[columns[name] for name in VALUES], strict=True))
            if len(keys) > _REMEMBERED:
                return None
            with self._lock:
                met = self._remember(keys)
                numbers = np.array([met.numbered[key] for key in keys], dtype=np.intp)
                if numbered is not None:
                    met.remember(numbered, numbers)
        found = met.numbers.take(numbers, axis=0).T
        lifts = found[_CODES:_LIFTS].reshape(2, len(LIFTED), len(numbers))
        own = found[_QUALITY].astype(np.intp)
        return Rows(found[:_CODES], lifts, found[_LIFTS:_QUALITY], own, met, numbers)

    def raw(self, features: Array, rows: Rows) -> Array:
        """The trees' sums [n] for rows [n, features]."""
        assert self._trees is not None
        others, met = self._others, rows.met
        if others is None:
            return self._trees.sums(met.masks.take(rows.numbers, axis=0))
        values = features.take(others.features, axis=1)
        with self._lock:  # a row's bounds and its sum belong together
            answers = met.answers.take(rows.numbers, axis=0)
        within = values > answers[:, : self._bounded]
        within &= values <= answers[:, self._bounded : -1]
        sums = answers[:, -1]
        if within.all():
            return sums
        unknown = np.isnan(values)
        if unknown.any():  # as they were before, where there is an answer from before
            within |= unknown & np.isnan(answers[:, : self._bounded]) & ~np.isnan(sums)[:, None]
            if within.all():
                return sums
        new = np.flatnonzero(~within.all(axis=1))
        numbers, lines = rows.numbers[new], others.lines(features[new].T)
        sums[new] = self._trees.sums(met.masks.take(numbers, axis=0) & others.reachable(lines))
        answer = np.concatenate([*others.bounds(lines), sums[new, None]], axis=1)
        with self._lock:
            met.answers[numbers] = answer
        return sums

    def _remember(self, keys: Sequence[tuple[str, ...]]) -> _Met:
        """Works out the new ones among `keys`."""
        met = self._met
        new = [key for key in dict.fromkeys(keys) if key not in met.numbered]
        if len(met.numbered) + len(new) > _REMEMBERED:
            met, new = _Met(self._trees, self._bounded), list(dict.fromkeys(keys))
        if not new:
            return met
        columns = dict(zip(VALUES, zip(*new, strict=True), strict=True))
        at, count = len(met.numbered), len(new)
        features = np.zeros((len(FEATURES), count))
        features[CODES] = self._vocabulary.codes_of(columns)
        features[LIFTS] = self._vocabulary.lifts_of(columns).reshape(-1, count)
        quality = np.zeros((2, count))
        if self._quality is not None:
            quality = self._quality.values_of(columns["device_type"], columns["creative_type"])
        static = [features[CODES], features[LIFTS], quality, own_levels(columns)[None]]
        met.numbers[at : at + count] = np.concatenate(static).T
        if self._trees is not None:
            met.masks[at : at + count] = (
                self._trees.everything
                if self._static is None
                else self._static.reachable(self._static.lines(features))
            )
        met.numbered.update(zip(new, range(at, at + count), strict=True))
        self._met = met
        return met
