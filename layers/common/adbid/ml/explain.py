"""What each feature adds to a prediction: exact Shapley values of boosted trees, in link space.

The values of Lundberg et al. ("Consistent individualized feature attribution for tree ensembles", 2018), the
same that LightGBM returns for `pred_contrib=True`: a leaf's value is shared out among the m features on its
path. For feature i, with o = 1 where the row's value of the feature lets it reach the leaf, else 0, and z the
share of training rows that went the leaf's way at the feature's nodes,

    value · (o_i − z_i) · Σ over S ⊆ path∖{i} of |S|! (m − |S| − 1)! / m! · Π_{j∈S} o_j · Π_{j∉S} z_j.

The weights are Beta integrals, |S|! (m − |S| − 1)! / m! = ∫₀¹ t^|S| (1 − t)^(m − |S| − 1) dt, so the sum is
the integral of the polynomial Π_{j≠i} (t·o_j + (1 − t)·z_j), of degree m − 1. Gauss–Legendre quadrature with
⌈m / 2⌉ points gives it exactly, and no term is negative: nothing cancels.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adbid.ml.forest import Floats, Forest, Ints
from adbid.ml.leaf_masks import Masks
from adbid.ml.trees import Trees

_CHUNK = 16
"""Rows explained together, to bound memory: a row takes some 50 bytes per leaf and feature on its path."""


class Explanation(NamedTuple):
    """`bias` plus the sum of a row's `contributions` [n, features] is its raw prediction, before the link."""

    contributions: Floats
    bias: float


def explain(trees: Trees, rows: Floats) -> Explanation:
    """Take the predictions for rows [n, features] apart. Raises ValueError for another shape."""
    masks = trees.masks(rows)
    paths = _paths(trees.forest, trees.used)
    contributions = np.zeros((len(masks), len(trees.forest.feature_names)))
    for start in range(0, len(masks), _CHUNK):
        part = slice(start, start + _CHUNK)
        contributions[part, trees.used] = _contributions(masks[part], paths)
    return Explanation(contributions, float(np.sum(paths.value * paths.share.prod(axis=0))))


class _Paths(NamedTuple):
    """The features on the ways to the L leaves, at most m of them per leaf.

    tree [L], bit [L]: where the leaf's bit is in the masks. value [L]: in link space.
    feature [m, L]: its place in `Trees.used`. share [m, L]: z. filler [m, L]: true where a way has fewer
    features; o = z = 1 there, which changes nothing.
    """

    tree: Ints
    bit: NDArray[np.unsignedinteger[Any]]
    value: Floats
    feature: Ints
    share: Floats
    filler: NDArray[np.bool_]


def _contributions(masks: Masks, paths: _Paths) -> Floats:
    """[n, used features] of the masks [n, used features, trees]."""
    count, features, _ = masks.shape
    length = len(paths.feature)
    if length == 0:
        return np.zeros((count, features))
    open_ways = [
        ((masks[:, paths.feature[i], paths.tree] >> paths.bit.astype(masks.dtype)) & 1 == 1) | paths.filler[i]
        for i in range(length)
    ]
    weights = [np.zeros((count, len(paths.value))) for _ in range(length)]
    points, point_weights = np.polynomial.legendre.leggauss((length + 1) // 2)
    for point, point_weight in zip(
        (points + 1) / 2, point_weights / 2, strict=True
    ):  # from [−1, 1] to [0, 1]
        factors = [point * o + (1 - point) * z for o, z in zip(open_ways, paths.share, strict=True)]
        _add_products_of_others(weights, factors, point_weight)
    total = np.zeros(count * features)
    for i in range(length):
        shared_out = paths.value * (open_ways[i] - paths.share[i]) * weights[i]
        target = np.arange(count)[:, None] * features + paths.feature[i]
        total += np.bincount(target.ravel(), shared_out.ravel(), minlength=len(total))
    return total.reshape(count, features)


def _add_products_of_others(sums: list[Floats], factors: list[Floats], weight: float) -> None:
    """Add to each sum the weighted product of all factors but its own."""
    behind = [np.ones_like(factors[0])]
    for factor in factors[:0:-1]:
        behind.append(behind[-1] * factor)
    before = np.full_like(factors[0], weight)
    for i, factor in enumerate(factors):
        sums[i] += before * behind[-1 - i]
        before *= factor


def _paths(forest: Forest, used: Ints) -> _Paths:
    first, middle, end = (
        a.astype(np.int64) for a in (forest.node_first, forest.node_middle, forest.node_end)
    )
    start = forest.leaf_start
    leaf_tree = np.repeat(np.arange(forest.tree_count), forest.tree_leaves)
    # One line for each node and each leaf below it.
    span = end - first
    node = np.repeat(np.arange(len(first)), span)
    local = np.arange(len(node)) - np.repeat(np.cumsum(span) - span, span) + first[node]
    leaf = local + start[forest.node_tree[node]]
    left_cover, right_cover = _child_covers(forest, first, middle, end)
    cover = np.where(local < middle[node], left_cover[node], right_cover[node])
    share = np.divide(cover, forest.node_cover[node], out=np.zeros(len(node)), where=cover > 0)
    # One line for each leaf and each feature on the way to it.
    key = leaf * len(used) + used.searchsorted(forest.node_feature)[node]
    order = np.argsort(key, kind="stable")
    unique, begin = np.unique(key[order], return_index=True)
    share = np.multiply.reduceat(share[order], begin) if len(begin) else share
    leaf, feature = np.divmod(unique, len(used))
    place = np.arange(len(leaf)) - leaf.searchsorted(leaf)
    shape = (int(place.max(initial=-1)) + 1, len(leaf_tree))
    paths = _Paths(
        tree=leaf_tree,
        bit=(np.arange(len(leaf_tree)) - start[leaf_tree]).astype(np.uint64),
        value=forest.leaf_value,
        feature=np.zeros(shape, dtype=np.int64),
        share=np.ones(shape),
        filler=np.ones(shape, dtype=np.bool_),
    )
    paths.feature[place, leaf] = feature
    paths.share[place, leaf] = share
    paths.filler[place, leaf] = False
    return paths


def _child_covers(forest: Forest, first: Ints, middle: Ints, end: Ints) -> tuple[Floats, Floats]:
    """The training rows that went left and right at each node."""
    node_cover, leaf_cover = forest.node_cover.astype(np.float64), forest.leaf_cover.astype(np.float64)
    index = np.arange(len(first))
    start = forest.leaf_start[forest.node_tree]

    def cover(child: Ints, low: Ints, high: Ints) -> Floats:
        inner = high - low > 1
        return np.where(inner, node_cover[np.where(inner, child, 0)], leaf_cover[start + low])

    return cover(index + 1, first, middle), cover(index + middle - first, middle, end)
