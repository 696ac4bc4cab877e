"""Times our evaluation of boosted trees against LightGBM's own, at one thread, in the same run.

    python -m benchmarks.trees [--json OUT] [--rounds 400]

The two take turns on the same rows, and no row comes twice until all have come once, so that neither the
processor's caches nor its guesses at branches remember the answer. Times are medians.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from adbid.ml.artefact import dump, load
from adbid.ml.explain import explain
from adbid.ml.export import forest_from_lightgbm

TREES, LEAVES, FEATURES = 200, 31, 15
BATCHES = (1, 10, 100, 1000)
EXPLAINED = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the results here as well")
    parser.add_argument("--rounds", type=int, default=400, help="calls per measurement (default: 400)")
    options = parser.parse_args()
    results = measure(options.rounds)
    print_table(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(rounds: int) -> dict[str, Any]:
    """Median microseconds of LightGBM and of ours for each task, their ratio, and the artefact's size."""
    rows, label = data(20_000)
    booster = lightgbm.train(
        {
            "objective": "tweedie",
            "num_leaves": LEAVES,
            "max_depth": 6,
            "learning_rate": 0.05,
            "num_threads": 1,
            "verbose": -1,
            "seed": 1,
        },
        lightgbm.Dataset(rows, label, categorical_feature=[0, 1]),
        TREES,
    )
    text = booster.model_to_string()
    blob = dump(metadata={}, ensembles={"revenue": forest_from_lightgbm(text)})
    trees = load(blob).ensembles["revenue"]
    np.testing.assert_array_equal(trees.raw(rows), booster.predict(rows, raw_score=True, num_threads=1))

    tasks: dict[str, Any] = {}
    for size in BATCHES:
        tasks[f"predict {size} row{'s'[: size > 1]}"] = alternate(
            batches(rows, size),
            lambda batch: booster.predict(batch, num_threads=1),
            trees.predict,
            max(rounds * 100 // max(size, 100), 20),
        )
    tasks[f"explain {EXPLAINED} rows"] = alternate(
        batches(rows, EXPLAINED),
        lambda batch: booster.predict(batch, pred_contrib=True, num_threads=1),
        lambda batch: explain(trees, batch),
        max(rounds // 10, 20),
    )
    tasks["load the model"] = alternate(
        batches(rows, 1),
        lambda _: lightgbm.Booster(model_str=text),
        lambda _: load(blob),
        max(rounds // 10, 20),
    )
    model = {"trees": TREES, "leaves": LEAVES, "features": FEATURES, "nodes": len(trees.forest.node_kind)}
    sizes = {"artefact_bytes": len(blob), "lightgbm_text_bytes": len(text)}
    return {"model": model, "sizes": sizes, "tasks": tasks}


def data(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows like the product's: two categories, an hour and a weekday, then rates with gaps; and revenues."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(count, FEATURES))
    for column, values in enumerate((5, 8, 24, 7)):
        rows[:, column] = rng.integers(0, values, count)
    rows[:, 4:][rng.random((count, FEATURES - 4)) < 0.05] = np.nan
    known = np.nan_to_num(rows)
    link = known[:, 4] * known[:, 5] + np.sin(3 * known[:, 6]) + known[:, 0] * known[:, 7] / 2
    label = rng.poisson(np.exp(0.3 * np.clip(link, -5, 5))) * rng.gamma(2.0, 1.0, count)
    return rows, label


def batches(rows: NDArray[np.float64], size: int) -> list[NDArray[np.float64]]:
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)]


def alternate(
    inputs: list[NDArray[np.float64]],
    theirs: Callable[[NDArray[np.float64]], object],
    ours: Callable[[NDArray[np.float64]], object],
    rounds: int,
) -> dict[str, float]:
    """Median microseconds of both over the inputs, turn by turn."""
    times: dict[str, list[float]] = {"lightgbm_us": [], "ours_us": []}
    for turn in range(rounds + 5):
        for name, call in (("lightgbm_us", theirs), ("ours_us", ours)):
            started = time.perf_counter()
            call(inputs[turn % len(inputs)])
            times[name].append(time.perf_counter() - started)
    lightgbm_us, ours_us = (1e6 * median(spent[5:]) for spent in times.values())  # the first calls warm up
    return {
        "lightgbm_us": round(lightgbm_us, 1),
        "ours_us": round(ours_us, 1),
        "ratio": round(lightgbm_us / ours_us, 2),
    }


def print_table(results: dict[str, Any]) -> None:
    print("{trees} trees of {leaves} leaves on {features} features, one thread".format(**results["model"]))
    print(f"{'':<20}{'LightGBM µs':>14}{'ours µs':>12}{'faster':>10}")
    for name, task in results["tasks"].items():
        print(f"{name:<20}{task['lightgbm_us']:>14,.0f}{task['ours_us']:>12,.0f}{task['ratio']:>9.1f}×")
    print(
        "artefact {artefact_bytes:,} bytes, LightGBM's text {lightgbm_text_bytes:,}".format(
            **results["sizes"]
        )
    )


if __name__ == "__main__":
    main()
