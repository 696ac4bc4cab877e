"""Contributions are LightGBM's exact Shapley values, and they add up to the prediction."""

from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings

from adbid.ml.explain import explain
from adbid.ml.export import forest_from_lightgbm
from adbid.ml.trees import Trees
from tests.unit.ml.boosters import edge_rows, parameters, train

TWO_FEATURES = """tree
num_tree_per_iteration=1
objective=tweedie
feature_names=unused price hour

Tree=0
num_leaves=3
split_feature=1 2
threshold=10 20
decision_type=0 0
left_child=1 -3
right_child=-2 -1
leaf_value=3 5 1
leaf_count=2 4 4
internal_count=10 6

end of trees
"""


def test_worked_example() -> None:
    """price > 10: 5 (4 rows); else hour ≤ 20: 1 (4 rows), else 3 (2 rows). Bias: 5·.4 + 1·.4 + 3·.2 = 3.

    The row is cheap and early, so it gets 1. Knowing the price alone takes 3 to (1·4 + 3·2)/6 = 5/3; the hour
    alone takes it to 5·.4 + 1·.6 = 2.6. Shapley averages over both orders:
    price ((5/3 − 3) + (1 − 2.6))/2 = −22/15, hour ((2.6 − 3) + (1 − 5/3))/2 = −8/15.
    """
    trees = Trees(forest_from_lightgbm(TWO_FEATURES))
    contributions, bias = explain(trees, np.array([[7.0, 9.5, 12.0]]))
    assert bias == pytest.approx(3.0, rel=1e-15)
    assert contributions[0] == pytest.approx([0.0, -22 / 15, -8 / 15], rel=1e-14)


@settings(max_examples=80, deadline=None)
@given(params=parameters())
def test_equals_lightgbm(params: dict[str, Any]) -> None:
    booster = train(params)
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    rows = edge_rows(booster, np.random.default_rng(params["seed"]), 25)
    expected = booster.predict(rows, pred_contrib=True)
    contributions, bias = explain(trees, rows)
    tolerance = 1e-9 * np.abs(trees.forest.leaf_value).max()
    np.testing.assert_allclose(contributions, expected[:, :-1], rtol=1e-9, atol=tolerance)
    np.testing.assert_allclose(bias, expected[:, -1], rtol=1e-9, atol=tolerance)
    np.testing.assert_allclose(contributions.sum(axis=1) + bias, trees.raw(rows), rtol=1e-9, atol=tolerance)


@pytest.mark.parametrize("leaves", [31, 64])
def test_long_paths_over_many_features(leaves: int) -> None:
    """Unlimited depth and one binary feature per level: paths of over twenty different features."""
    rng = np.random.default_rng(leaves)
    rows = (rng.random((3000, 60)) < 0.5).astype(np.float64)
    label = np.cumprod(rows[:, :24], axis=1).sum(axis=1) + 0.01 * rng.random(3000)
    params = {
        "objective": "regression",
        "num_leaves": leaves,
        "min_data_in_leaf": 1,
        "verbose": -1,
        "num_threads": 1,
    }
    booster = lightgbm.train(params, lightgbm.Dataset(rows, label), 5)
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    expected = booster.predict(rows[:40], pred_contrib=True)
    contributions, bias = explain(trees, rows[:40])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(contributions, expected[:, :-1], rtol=1e-9, atol=1e-9 * scale)
    assert bias == pytest.approx(expected[0, -1], rel=1e-9)


def test_a_row_is_explained_alike_in_any_company() -> None:
    booster = train({"objective": "tweedie", "num_leaves": 20, "min_data_in_leaf": 1, "seed": 13})
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    rows = edge_rows(booster, np.random.default_rng(0), 40)
    together = explain(trees, rows).contributions
    alone = np.vstack([explain(trees, rows[i : i + 1]).contributions for i in range(len(rows))])
    np.testing.assert_array_equal(together, alone)


def test_nothing_to_explain() -> None:
    constant = TWO_FEATURES.partition("Tree=0")[0] + "Tree=0\nnum_leaves=1\nleaf_value=2.5\n"
    trees = Trees(forest_from_lightgbm(constant))
    contributions, bias = explain(trees, np.zeros((3, 3)))
    assert (contributions.tolist(), bias) == ([[0.0] * 3] * 3, 2.5)
    assert explain(trees, np.zeros((0, 3))).contributions.shape == (0, 3)
    with pytest.raises(ValueError, match="rows must be"):
        explain(trees, np.zeros((3, 2)))
