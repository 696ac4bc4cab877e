"""Boosted trees as they are stored: compact arrays, no tables, nothing executable.

Trees stand one after the other, and so do their nodes and leaves. A tree's leaves are numbered from left to
right and its inner nodes in preorder. So a node's leaves are one range [first, end), `middle` parts those
to its left from those to its right, and no child pointers are needed: with its index j, its left child (if
that is a node) is j + 1, its right one j + middle − first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Link = Literal["identity", "log", "logit"]

MAX_LEAVES = 64
"""Per tree: one bit each in the widest mask."""

MISSING_ZERO = 1
MISSING_NAN = 2
DEFAULT_LEFT = 4
CATEGORICAL = 8
"""Bits of `node_kind`. MISSING_ZERO: zero and NaN are missing; MISSING_NAN: NaN is; neither: NaN is read as
zero. What is missing goes left with DEFAULT_LEFT, else right. CATEGORICAL makes the others meaningless."""

ARRAYS: Mapping[str, str] = MappingProxyType(
    {
        "tree_leaves": "|u1",
        "node_feature": "<u2",
        "node_threshold": "<f8",
        "node_kind": "|u1",
        "node_first": "|u1",
        "node_middle": "|u1",
        "node_end": "|u1",
        "node_cover": "<u4",
        "leaf_value": "<f8",
        "leaf_cover": "<u4",
        "category_start": "<u4",
        "category_words": "<u4",
    }
)
"""The arrays of a forest and their types, in the order in which a file holds them."""


@dataclass(frozen=True, eq=False)
class Forest:
    """A sum of T trees with N inner nodes and L leaves, and the link that turns the sum into a prediction.

    tree_leaves [T]: leaves per tree, 1 to 64.
    node_threshold [N]: a row goes left when its value is at most this; at a categorical node, the index of
        its category set.
    node_cover [N], leaf_cover [L]: training rows that came by; the explanation weighs with them.
    leaf_value [L]: summands in link space.
    category_start [S + 1], category_words: set s is the bits of the words start[s] to start[s + 1], category
        c being bit c mod 32 of word c // 32; a row goes left when its value, cut to an integer, is in it.
    link: what maps the prediction to the sum: "identity"; "log", so the prediction is exp(sum); "logit",
        so it is 1 / (1 + exp(−link_scale · sum)).

    Raises ValueError when the arrays contradict each other.
    """

    feature_names: tuple[str, ...]
    link: Link
    link_scale: float
    tree_leaves: NDArray[np.uint8]
    node_feature: NDArray[np.uint16]
    node_threshold: Floats
    node_kind: NDArray[np.uint8]
    node_first: NDArray[np.uint8]
    node_middle: NDArray[np.uint8]
    node_end: NDArray[np.uint8]
    node_cover: NDArray[np.uint32]
    leaf_value: Floats
    leaf_cover: NDArray[np.uint32]
    category_start: NDArray[np.uint32]
    category_words: NDArray[np.uint32]

    def __post_init__(self) -> None:
        _check_shapes(self)
        _check_structure(self)
        _check_splits(self)

    @property
    def tree_count(self) -> int:
        return len(self.tree_leaves)

    @property
    def node_tree(self) -> Ints:
        """[N]: the tree each inner node belongs to."""
        return np.repeat(np.arange(self.tree_count), self.tree_leaves.astype(np.int64) - 1)

    @property
    def leaf_start(self) -> Ints:
        """[T]: where each tree's leaves begin."""
        return _starts(self.tree_leaves.astype(np.int64))


def in_category_set(forest: Forest, sets: Ints, categories: Ints) -> NDArray[np.bool_]:
    """Whether each category is in the set beside it; a negative category is in none."""
    start = forest.category_start.astype(np.int64)
    word = categories >> 5
    known = (categories >= 0) & (word < start[sets + 1] - start[sets])
    bits = forest.category_words[np.where(known, start[sets] + word, 0)].astype(np.int64)
    inside: NDArray[np.bool_] = known & ((bits >> (categories & 31)) & 1 == 1)
    return inside


def _starts(counts: Ints) -> Ints:
    return np.cumsum(counts) - counts


def _require(holds: bool | np.bool_, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _check_shapes(forest: Forest) -> None:
    _require(0 < len(forest.feature_names) <= 65_535, "a forest needs 1 to 65535 features")
    _require(len(set(forest.feature_names)) == len(forest.feature_names), "feature names repeat")
    _require(forest.link in get_args(Link), f"unknown link {forest.link!r}")
    _require(np.isfinite(forest.link_scale), "link_scale is not finite")
    for name, kind in ARRAYS.items():
        array: NDArray[Any] = getattr(forest, name)
        _require(array.ndim == 1 and array.dtype == np.dtype(kind), f"{name} is not a vector of {kind}")
    leaves = forest.tree_leaves.astype(np.int64)
    _require(len(leaves) > 0, "a forest needs a tree")
    _require(leaves.min() >= 1 and leaves.max() <= MAX_LEAVES, f"a tree has 1 to {MAX_LEAVES} leaves")
    counts = {"node": int(leaves.sum()) - len(leaves), "leaf": int(leaves.sum())}
    for name in ARRAYS:
        count = counts.get(name.partition("_")[0])
        _require(count is None or len(getattr(forest, name)) == count, f"{name} has the wrong length")
    _require(np.isfinite(forest.leaf_value).all(), "a leaf value is not finite")


def _check_structure(forest: Forest) -> None:
    """Every node's range must be what its parent says: then each tree is one tree, in preorder."""
    first, middle, end = (
        a.astype(np.int64) for a in (forest.node_first, forest.node_middle, forest.node_end)
    )
    leaves = forest.tree_leaves.astype(np.int64)
    _require(((first < middle) & (middle < end)).all(), "a node's leaf range is empty")
    low, high = np.full_like(first, -1), np.full_like(first, -1)
    roots = _starts(leaves - 1)[leaves > 1]
    low[roots], high[roots] = 0, leaves[leaves > 1]
    index = np.arange(len(first))
    for child, start, stop in ((index + 1, first, middle), (index + middle - first, middle, end)):
        inner = stop - start > 1
        _require((child[inner] < len(first)).all(), "a child lies outside its tree")
        low[child[inner]], high[child[inner]] = start[inner], stop[inner]
    _require((low == first).all() and (high == end).all(), "the nodes are not in preorder")


def _check_splits(forest: Forest) -> None:
    _require((forest.node_feature < len(forest.feature_names)).all(), "a node splits on an unknown feature")
    _require(not np.isnan(forest.node_threshold).any(), "a threshold is not a number")
    categorical = (forest.node_kind & CATEGORICAL) != 0
    both = np.intersect1d(forest.node_feature[categorical], forest.node_feature[~categorical])
    _require(len(both) == 0, "a feature is both categorical and numeric")
    start = forest.category_start.astype(np.int64)
    complete = len(start) > 0 and start[0] == 0 and start[-1] == len(forest.category_words)
    _require(complete and (np.diff(start) > 0).all(), "the category sets don't fill their words")
    sets = forest.node_threshold[categorical]
    _require(
        ((sets >= 0) & (sets < len(start) - 1) & (sets == np.floor(sets))).all(),
        "a node names an unknown category set",
    )
