"""Posteriors: numbers by hand, and what must hold for any evidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.posterior import beta_posterior, chain

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


def test_a_chain_by_hand() -> None:
    # root 3 %, worth 100: (3 + 97·…) level by level, strengths 100, 50, 20
    successes = np.array([[[10.0], [0.0], [4.0]]])
    trials = np.array([[[400.0], [0.0], [10.0]]])
    means = chain(successes, trials, np.array([[100.0, 50.0, 20.0]]), np.array([0.03]))
    first = (10 + 100 * 0.03) / 500
    assert means[0, :, 0] == pytest.approx([first, first, (4 + 20 * first) / 30])


def test_a_level_without_evidence_passes_its_parent_on_to_the_bit() -> None:
    successes, trials = np.zeros((1, 4, 1)), np.zeros((1, 4, 1))
    successes[0, 0], trials[0, 0] = 1.0, 7.0
    means = chain(successes, trials, np.full((1, 4), 33.3), np.array([0.03]))
    assert len(set(means[0, :, 0].tolist())) == 1


@given(
    evidence=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1e6)), min_size=1, max_size=6),
    strength=st.floats(0.1, 1e4),
)
def test_each_level_lies_between_its_parent_and_its_data(
    evidence: list[tuple[float, float]], strength: float
) -> None:
    trials = np.array([n for _, n in evidence])
    shares = np.array([share for share, _ in evidence])
    means = chain(
        (shares * trials)[None, :, None],
        trials[None, :, None],
        np.full((1, len(evidence)), strength),
        np.array([0.03]),
    )[0, :, 0]
    parent = 0.03
    for mean, (share, n) in zip(means, evidence, strict=True):
        low, high = (min(parent, share), max(parent, share)) if n else (parent, parent)
        assert low * (1 - 1e-9) - 1e-300 <= mean <= high * (1 + 1e-9)
        parent = mean


@given(rows=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_a_row_does_not_depend_on_the_rows_beside_it(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    trials = random.uniform(0, 1000, (2, 4, rows))
    successes = trials * random.uniform(0, 1, trials.shape)
    strengths, root = random.uniform(1, 100, (2, 4)), np.array([0.03, 0.5])
    together = chain(successes, trials, strengths, root)
    alone = [chain(successes[..., [row]], trials[..., [row]], strengths, root) for row in range(rows)]
    assert np.array_equal(together, np.concatenate(alone, axis=2))
