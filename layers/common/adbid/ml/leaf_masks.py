"""The tables behind `adbid.ml.trees`: for each bin of a feature, the leaves that stay reachable in each tree.

Missing values, zeros and categories are settled here, once, so that the evaluation knows nothing of them.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adbid.ml.forest import (
    CATEGORICAL,
    DEFAULT_LEFT,
    MISSING_NAN,
    MISSING_ZERO,
    Floats,
    Forest,
    Ints,
    in_category_set,
)

Masks = NDArray[np.unsignedinteger[Any]]

ZERO = float(np.float32(1e-35))
"""LightGBM takes what is not further than this from zero for zero (kZeroThreshold, a float)."""

_BELOW_ZERO = float(np.nextafter(-ZERO, -np.inf))


class Bins(NamedTuple):
    """One feature's cuts: bin i is (edges[i − 1], edges[i]], the last edge +inf; one more bin is NaN's."""

    edges: Floats
    masks: Masks


class Ranks:
    """Finds values' lines in the table with one search for all features: the fastest for a few rows.

    `first`: where each feature's lines begin. A value's rank among the edges of all features says its bin in
    each. Numpy sorts NaN behind +inf, the last edge of every feature, so the last rank is NaN's.
    """

    def __init__(self, bins: Sequence[Bins], first: Sequence[int]) -> None:
        self._edges: Floats = np.unique(np.concatenate([b.edges for b in bins]))
        ranked = np.append(self._edges, np.nan)
        lines = [b.edges.searchsorted(ranked) + line for b, line in zip(bins, first, strict=True)]
        self._line = np.concatenate(lines).astype(np.int32)
        self._start: Ints = np.arange(len(bins)) * len(ranked)

    def lines(self, values: Floats) -> NDArray[np.int32]:
        """The table's lines [n, features] of values [n, features]."""
        ranks = self._edges.searchsorted(values)
        ranks += self._start
        return self._line.take(ranks)


class Levels:
    """Finds values' lines in the table level by level, for all of them at once: the fastest for many rows.

    A binary search whose outcome nobody can foresee costs the processor a wrong guess at every other step;
    this one has no branches. Each feature's edges, in descending order and filled up with +inf to 2^d − 1,
    are the nodes of a perfect binary tree: level s holds 2^s of them per feature, and node k's children on
    the next level are 2k and, for values up to the edge, 2k + 1. NaN always takes the former.
    """

    def __init__(self, bins: Sequence[Bins], first: Sequence[int]) -> None:
        edges = np.array([len(b.edges) for b in bins])
        depth = int(edges.max()).bit_length()
        size = 1 << depth
        descending = np.full((len(bins), size - 1), np.inf)
        for feature, b in enumerate(bins):
            descending[feature, size - 1 - len(b.edges) :] = b.edges[::-1]
        self._levels = [
            np.ascontiguousarray(descending[:, (size >> s + 1) - 1 :: size >> s]).ravel()
            for s in range(depth)
        ]
        self._root: Ints = np.arange(len(bins))[:, None]
        bin_of_leaf = np.minimum(np.arange(size)[::-1], edges[:, None])
        self._line: Ints = (bin_of_leaf + np.array(first)[:, None]).ravel()

    def lines(self, columns: Floats) -> Ints:
        """The table's lines [features, n] of values [features, n]."""
        place: Ints = 2 * self._root + (columns <= self._levels[0][:, None])
        for edges in self._levels[1:]:
            up_to_edge = columns <= edges.take(place)
            place += place
            place += up_to_edge
        return self._line.take(place)


def first_lines(bins: Sequence[Bins]) -> list[int]:
    """Where each feature's lines begin in the table."""
    return list(accumulate((len(b.masks) for b in bins[:-1]), initial=0))


def bounds_of(bins: Sequence[Bins], first: Sequence[int]) -> tuple[Floats, Floats]:
    """By line of the table, the bounds of its bin: values above the one, up to the other. NaN where it isn't
    a bin of these features, or NaN's."""
    below = np.full(first[-1] + len(bins[-1].masks), np.nan)
    up_to = below.copy()
    for b, line in zip(bins, first, strict=True):
        below[line : line + len(b.edges)] = np.append(-np.inf, b.edges[:-1])
        up_to[line : line + len(b.edges)] = b.edges
    return below, up_to


class Sides(NamedTuple):
    """What stays reachable: of a tree before any split; behind a node to its left; to its right."""

    whole: Masks
    left: Masks
    right: Masks


def sides_of(forest: Forest) -> Sides:
    width = np.uint32 if forest.tree_leaves.max() <= 32 else np.uint64
    below = np.array([(1 << k) - 1 for k in range(65)], dtype=np.uint64)
    whole = below[forest.tree_leaves]
    first, middle, end = (below[a] for a in (forest.node_first, forest.node_middle, forest.node_end))
    tree = whole[forest.node_tree]
    return Sides(
        whole.astype(width), (tree & ~(end ^ middle)).astype(width), (tree & ~(middle ^ first)).astype(width)
    )


def bins_of(forest: Forest, sides: Sides, feature: int) -> Bins:
    nodes = np.flatnonzero(forest.node_feature == feature)
    if len(nodes) and forest.node_kind[nodes[0]] & CATEGORICAL:
        return _categorical_bins(forest, sides, nodes)
    return _numeric_bins(forest, sides, nodes)


def _numeric_bins(forest: Forest, sides: Sides, nodes: Ints) -> Bins:
    threshold, kind, tree = forest.node_threshold[nodes], forest.node_kind[nodes], forest.node_tree[nodes]
    left, right = sides.left[nodes], sides.right[nodes]
    zero_left = threshold >= 0.0
    # Whatever is taken for zero must land on zero's side of every threshold.
    threshold = np.where(np.abs(threshold) <= ZERO, np.where(zero_left, ZERO, _BELOW_ZERO), threshold)
    zero_missing, default_left = (kind & MISSING_ZERO) != 0, (kind & DEFAULT_LEFT) != 0
    around_zero = [_BELOW_ZERO, ZERO] if zero_missing.any() else []
    edges = np.unique(np.concatenate([threshold, around_zero, [np.inf]]))

    edge = edges.searchsorted(threshold)
    masks = np.tile(sides.whole, (len(edges) + 1, 1))
    backward = masks[:-1].copy()
    last = edge == len(edges) - 1  # every number is up to +inf, and the bin behind is NaN's
    np.bitwise_and.at(masks, (edge[~last] + 1, tree[~last]), right[~last])  # bins behind it go right
    np.bitwise_and.at(backward, (edge, tree), left)  # bins up to the threshold go left
    np.bitwise_and.accumulate(masks[:-1], axis=0, out=masks[:-1])
    np.bitwise_and.accumulate(backward[::-1], axis=0, out=backward[::-1])
    masks[:-1] &= backward

    zero_left = np.where(zero_missing, default_left, zero_left)
    if len(around_zero):
        zero = masks[edges.searchsorted(0.0)]
        zero[:] = sides.whole
        np.bitwise_and.at(zero, tree, np.where(zero_left, left, right))
    nan_left = np.where((kind & MISSING_NAN) != 0, default_left, zero_left)
    np.bitwise_and.at(masks[-1], tree, np.where(nan_left, left, right))
    return Bins(edges, masks)


def _categorical_bins(forest: Forest, sides: Sides, nodes: Ints) -> Bins:
    sets = forest.node_threshold[nodes].astype(np.int64)
    categories = _categories(forest, np.unique(sets))
    # Category c holds [c, c + 1) as values are cut to integers, and category 0 also (−1, 0).
    ends = np.concatenate([categories, categories + 1]).astype(np.float64)
    edges = np.unique(np.append(np.where(ends == 0.0, -1.0, np.nextafter(ends, -np.inf)), np.inf))
    of_bin = np.append(np.where(np.isfinite(edges), edges, -1.0), -1.0).astype(np.int64)

    node, line = (a.ravel() for a in np.indices((len(nodes), len(of_bin))))
    goes_left = in_category_set(forest, sets[node], of_bin[line])
    masks = np.tile(sides.whole, (len(of_bin), 1))
    side = np.where(goes_left, sides.left[nodes][node], sides.right[nodes][node])
    np.bitwise_and.at(masks, (line, forest.node_tree[nodes][node]), side)
    return Bins(edges, masks)


def _categories(forest: Forest, sets: Ints) -> Ints:
    """Every category in any of the sets, in order."""
    start = forest.category_start.astype(np.int64)
    words = start[sets + 1] - start[sets]
    word = np.arange(words.sum()) - np.repeat(np.cumsum(words) - words, words)  # counted within its set
    content = forest.category_words[word + np.repeat(start[sets], words)]
    place, bit = np.nonzero((content[:, None] >> np.arange(32, dtype=np.uint32)) & 1)
    return np.unique(word[place] * 32 + bit)
