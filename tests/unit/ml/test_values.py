"""What is remembered of rows is what the trees say of them: new or met before, alone or among others."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from adbid.ml import values
from adbid.ml.features import CATEGORIES, CODES, FEATURES, LIFTED, LIFTS, VALUES, Vocabulary
from adbid.ml.trees import Trees
from adbid.ml.values import Numbered, Values, own_levels
from tests.unit.ml.small_models import TABLES, forest

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


def numbered(columns: Columns, book: object, markets: list[int]) -> Numbered:
    """Every row has the number of its place in `NUMBERS`; the market stands for the vertical."""
    keys = zip(*[columns[name] for name in VALUES if name != "vertical"], strict=True)
    numbers = [NUMBERS.setdefault(key, len(NUMBERS)) for key in keys]
    return Numbered(book, 5_000, np.array(numbers, dtype=np.intp), np.array(markets, dtype=np.intp))


NUMBERS: dict[tuple[str, ...], int] = {}
VERTICALS = ["", "a", "b", "c", "d"]


def test_rows_that_somebody_has_numbers_for() -> None:
    remembered, book = Values(VOCABULARY, TREES, TABLES), object()
    for seed in (1, 2, 1, 3, 1):
        columns, features = rows(60, seed)
        markets = [VERTICALS.index(name) for name in columns["vertical"]]
        known = numbered(columns, book, markets)
        for _ in range(2):
            found = remembered.of(columns, known)
            assert found is not None
            again = remembered.of({}, known)  # nobody looks at the columns of what is known
            assert again is not None
            for one in (found, again):
                np.testing.assert_array_equal(one.codes, VOCABULARY.codes_of(columns))
                np.testing.assert_array_equal(one.lifts, VOCABULARY.lifts_of(columns))
                logs = TABLES.values_of(columns["device_type"], columns["creative_type"])
                np.testing.assert_array_equal(one.quality, logs)
                np.testing.assert_array_equal(one.own, own_levels(columns))
                assert remembered.raw(features, one).tobytes() == TREES.raw(features).tobytes()


def test_a_brand_that_moves_to_another_market_has_other_values() -> None:
    remembered, book = Values(VOCABULARY, TREES), object()
    columns, _ = rows(20, 1)
    for name in VERTICALS:
        moved = {**columns, "vertical": [name] * 20}
        found = remembered.of(moved, numbered(moved, book, [VERTICALS.index(name)] * 20))
        assert found is not None
        np.testing.assert_array_equal(found.lifts, VOCABULARY.lifts_of(moved))


def test_numbers_of_another_book_mean_something_else() -> None:
    remembered = Values(VOCABULARY, TREES)
    for seed in (1, 2):
        columns, _ = rows(20, seed)
        given = Numbered(object(), 20, np.arange(20), np.zeros(20, dtype=np.intp))
        found = remembered.of(columns, given)
        assert found is not None
        np.testing.assert_array_equal(found.lifts, VOCABULARY.lifts_of(columns))


def test_features_that_are_not_known() -> None:
    remembered = Values(VOCABULARY, TREES)
    columns, features = rows(50, 1)
    settled = {*range(len(FEATURES))[CODES], *range(len(FEATURES))[LIFTS]}
    holes = features.copy()
    for place in set(range(0, len(FEATURES), 3)) - settled:
        holes[::2, place] = np.nan
    for given in (holes, features, holes, features, features):
        for _ in range(2):
            found = remembered.of(columns)
            assert found is not None
            assert remembered.raw(given, found).tobytes() == TREES.raw(given).tobytes()


def test_the_bounds_of_a_bin_are_where_its_line_ends() -> None:
    part = TREES.part(frozenset(range(len(FEATURES))))
    assert part is not None
    edges = np.unique(TREES.forest.node_threshold)
    around = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), [np.nan, 0.0]])
    values = np.tile(around, (len(FEATURES), 1))
    lines = part.lines(values)
    below, up_to = part.bounds(lines)
    for feature in range(len(part.features)):
        for line in np.unique(lines[feature]):
            inside = (around > below[:, feature][lines[feature] == line][0]) & (
                around <= up_to[:, feature][lines[feature] == line][0]
            )
            known = ~np.isnan(around[lines[feature] == line]).all()
            np.testing.assert_array_equal(inside, (lines[feature] == line) & ~np.isnan(around) & known)


def test_trees_that_look_at_nothing() -> None:
    from tests.unit.ml.test_trees import forest as stump_forest
    from tests.unit.ml.test_trees import leaf

    trees = Trees(stump_forest(leaf(0.25), leaf(0.5), features=len(FEATURES)))
    remembered = Values(VOCABULARY, trees)
    columns, features = rows(5, 1)
    found = remembered.of(columns)
    assert found is not None
    assert remembered.raw(features, found).tolist() == [0.75] * 5
