"""Boosted trees evaluated in plain numpy, by leaf masks instead of walks.

After QuickScorer (Lucchese et al., "QuickScorer: a fast algorithm to rank documents with additive ensembles
of regression trees", SIGIR 2015). Every feature's line is cut at its thresholds into bins, and each bin
carries one mask per tree: the leaves that a value in the bin can still reach. The masks of a row's bins,
ANDed over the features, leave exactly one bit per tree: its leaf. ANDs may be taken in any order, so those of
features that rarely change can be kept.

The answer is LightGBM's to the last bit in link space: the same doubles, added in the order of the trees,
for a row alone as for the same row among others.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.ml.forest import Floats, Forest, Ints
from adbid.ml.leaf_masks import Bins, Levels, Masks, Ranks, bins_of, bounds_of, first_lines, sides_of

_FEW = 24
"""Up to so many rows `Ranks` is faster than `Levels`."""

_CHUNK = 128
"""Rows evaluated together: their intermediate results stay in the processor's cache."""


class Part:
    """What some of the features leave reachable. Never changes once built, so threads may share it."""

    def __init__(self, table: Masks, features: Ints, bins: Sequence[Bins], first: Sequence[int]) -> None:
        self.features = features
        """Those that some tree splits on."""
        self._table = table
        self._ranks = Ranks(bins, first)
        self._levels = Levels(bins, first)
        self._bounds = bounds_of(bins, first)

    def lines(self, columns: Floats) -> Ints:
        """The lines of the table [features, n] for all features' values [features, n]."""
        values = columns.take(self.features, axis=0)
        if values.shape[1] <= _FEW:
            return self._ranks.lines(values.T).T.astype(np.int64)
        return self._levels.lines(values)

    def bounds(self, lines: Ints) -> tuple[Floats, Floats]:
        """Below which, and up to which values the features fall into `lines`: both [n, features]. NaN where
        nothing but the same line says so."""
        below, up_to = self._bounds
        return below.take(lines.T), up_to.take(lines.T)

    def reachable(self, lines: Ints) -> Masks:
        """[n, trees] where all of `lines` leave it so."""
        if lines.shape[1] <= _FEW:
            reduced: Masks = np.bitwise_and.reduce(self.masks(lines), axis=1)
            return reduced
        varies = (lines != lines[:, :1]).any(axis=1)  # much of a bundle is the same for all of its rows
        same = np.bitwise_and.reduce(self._table.take(lines[~varies, 0], axis=0), axis=0)
        lines = lines[varies]
        reachable = np.empty((lines.shape[1], len(same)), dtype=self._table.dtype)
        one = np.empty_like(reachable[:_CHUNK])
        for start in range(0, len(reachable), _CHUNK):
            found = reachable[start : start + _CHUNK]
            found[:] = same
            for line in lines[:, start : start + _CHUNK]:
                left = one[: len(found)]
                self._table.take(line, axis=0, out=left, mode="clip")  # any other mode copies once more
                np.bitwise_and(found, left, out=found)
        return reachable

    def masks(self, lines: Ints) -> Masks:
        """[n, features, trees], each feature's alone."""
        return self._table.take(lines.T, axis=0)


class Trees:
    """A forest ready to evaluate. Never changes once built, so threads may share it."""

    def __init__(self, forest: Forest) -> None:
        self.forest = forest
        used: Ints = np.unique(forest.node_feature).astype(np.int64)
        if len(used) == 0:
            used = np.zeros(1, dtype=np.int64)
        sides = sides_of(forest)
        self._bins = [bins_of(forest, sides, feature) for feature in used.tolist()]
        self._table: Masks = np.concatenate([b.masks for b in self._bins])
        self._whole = Part(self._table, used, self._bins, first_lines(self._bins))
        self.everything = sides.whole
        """[trees]: all leaves reachable."""
        self._leaf_start: NDArray[Any] = forest.leaf_start
        if self._table.dtype == np.uint32:
            self._leaf_start = (self._leaf_start - 127).astype(np.int32)
        else:
            self._leaf_start = self._leaf_start - 1023

    @property
    def used(self) -> Ints:
        """The features some tree splits on; the first feature when none does."""
        return self._whole.features

    def part(self, features: Collection[int]) -> Part | None:
        """Those of `features` that some tree splits on; None when there are none."""
        chosen = [place for place, feature in enumerate(self.used.tolist()) if feature in features]
        if not chosen:
            return None
        first = first_lines(self._bins)
        return Part(
            self._table,
            self.used[chosen],
            [self._bins[place] for place in chosen],
            [first[place] for place in chosen],
        )

    def predict(self, rows: Floats) -> Floats:
        """Predictions [n] for rows [n, features], in the target's unit. ValueError for another shape."""
        raw = self.raw(rows)
        if self.forest.link == "identity":
            return raw
        with np.errstate(over="ignore"):
            if self.forest.link == "log":
                return np.exp(raw)
            odds: Floats = np.exp(-self.forest.link_scale * raw)
        return 1.0 / (1.0 + odds)

    def raw(self, rows: Floats) -> Floats:
        """The sums of the leaves [n] in link space for rows [n, features]."""
        return self.sums(self._whole.reachable(self._whole.lines(self._columns(rows))))

    def masks(self, rows: Floats) -> Masks:
        """[n, used features, trees]: the leaves that a row's value of the feature alone leaves reachable."""
        return self._whole.masks(self._whole.lines(self._columns(rows)))

    def sums(self, reachable: Masks) -> Floats:
        """[n]: the leaves' values, added up tree after tree. reachable: [n, trees], one bit each."""
        if len(reachable) <= _CHUNK:
            return self._sums(reachable)
        starts = range(0, len(reachable), _CHUNK)
        return np.concatenate([self._sums(reachable[start : start + _CHUNK]) for start in starts])

    def _sums(self, reachable: Masks) -> Floats:
        leaf: NDArray[Any]  # a lone bit's index is the exponent of the number that the mask is
        if reachable.dtype == np.uint32:
            # Read as signed, which converts faster; the top bit comes out negative, and 255 drops the sign.
            leaf = reachable.view(np.int32).astype(np.float32).view(np.int32)
            leaf >>= 23
            leaf &= 255
        else:
            leaf = reachable.astype(np.float64).view(np.int64)
            leaf >>= 52
        leaf += self._leaf_start
        values: Floats = self.forest.leaf_value.take(leaf.astype(np.int64, copy=False), mode="clip")
        if len(values) == 1:  # numpy would add a lone column pairwise: other bits than among other rows
            return np.add.accumulate(values, axis=1)[:, -1]
        total: Floats = np.add.reduce(np.ascontiguousarray(values.T), axis=0)
        return total

    def _columns(self, rows: Floats) -> Floats:
        """[features, n] of the rows."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.forest.feature_names):
            raise ValueError(f"rows must be [n, {len(self.forest.feature_names)}], not {list(rows.shape)}")
        return rows.T
