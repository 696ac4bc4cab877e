"""Trees in numpy answer as LightGBM does, to the last bit in link space."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adbid.ml.export import Unsupported, forest_from_lightgbm
from adbid.ml.forest import Forest
from adbid.ml.trees import Trees
from tests.unit.ml.boosters import FLOAT_ZERO, edge_rows, parameters, train

NAN, INF = float("nan"), float("inf")


def forest(*trees: str, objective: str = "regression", features: int = 1) -> Forest:
    """A forest from a LightGBM model written by hand."""
    names = " ".join(f"f{i}" for i in range(features))
    head = f"tree\nversion=v4\nnum_tree_per_iteration=1\nobjective={objective}\nfeature_names={names}\n"
    blocks = [f"\nTree={i}\n{tree}\n" for i, tree in enumerate(trees)]
    return forest_from_lightgbm(head + "".join(blocks) + "\nend of trees\n")


def leaf(value: float) -> str:
    return f"num_leaves=1\nleaf_value={value}"


def stump(threshold: float, *, left: float = 1.0, right: float = 2.0, missing: str = "None 0") -> str:
    """A tree of one split. `missing`: LightGBM's type of missing value, and 1 when it goes left."""
    kind, default_left = missing.split()
    decision = ["None", "Zero", "NaN"].index(kind) << 2 | int(default_left) << 1
    return (
        f"num_leaves=2\nsplit_feature=0\nthreshold={threshold}\ndecision_type={decision}\nleft_child=-1\n"
        f"right_child=-2\nleaf_value={left} {right}\nleaf_count=1 1\ninternal_count=2"
    )


def answers(trees: Trees, values: list[float]) -> list[float]:
    return trees.predict(np.array(values)[:, None]).tolist()


def test_a_row_goes_left_up_to_the_threshold() -> None:
    two_splits = """num_leaves=3
split_feature=0 0
threshold=0.5 5
decision_type=0 0
left_child=-1 -2
right_child=1 -3
leaf_value=1 2 3
leaf_count=1 1 1
internal_count=3 2"""
    trees = Trees(forest(two_splits, leaf(10)))
    assert answers(trees, [-INF, 0.5, 0.5000001, 5.0, 5.1, INF]) == [11.0, 11.0, 12.0, 12.0, 13.0, 13.0]


@pytest.mark.parametrize(
    ("threshold", "missing", "expected"),
    [  #                   NaN  zero  5e-324  1e-35 as a float  just above it  below −1
        (-1.0, "None 0", [2.0, 2.0, 2.0, 2.0, 2.0, 1.0]),  # NaN is read as zero, which is above −1
        (+1.0, "None 0", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (-1.0, "NaN 1", [1.0, 2.0, 2.0, 2.0, 2.0, 1.0]),
        (+1.0, "NaN 0", [2.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (-1.0, "Zero 1", [1.0, 1.0, 1.0, 1.0, 2.0, 1.0]),  # what is next to zero goes the default way with it
        (+1.0, "Zero 0", [2.0, 2.0, 2.0, 2.0, 1.0, 1.0]),
    ],
)
def test_missing_values(threshold: float, missing: str, expected: list[float]) -> None:
    values = [NAN, 0.0, 5e-324, FLOAT_ZERO, float(np.nextafter(FLOAT_ZERO, 1)), -1.5]
    assert answers(Trees(forest(stump(threshold, missing=missing))), values) == expected


def test_a_threshold_of_infinity_parts_the_missing_from_all_numbers() -> None:
    trees = Trees(forest(stump(INF, missing="NaN 0"), stump(-INF, left=10.0, right=20.0, missing="NaN 1")))
    assert answers(trees, [NAN, INF, 1e301, 0.0, -1.7e308, -INF]) == [12.0, 21.0, 21.0, 21.0, 21.0, 11.0]


def test_what_is_next_to_zero_is_zero() -> None:
    """A threshold of −1e-36 parts no value within 1e-35 of zero from another: they all count as zero."""
    trees = Trees(forest(stump(-1e-36)))
    assert answers(trees, [-1e-34, -FLOAT_ZERO, -1e-36, -0.0, 1e-36]) == [1.0, 2.0, 2.0, 2.0, 2.0]
    at_zero = Trees(forest(stump(0.0)))
    assert answers(at_zero, [-1e-36, -0.0, 0.0, FLOAT_ZERO, 1e-34]) == [1.0, 1.0, 1.0, 1.0, 2.0]


def test_categories_are_values_cut_to_integers() -> None:
    categories = "num_cat=1\ncat_boundaries=0 3\ncat_threshold=9 0 1"  # bits 0 and 3, and the first of word 2
    categorical = stump(0).replace("decision_type=0", "decision_type=1")
    trees = Trees(forest(f"{categorical}\n{categories}"))
    known = [0.0, -0.5, 0.9, 3.0, 3.999, 64.5]
    others = [NAN, INF, -INF, -1.0, -3.0, 1.0, 2.999, 4.0, 32.0, 35.0, 65.0, 2.0**31, 1e300]
    assert answers(trees, known) == [1.0] * len(known)
    assert answers(trees, others) == [2.0] * len(others)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("regression", [-2.0, 1000.0]),
        ("tweedie tweedie_variance_power:1.5", [0.1353352832366127, INF]),
        ("binary sigmoid:0.5", [0.2689414213699951, 1.0]),
    ],
)
def test_links(objective: str, expected: list[float]) -> None:
    trees = Trees(forest(stump(0.0, left=-2.0, right=1000.0), objective=objective))
    assert answers(trees, [-1.0, 1.0]) == pytest.approx(expected, rel=1e-15)


@settings(max_examples=150, deadline=None)
@given(params=parameters())
def test_equals_lightgbm(params: dict[str, Any]) -> None:
    booster = train(params)
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    rows = edge_rows(booster, np.random.default_rng(params["seed"]), 400)
    np.testing.assert_array_equal(trees.raw(rows), booster.predict(rows, raw_score=True))
    np.testing.assert_allclose(trees.predict(rows), booster.predict(rows), rtol=1e-12, atol=0)
    np.testing.assert_array_equal(trees.raw(rows[:9]), trees.raw(rows)[:9])


@pytest.mark.parametrize("leaves", [2, 31, 32, 33, 64])
def test_every_width_of_mask(leaves: int) -> None:
    booster = train(
        {"objective": "regression", "num_leaves": leaves, "min_data_in_leaf": 1, "seed": leaves}, size=600
    )
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    assert trees.forest.tree_leaves.max() == leaves
    rows = edge_rows(booster, np.random.default_rng(0), 600)
    np.testing.assert_array_equal(trees.raw(rows), booster.predict(rows, raw_score=True))


@settings(max_examples=15, deadline=None)
@given(params=parameters(), size=st.sampled_from([2, 23, 24, 25, 100, 256, 257, 600]))
def test_a_row_has_the_same_answer_in_any_company(params: dict[str, Any], size: int) -> None:
    booster = train(params)
    rng = np.random.default_rng(params["seed"])
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    rows = edge_rows(booster, rng, size)
    together = trees.predict(rows)
    alone = [trees.predict(rows[i : i + 1])[0] for i in range(size)]
    order = rng.permutation(size)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(trees.predict(rows[order]), together[order])
    np.testing.assert_array_equal(trees.predict(np.asfortranarray(rows)), together)
    np.testing.assert_array_equal(trees.predict(np.repeat(rows, 2, axis=0)[::2]), together)


def test_early_stopping_exports_the_best_iteration() -> None:
    rng = np.random.default_rng(1)
    rows, label = rng.normal(size=(400, 3)), rng.normal(size=400)
    known, later = lightgbm.Dataset(rows[:200], label[:200]), lightgbm.Dataset(rows[200:], label[200:])
    params = {
        "objective": "regression",
        "verbose": -1,
        "num_threads": 1,
        "metric": "l2",
        "learning_rate": 0.3,
    }
    stop = lightgbm.early_stopping(3, verbose=False)
    booster = lightgbm.train(params, known, 50, valid_sets=[later], callbacks=[stop])
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    assert trees.forest.tree_count == booster.best_iteration < 50
    np.testing.assert_array_equal(trees.predict(rows), booster.predict(rows))


def test_threads_share_one_model() -> None:
    booster = train({"objective": "tweedie", "num_leaves": 31, "seed": 5})
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    batches = [edge_rows(booster, np.random.default_rng(seed), 10 + 7 * seed) for seed in range(40)]
    expected = [trees.predict(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for found, known in zip(pool.map(trees.predict, batches), expected, strict=True):
                np.testing.assert_array_equal(found, known)


def test_trees_of_one_leaf() -> None:
    trees = Trees(forest(leaf(0.25), leaf(0.5), features=3))
    assert trees.predict(np.zeros((2, 3))).tolist() == [0.75, 0.75]
    assert trees.predict(np.full((100, 3), np.nan)).tolist() == [0.75] * 100


def test_rows_of_another_shape_are_refused() -> None:
    trees = Trees(forest(leaf(1.0), features=2))
    assert trees.predict(np.empty((0, 2))).shape == (0,)
    for shape in ((2,), (1, 3), (1, 2, 2)):
        with pytest.raises(ValueError, match=r"rows must be \[n, 2\]"):
            trees.predict(np.zeros(shape))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"objective": "multiclass", "num_class": 3}, "several classes"),
        (
            {"objective": "regression", "boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1},
            "random forest",
        ),
        ({"objective": "regression", "linear_tree": True}, "linear trees"),
        ({"objective": "regression", "reg_sqrt": True}, "regression sqrt"),
        ({"objective": "cross_entropy_lambda"}, "cross_entropy_lambda"),
        ({"objective": "regression", "num_leaves": 65, "min_data_in_leaf": 1}, "65 leaves"),
    ],
)
def test_what_serving_does_not_evaluate_is_refused(params: dict[str, Any], message: str) -> None:
    rng = np.random.default_rng(0)
    data = lightgbm.Dataset(rng.normal(size=(300, 2)), rng.integers(0, 2, 300))
    booster = lightgbm.train({"verbose": -1, "num_threads": 1} | params, data, 2)
    with pytest.raises(Unsupported, match=message):
        forest_from_lightgbm(booster.model_to_string())


def test_a_custom_objective_has_no_link() -> None:
    rng = np.random.default_rng(0)
    rows, label = rng.normal(size=(300, 2)), rng.normal(size=300)

    def gradient(raw: Any, data: lightgbm.Dataset) -> tuple[Any, Any]:
        return raw - data.get_label(), np.ones_like(raw)

    booster = lightgbm.train(
        {"objective": gradient, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, label), 3
    )
    trees = Trees(forest_from_lightgbm(booster.model_to_string()))
    np.testing.assert_array_equal(trees.predict(rows), booster.predict(rows))
