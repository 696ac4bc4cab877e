"""Replay: what was known before each row, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.context import LEVELS, chain, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.replay import ABSENT, Log, index_cells, replay

CONTEXT = len(LEVELS) - 5


def column(*codes: int) -> np.ndarray:
    return np.array(codes, dtype=np.intp)


def log_of(days: list[float], brands: list[int], measures: list[list[float]]) -> Log:
    absent = np.full(len(days), ABSENT, dtype=np.intp)
    cells, count = index_cells([absent, column(*brands), *[absent] * (len(LEVELS) - 3)])
    return Log(np.array(days, dtype=np.float64), cells, np.array(measures, dtype=np.float64), count)


def test_evidence_by_hand() -> None:
    rows = [[100.0, 4.0, 1.0, 2.0, 3.0], [50.0, 0.0, 0.0, 1.0, 0.0], [10.0, 1.0, 0.0, 0.5, 0.5]]
    steps = list(replay(log_of([0, 1, 3], [0, 1, 0], rows)))
    one, three = HALF_LIVES_DAYS.index(1.0), HALF_LIVES_DAYS.index(3.0)
    brand = LEVELS.index("brand")
    assert not steps[0].evidence.any()
    assert steps[1].evidence[0, 0, one, 0] == pytest.approx(50.0)  # a day old: half of 100
    assert steps[1].evidence[0, brand, one, 0] == 0.0  # another brand
    assert steps[2].evidence[0, 0, one, 0] == pytest.approx(100 / 8 + 50 / 4)
    assert steps[2].evidence[0, brand, three, 1] == pytest.approx(4 / 2)
    assert not steps[2].evidence[0, LEVELS.index("partner")].any()  # a skipped level has no evidence


def test_a_row_knows_nothing_of_its_own_time_or_later() -> None:
    random = np.random.default_rng(1)
    days = np.sort(random.integers(0, 8, 60)).astype(float).tolist()
    brands = random.integers(0, 3, 60).tolist()
    measures = random.gamma(1.0, 10.0, (60, len(MEASURES)))
    before = list(replay(log_of(days, brands, measures.tolist())))
    for step in before:
        changed = measures.copy()
        changed[step.rows.start :] *= 7.0  # this step and all later ones
        after = list(replay(log_of(days, brands, changed.tolist())))
        same = next(other for other in after if other.day == step.day)
        np.testing.assert_array_equal(same.evidence, step.evidence)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.floats(0, 1e6)), min_size=1, max_size=30))
def test_the_whole_is_the_sum_of_its_brands(rows: list[tuple[int, int, float]]) -> None:
    rows = sorted(rows)
    measures = [[amount] * len(MEASURES) for _, _, amount in rows]
    log = log_of([float(day) for day, _, _ in rows], [brand for _, brand, _ in rows], measures)
    for step in replay(log):
        for half_life, days in enumerate(HALF_LIVES_DAYS):
            known = [
                (brand, amount * 2 ** (-(step.day - day) / days))
                for day, brand, amount in rows
                if day < step.day
            ]
            for row, evidence in zip(range(step.rows.start, step.rows.stop), step.evidence, strict=True):
                own = sum(amount for brand, amount in known if brand == rows[row][1])
                assert evidence[0, half_life, 0] == pytest.approx(sum(a for _, a in known), rel=1e-9)
                assert evidence[LEVELS.index("brand"), half_life, 0] == pytest.approx(own, rel=1e-9)


@given(st.lists(st.tuples(*[st.integers(ABSENT, 1)] * len(LEVELS)), min_size=1, max_size=25))
def test_cells_are_the_ones_serving_names(rows: list[tuple[int, ...]]) -> None:
    rows = [(unit, vertical, abs(b), abs(p), abs(s), *rest) for unit, vertical, b, p, s, *rest in rows]
    currencies, *columns = [column(*codes) for codes in zip(*rows, strict=True)]
    cells, count = index_cells(columns, currencies)
    names: dict[int, str] = {}
    for row, found in zip(rows, cells.tolist(), strict=True):
        currency, vertical, *values = ["" if code == ABSENT else str(code) for code in row]
        named = chain(market(currency, vertical), *values[:3], tuple(values[3:]))
        for name, cell in zip(named, found, strict=True):
            assert (name is None) == (cell == ABSENT)
            if name is not None:
                assert names.setdefault(cell, name) == name
    assert len(set(names.values())) == len(names) == count


def test_a_log_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="order of time"):
        log_of([1.0, 0.0], [0, 0], [[1.0] * 5] * 2)


def test_a_cell_that_does_not_exist_is_refused() -> None:
    log = log_of([0.0], [0], [[1.0] * 5])
    with pytest.raises(ValueError, match="cell indexes"):
        Log(log.days, log.cells, log.measures, log.cell_count - 1)


def test_between_takes_whole_days() -> None:
    log = log_of([0.0, 1.0, 1.0, 2.0], [0, 1, 0, 1], [[1.0] * 5] * 4)
    assert log.between(1.0, 2.0).days.tolist() == [1.0, 1.0]
    assert [(step.start, step.stop) for step in log.steps()] == [(0, 1), (1, 3), (3, 4)]
    assert list(replay(log.between(5.0, 6.0))) == []
