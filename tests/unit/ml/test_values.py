"""What is remembered of rows is what the trees say of them: new or met before, alone or among others."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from adbid.ml import values
from adbid.ml.features import CATEGORIES, CODES, FEATURES, LIFTED, LIFTS, VALUES, Vocabulary
from adbid.ml.trees import Trees
from adbid.ml.values import Values
from tests.unit.ml.small_models import forest

Columns = dict[str, list[str]]

VOCABULARY = Vocabulary(
    dict.fromkeys(CATEGORIES, ("a", "b", "c")),
    {name: {"a": (0.5, -0.5), "b": (-1.0, 0.25), "d": (2.0, 2.0)} for name in LIFTED},
)
TREES = Trees(forest())


def rows(count: int, seed: int) -> tuple[Columns, NDArray[np.float64]]:
    """Values, and all features of them: those that the values don't settle change from seed to seed."""
    random = np.random.default_rng(seed)
    columns = {name: random.choice(["", "a", "b", "c", "d"], count).tolist() for name in VALUES}
    features = random.normal(size=(count, len(FEATURES)))
    features[:, CODES] = VOCABULARY.codes_of(columns).T
    features[:, LIFTS] = VOCABULARY.lifts_of(columns).reshape(-1, count).T
    return columns, features


def check(remembered: Values, columns: Columns, features: NDArray[np.float64]) -> None:
    found = remembered.of(columns)
    assert found is not None
    np.testing.assert_array_equal(found.codes, VOCABULARY.codes_of(columns))
    np.testing.assert_array_equal(found.lifts, VOCABULARY.lifts_of(columns))
    assert remembered.raw(features, found).tobytes() == TREES.raw(features).tobytes()


@pytest.mark.parametrize("count", [1, 24, 25, 300])
def test_new_rows_known_rows_and_rows_that_have_changed(count: int) -> None:
    remembered = Values(VOCABULARY, TREES)
    columns, features = rows(count, seed=1)
    for _ in range(2):
        check(remembered, columns, features)
    changed = features.copy()
    static = {*range(len(FEATURES))[CODES], *range(len(FEATURES))[LIFTS]}
    numeric = [place for place in range(len(FEATURES)) if place not in static]
    changed[:: max(1, count // 5)][:, numeric] += 1.5  # far enough for other bins
    check(remembered, columns, changed)
    check(remembered, *rows(count, seed=2))
    check(remembered, columns, features)


def test_it_forgets_when_it_knows_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_REMEMBERED", 40)
    monkeypatch.setattr(values, "_REMEMBERED_SUMS", 50)
    remembered = Values(VOCABULARY, TREES)
    for seed in (1, 2, 3, 1):
        check(remembered, *rows(30, seed))
    assert remembered.of(rows(41, 4)[0]) is None


def test_threads_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "_REMEMBERED", 60)
    remembered = Values(VOCABULARY, TREES)
    bundles = [rows(25, seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            list(pool.map(lambda one: check(remembered, *one), bundles))


def test_trees_that_look_at_nothing() -> None:
    from tests.unit.ml.test_trees import forest as stump_forest
    from tests.unit.ml.test_trees import leaf

    trees = Trees(stump_forest(leaf(0.25), leaf(0.5), features=len(FEATURES)))
    remembered = Values(VOCABULARY, trees)
    columns, features = rows(5, 1)
    found = remembered.of(columns)
    assert found is not None
    assert remembered.raw(features, found).tolist() == [0.75] * 5
