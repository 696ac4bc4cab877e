"""The trees' answers, remembered: what a model makes of a row never changes.

A score meets the same brands, slots and devices again and again. The codes and lifts of their values, and the
leaves that these leave reachable, are kept per combination of values. The other features change all the time,
but seldom so far that they fall into another bin of the trees; as long as none does, the answer is the same.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.ml.features import CATEGORIES, CODES, FEATURES, LIFTED, LIFTS, VALUES, Vocabulary
from adbid.ml.leaf_masks import Masks
from adbid.ml.trees import Trees

Array = NDArray[np.float64]

_REMEMBERED = 8_192  # combinations of values, each some 1.5 kB
_REMEMBERED_SUMS = 20_000  # each some 300 bytes
_STATIC = frozenset((*range(CODES.start, CODES.stop), *range(LIFTS.start, LIFTS.stop)))
_NUMBERS = len(CATEGORIES) + 2 * len(LIFTED)


class _Met:
    """Some combinations, by number. Rows are filled in before their number is known to anybody.

    `sums`: the trees' answers, by the number and the lines of the other features.
    """

    def __init__(self, trees: Trees) -> None:
        self.numbered: dict[tuple[str, ...], int] = {}
        self.numbers = np.empty((_REMEMBERED, _NUMBERS))
        self.masks: Masks = np.empty((_REMEMBERED, len(trees.everything)), dtype=trees.everything.dtype)
        self.sums: dict[bytes, float] = {}


@dataclass(frozen=True, eq=False)
class Rows:
    """Codes [len(CATEGORIES), n] and lifts [2, len(LIFTED), n] of rows, and which combinations they are."""

    codes: Array
    lifts: Array
    met: _Met
    numbers: NDArray[np.intp]


class Values:
    """Of one model. Safe to share between threads."""

    def __init__(self, vocabulary: Vocabulary, trees: Trees) -> None:
        self._vocabulary = vocabulary
        self._trees = trees
        self._static = trees.part(_STATIC)
        self._others = trees.part(frozenset(range(len(FEATURES))) - _STATIC)
        self._lock = threading.Lock()
        self._met = _Met(trees)

    def of(self, columns: Mapping[str, Sequence[str]]) -> Rows | None:
        """Rows given as `VALUES`; None when they are too many to be remembered."""
        keys = list(zip(*[columns[name] for name in VALUES], strict=True))
        if len(keys) > _REMEMBERED:
            return None
        met = self._met
        try:
            numbers = np.array([met.numbered[key] for key in keys], dtype=np.intp)
        except KeyError:
            with self._lock:
                met = self._remember(keys)
            numbers = np.array([met.numbered[key] for key in keys], dtype=np.intp)
        found = met.numbers.take(numbers, axis=0).T
        lifts = found[len(CATEGORIES) :].reshape(2, len(LIFTED), len(keys))
        return Rows(found[: len(CATEGORIES)], lifts, met, numbers)

    def raw(self, features: Array, rows: Rows) -> Array:
        """The trees' sums [n] for rows [n, features]."""
        if self._others is None:
            return self._trees.sums(rows.met.masks.take(rows.numbers, axis=0))
        lines = self._others.lines(features.T)
        keys = np.concatenate([rows.numbers[None], lines]).astype(np.int32).T.tobytes()
        width = len(keys) // len(rows.numbers)
        known = rows.met.sums
        named = [keys[start : start + width] for start in range(0, len(keys), width)]
        sums = [known.get(name) for name in named]
        new = [place for place, one in enumerate(sums) if one is None] if None in sums else []
        if new:
            masks = rows.met.masks.take(rows.numbers[new], axis=0) & self._others.reachable(lines[:, new])
            if len(known) + len(new) > _REMEMBERED_SUMS:
                known = rows.met.sums = {}
            for place, one in zip(new, self._trees.sums(masks).tolist(), strict=True):
                sums[place] = known[named[place]] = one
        return np.array(sums, dtype=np.float64)

    def _remember(self, keys: Sequence[tuple[str, ...]]) -> _Met:
        """Works out the new ones among `keys`."""
        met = self._met
        new = [key for key in dict.fromkeys(keys) if key not in met.numbered]
        if len(met.numbered) + len(new) > _REMEMBERED:
            met, new = _Met(self._trees), list(dict.fromkeys(keys))
        if not new:
            return met
        columns = dict(zip(VALUES, zip(*new, strict=True), strict=True))
        at, count = len(met.numbered), len(new)
        features = np.zeros((len(FEATURES), count))
        features[CODES] = self._vocabulary.codes_of(columns)
        features[LIFTS] = self._vocabulary.lifts_of(columns).reshape(-1, count)
        met.numbers[at : at + count] = np.concatenate([features[CODES], features[LIFTS]]).T
        met.masks[at : at + count] = (
            self._trees.everything
            if self._static is None
            else self._static.reachable(self._static.lines(features))
        )
        met.numbered.update(zip(new, range(at, at + count), strict=True))
        self._met = met
        return met
