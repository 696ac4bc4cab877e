"""Posteriors: numbers by hand, and what must hold for any evidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.posterior import beta_posterior, chain, own, prior_variances

COUNT = st.floats(0, 1e9)


def test_without_data_the_answer_is_the_root_prior() -> None:
    assert beta_posterior(successes=0, trials=0) == 0.03


def test_by_hand() -> None:
    assert beta_posterior(successes=7, trials=100) == pytest.approx(10 / 200)
    assert beta_posterior(successes=1, trials=3, alpha=1, beta=1) == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"successes": -1, "trials": 5},
        {"successes": 1, "trials": -5},
        {"successes": 1, "trials": 5, "alpha": -1},
        {"successes": 1, "trials": 5, "alpha": 0, "beta": 0},
    ],
)
def test_nonsense_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        beta_posterior(**arguments)


def test_arguments_are_named() -> None:
    with pytest.raises(TypeError):
        beta_posterior(1, 2)  # type: ignore[misc]


@given(trials=st.floats(1e-6, 1e9), share=st.floats(0, 1))
def test_it_lies_between_prior_and_data(trials: float, share: float) -> None:
    posterior = beta_posterior(successes=share * trials, trials=trials)
    assert min(0.03, share) * (1 - 1e-12) <= posterior <= max(0.03, share) * (1 + 1e-12)


def test_own_evidence_by_hand() -> None:
    """Two rows; the second skips its middle level. 400 of everything lie in the finest cell, or 10."""
    sums = np.array([[1000.0, 1000.0], [600.0, 0.0], [400.0, 10.0]])
    assert own(sums).tolist() == [[400.0, 990.0], [200.0, 0.0], [400.0, 10.0]]


@given(
    parts=st.lists(st.floats(0, 1e9), min_size=1, max_size=8),
    skipped=st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_every_event_is_some_level_s_own_once(parts: list[float], skipped: list[bool]) -> None:
    nested = np.cumsum(parts[::-1])[::-1]
    present = ~np.array(skipped[: len(parts)])
    left = own(np.where(present, nested, 0.0)[:, None])[:, 0]
    assert (left >= 0).all()
    assert left.sum() == pytest.approx(nested[present].max(initial=0.0), rel=1e-9)
    assert (left[~present] == 0).all()


def test_sums_that_differ_by_rounding_leave_nothing() -> None:
    third = 0.1 + 0.2
    assert own(np.array([[0.3], [third]])).tolist() == [[0.0], [third]]


def evidence(*levels: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    successes, trials = np.array(levels, dtype=np.float64).T
    return successes[:, None], trials[:, None]


def test_a_chain_by_hand() -> None:
    successes, trials = evidence((10, 400), (0, 0), (4, 10))
    variances = prior_variances(np.array([100.0, 50.0, 20.0]), trials)
    assert variances[:, 0].tolist() == [0.01, 0.0, 0.05]  # the second level is skipped
    means, expected = chain(successes, trials, variances, np.array([0.03]))
    first = (10 + 100 * 0.03) / 500  # and as sure as 500 trials make it
    lent = 1 / (1 / 500 + 1 / 20)
    assert means[:, 0] == pytest.approx([first, first, (4 + lent * first) / (10 + lent)])
    assert expected[:, 0] == pytest.approx([1 / 100, 1 / 500, 1 / lent])


def test_a_parent_known_from_little_lends_little() -> None:
    successes, trials = evidence((5, 5), (10, 1000))
    strengths = np.array([1e-12, 1000.0])
    means, _ = chain(successes, trials, prior_variances(strengths, trials), np.array([0.0]))
    lent = 1 / (1 / 5 + 1 / 1000)  # not the 1,000 that levels are alike
    assert means[1, 0] == pytest.approx((10 + lent * 1.0) / (1000 + lent))


def test_a_level_without_evidence_passes_its_parent_on_to_the_bit() -> None:
    successes, trials = evidence((1, 7), (0, 0), (0, 0), (0, 0))
    for variances in (np.full((4, 1), 0.03), prior_variances(np.full(4, 33.3), trials)):
        means, _ = chain(successes, trials, variances, np.array([0.03]))
        assert len(set(means[:, 0].tolist())) == 1


LEVEL = st.tuples(st.floats(0, 1), st.just(0.0) | st.floats(1e-6, 1e9))


@given(levels=st.lists(LEVEL, min_size=1, max_size=6), strength=st.floats(0.1, 1e4))
def test_each_level_lies_between_its_parent_and_its_data(
    levels: list[tuple[float, float]], strength: float
) -> None:
    successes, trials = evidence(*[(share * n, n) for share, n in levels])
    variances = prior_variances(np.full(len(levels), strength), trials)
    means, _ = chain(successes, trials, variances, np.array([0.03]))
    parent = 0.03
    for mean, (share, n) in zip(means[:, 0], levels, strict=True):
        low, high = (min(parent, share), max(parent, share)) if n else (parent, parent)
        assert low * (1 - 1e-9) - 1e-300 <= mean <= high * (1 + 1e-9)
        parent = mean


@given(rows=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_a_row_does_not_depend_on_the_rows_beside_it(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    trials = random.uniform(0, 1000, (4, 2, rows))
    successes = trials * random.uniform(0, 1, trials.shape)
    variances = prior_variances(random.uniform(1, 100, (4, 2)), trials)
    root = np.array([[0.03] * rows, [0.5] * rows])
    together = chain(successes, trials, variances, root)[0]
    alone = [
        chain(*(array[..., [row]] for array in (successes, trials, variances)), root[:, [row]])[0]
        for row in range(rows)
    ]
    assert np.array_equal(together, np.concatenate(alone, axis=2))
