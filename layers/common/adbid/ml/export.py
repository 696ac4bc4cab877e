"""From LightGBM to a forest: reads the text that `Booster.model_to_string()` returns, without LightGBM.

The text is exact. (`Booster.dump_model()` is not: it cuts thresholds to ±1e300, and a split of the missing
from all other values has the threshold +inf.) It ends with the best iteration when training stopped early,
as `Booster.predict` does.
"""

from collections.abc import Mapping

import numpy as np

from adbid.ml.forest import (
    ARRAYS,
    CATEGORICAL,
    DEFAULT_LEFT,
    MAX_LEAVES,
    MISSING_NAN,
    MISSING_ZERO,
    Forest,
    Link,
)

_LINKS: dict[str, Link] = {
    "custom": "identity",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "log",
    "gamma": "log",
    "tweedie": "log",
    "binary": "logit",
    "cross_entropy": "logit",
}

# Bits of LightGBM's decision_type; the two above them are the type of missing value.
_DECISION_CATEGORICAL = 1
_DECISION_DEFAULT_LEFT = 2
_MISSING = (0, MISSING_ZERO, MISSING_NAN)


class Unsupported(ValueError):
    """The model uses something that serving doesn't evaluate; the message names it."""


def forest_from_lightgbm(model: str) -> Forest:
    """The forest of a booster's text. Raises Unsupported for linear trees, random forests, several classes,
    an objective whose link is unknown, and trees of more than 64 leaves.
    """
    head, *trees = model.partition("\nend of trees")[0].split("\nTree=")
    about = _fields(head)
    if about["num_tree_per_iteration"] != "1":
        raise Unsupported("a model of several classes")
    if "average_output" in about:
        raise Unsupported("a random forest, whose trees are averaged")
    link, link_scale = _link(about.get("objective", "custom"))
    writer = _Writer()
    for tree in trees:
        writer.add(_Tree(_fields(tree)))
    return Forest(
        feature_names=tuple(about["feature_names"].split(" ")),
        link=link,
        link_scale=link_scale,
        **{name: np.array(writer.columns[name], dtype=kind) for name, kind in ARRAYS.items()},
    )


def _fields(block: str) -> dict[str, str]:
    """The lines `name=value` of a block."""
    return {name: value for name, _, value in (line.partition("=") for line in block.splitlines())}


def _link(objective: str) -> tuple[Link, float]:
    """The link of an objective as LightGBM writes it: its name, then options like "sigmoid:1" or "sqrt"."""
    name, *options = objective.split()
    if name not in _LINKS or "sqrt" in options:
        raise Unsupported(f"the objective {objective!r}")
    scales = [float(option.partition(":")[2]) for option in options if option.startswith("sigmoid:")]
    return _LINKS[name], scales[0] if scales else 1.0


class _Tree:
    """One tree as the text has it. A child ≥ 0 is an inner node; a child below is the leaf −1 − child."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.leaves = int(fields["num_leaves"])
        if self.leaves > MAX_LEAVES:
            raise Unsupported(f"a tree of {self.leaves} leaves; {MAX_LEAVES} at most")
        if fields.get("is_linear", "0") != "0":
            raise Unsupported("linear trees")

        def integers(name: str) -> list[int]:
            return [int(value) for value in fields.get(name, "").split()]

        def floats(name: str) -> list[float]:
            return [float(value) for value in fields.get(name, "").split()]

        self.feature = integers("split_feature")
        self.threshold = floats("threshold")
        self.decision = integers("decision_type")
        self.left = integers("left_child")
        self.right = integers("right_child")
        self.node_cover = integers("internal_count")
        self.leaf_value = floats("leaf_value")
        self.leaf_cover = integers("leaf_count") or [0] * self.leaves
        self.category_start = integers("cat_boundaries")
        self.category_words = integers("cat_threshold")


class _Writer:
    """Collects the arrays of a forest, leaves from left to right and nodes in preorder."""

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {name: [] for name in ARRAYS}
        self.columns["category_start"].append(0)

    def add(self, tree: _Tree) -> None:
        self._subtree(tree, 0 if tree.leaves > 1 else -1, 0)
        self.columns["tree_leaves"].append(tree.leaves)

    def _subtree(self, tree: _Tree, child: int, first: int) -> int:
        """Write the subtree whose leaves begin at `first`, and say where they end."""
        columns = self.columns
        if child < 0:
            columns["leaf_value"].append(tree.leaf_value[-1 - child])
            columns["leaf_cover"].append(tree.leaf_cover[-1 - child])
            return first + 1
        threshold, kind = self._split(tree, child)
        place = len(columns["node_first"])
        columns["node_feature"].append(tree.feature[child])
        columns["node_threshold"].append(threshold)
        columns["node_kind"].append(kind)
        columns["node_cover"].append(tree.node_cover[child])
        for name in ("node_first", "node_middle", "node_end"):
            columns[name].append(first)
        middle = self._subtree(tree, tree.left[child], first)
        end = self._subtree(tree, tree.right[child], middle)
        columns["node_middle"][place] = middle
        columns["node_end"][place] = end
        return end

    def _split(self, tree: _Tree, node: int) -> tuple[float, int]:
        """A node's threshold (or category set) and kind."""
        threshold, decision = tree.threshold[node], tree.decision[node]
        if decision & _DECISION_CATEGORICAL:
            start, end = tree.category_start[int(threshold) :][:2]
            return self._category_set(tree.category_words[start:end]), CATEGORICAL
        return threshold, _MISSING[decision >> 2] | (DEFAULT_LEFT if decision & _DECISION_DEFAULT_LEFT else 0)

    def _category_set(self, words: list[int]) -> int:
        columns = self.columns
        columns["category_words"].extend(words)
        columns["category_start"].append(len(columns["category_words"]))
        return len(columns["category_start"]) - 2
