"""Random LightGBM models, and rows that try their edges."""

from typing import Any

import lightgbm
import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray

FLOAT_ZERO = float(np.float32(1e-35))
SPECIAL = np.array(
    [
        *(np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-36, -1e-36, 1e-35, -1e-35, FLOAT_ZERO),
        *(-FLOAT_ZERO, np.nextafter(FLOAT_ZERO, 1), np.nextafter(-FLOAT_ZERO, -1), 1e300, -1e300, 1.7e308),
        *(
            -1.7e308,
            -1.0,
            -0.5,
            0.5,
            2.7,
            31.0,
            32.0,
            33.9,
            64.0,
            1e6,
            2.0**31 - 1,
            2.0**31,
            -(2.0**31),
            1e19,
        ),
    ]
)


def parameters(**fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """LightGBM parameters, as wild as the product could ever set them."""
    drawn: dict[str, st.SearchStrategy[Any]] = {
        "objective": st.sampled_from(
            ["regression", "regression_l1", "poisson", "gamma", "tweedie", "binary", "cross_entropy"]
        ),
        "num_leaves": st.integers(2, 64),
        "max_depth": st.sampled_from([-1, 1, 2, 3, 6, 12]),
        "min_data_in_leaf": st.sampled_from([1, 5, 20, 400]),
        "min_sum_hessian_in_leaf": st.sampled_from([0.0, 1e-3]),
        "learning_rate": st.sampled_from([0.05, 0.3]),
        "max_bin": st.sampled_from([4, 63, 255]),
        "use_missing": st.booleans(),
        "zero_as_missing": st.booleans(),
        "max_cat_to_onehot": st.sampled_from([1, 4, 100]),
        "min_data_per_group": st.sampled_from([1, 50]),
        "cat_smooth": st.sampled_from([0.0, 10.0]),
        "bagging_fraction": st.sampled_from([0.5, 1.0]),
        "bagging_freq": st.sampled_from([0, 1]),
        "feature_fraction": st.sampled_from([0.5, 1.0]),
        "extra_trees": st.booleans(),
        "sigmoid": st.sampled_from([1.0, 0.4]),
        "seed": st.integers(0, 2**31 - 1),
    }
    return st.fixed_dictionaries(drawn | {name: st.just(value) for name, value in fixed.items()})


def train(params: dict[str, Any], *, rounds: int = 8, size: int = 300) -> lightgbm.Booster:
    """A booster over a random table: numeric, tiny, huge, integer and categorical features, some missing."""
    rng = np.random.default_rng(params["seed"])
    rows, categorical = table(rng, size)
    signal = np.nan_to_num(np.clip(rows, -3, 3)) @ rng.normal(size=rows.shape[1])
    signal += np.isnan(rows) @ rng.normal(size=rows.shape[1]) + (np.nan_to_num(rows[:, -1]) % 3 == 1)
    label = np.exp(np.clip(signal / 3, -4, 4)) * rng.gamma(1.0, 1.0, size)
    if params["objective"] in ("binary", "cross_entropy"):
        label = (label > np.median(label)).astype(np.float64)
    weight = rng.integers(1, 1000, size).astype(np.float64) if rng.random() < 0.5 else None
    data = lightgbm.Dataset(rows, label, weight=weight, categorical_feature=categorical)
    try:
        return lightgbm.train({"num_threads": 1, "verbose": -1, "deterministic": True} | params, data, rounds)
    except (
        lightgbm.basic.LightGBMError
    ):  # some draws make it split off no row at all, which it checks against
        reject()


def table(rng: np.random.Generator, size: int) -> tuple[NDArray[np.float64], list[int]]:
    """Random rows [size, features], and which of the features are categorical (always the last)."""
    kinds = [
        "category",
        *rng.choice(["normal", "sparse", "tiny", "huge", "integer", "category"], rng.integers(0, 7)),
    ]
    columns = [_column(rng, kind, size) for kind in reversed(kinds)]
    return np.column_stack(columns), [i for i, kind in enumerate(reversed(kinds)) if kind == "category"]


def _column(rng: np.random.Generator, kind: str, size: int) -> NDArray[np.float64]:
    normal = rng.normal(size=size)
    column = {
        "normal": normal,
        "sparse": np.where(rng.random(size) < 0.6, 0.0, normal),
        "tiny": normal * 10.0 ** rng.uniform(-37, -33, size),
        "huge": np.where(rng.random(size) < 0.1, np.sign(normal) * np.inf, normal * 1e290),
        "integer": rng.integers(-3, 12, size).astype(np.float64),
        "category": rng.choice([3.0, 0.0, 1.0, 2.0, 31.0, 32.0, 40.0, 700.0][: rng.integers(1, 9)], size),
    }[kind]
    missing = rng.random(size) < rng.choice([0.0, 0.2])
    return np.where(missing, np.nan, column)


def edge_rows(booster: lightgbm.Booster, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Rows [size, features] of special values, thresholds exactly hit, and their neighbours."""
    thresholds = [np.empty(0)] * booster.num_feature()
    frame = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    while frame:
        node = frame.pop()
        if "split_feature" in node:
            frame += [node["left_child"], node["right_child"]]
            at = np.array([float(c) for c in str(node["threshold"]).split("||")])
            near = [at, np.nextafter(at, -np.inf), np.nextafter(at, np.inf)]
            thresholds[node["split_feature"]] = np.concatenate([thresholds[node["split_feature"]], *near])
    pools = [np.concatenate([SPECIAL, t, rng.normal(size=20)]) for t in thresholds]
    return np.column_stack(
        [
            np.where(rng.random(size) < 0.4, rng.choice(SPECIAL, size), rng.choice(pool, size))
            for pool in pools
        ]
    )
