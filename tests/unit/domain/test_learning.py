"""Learning from logs whose truth is known."""

import numpy as np
import pytest

from adbid.domain.context import LEVELS
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULTS, LearnedParameters
from adbid.domain.learning import learn, systematic_sample
from adbid.domain.replay import ABSENT, Log, index_cells, replay
from adbid.domain.response import TARGETS, respond

DAYS, BRANDS, SLOTS = 24, 12, 8
BRAND = LEVELS.index("brand")
SLOT = LEVELS.index("slot")


def world(spread: float, impressions: float = 2_000.0, seed: int = 0) -> Log:
    """Brands × slots of one day each, whose click rates differ from each other by `spread` (of the log)."""
    random = np.random.default_rng(seed)
    day, brand, slot = (
        a.ravel() for a in np.meshgrid(range(DAYS), range(BRANDS), range(SLOTS), indexing="ij")
    )
    rate = 0.02 * np.exp(spread * random.standard_normal((BRANDS, SLOTS)))[brand, slot]
    shown = random.poisson(impressions, len(day)).astype(float)
    clicks = random.binomial(shown.astype(int), np.minimum(rate, 1.0)).astype(float)
    absent = np.full(len(day), ABSENT, dtype=np.intp)
    here = np.zeros(len(day), dtype=np.intp)
    cells, count = index_cells([absent, brand, here, slot, *[absent] * (len(LEVELS) - 5)])
    measures = np.stack([shown, clicks, 0 * shown, shown / 1000, clicks / 10], axis=1)
    return Log(day.astype(float), cells, measures, count)


def deviance(log: Log, parameters: LearnedParameters) -> float:
    """Of the clicks on all days but the first, up to a constant."""
    total = 0.0
    for step in list(replay(log))[1:]:
        rate = follow(step.evidence, respond(step.evidence, parameters.response), parameters.drift).ctr
        shown, clicks = log.measures[step.rows, :2].T
        total += float(np.sum(shown * rate - clicks * np.log(rate)))
    return total


def test_alike_slots_are_pooled_and_different_ones_are_not() -> None:
    alike = learn(world(0.0)).response.strengths["ctr"]
    different = learn(world(1.0)).response.strengths["ctr"]
    assert alike[SLOT - 1] > 10 * different[SLOT - 1]


def test_what_is_learned_predicts_another_draw_better_than_the_defaults() -> None:
    parameters = learn(world(0.0, seed=1))
    assert deviance(world(0.0, seed=2), parameters) < deviance(world(0.0, seed=2), DEFAULTS)


def test_the_same_log_gives_the_same_parameters() -> None:
    assert learn(world(0.5)) == learn(world(0.5))


def test_no_data_gives_the_defaults() -> None:
    log = world(0.5)
    assert learn(log.between(-1, 0)) == DEFAULTS
    assert learn(log.between(0, 1)) == DEFAULTS
    assert learn(log).response.strengths["cvr"] == DEFAULTS.response.strengths["cvr"]  # nobody converted


def test_little_data_stays_near_the_defaults() -> None:
    log = world(1.0, impressions=1.0)
    found = np.log(learn(log).response.strengths["ctr"])
    assert np.abs(found - np.log(DEFAULTS.response.strengths["ctr"])).max() <= np.log(100.0)


def test_levels_without_cells_keep_their_defaults() -> None:
    strengths = learn(world(1.0)).response.strengths
    for target in TARGETS:
        assert strengths[target][LEVELS.index("os") - 1] == DEFAULTS.response.strengths[target][-1]


def test_a_sample_is_enough() -> None:
    log = world(0.7)
    whole, part = learn(log), learn(log, sample_rows=500)
    assert deviance(log, part) == pytest.approx(deviance(log, whole), rel=1e-3)


def test_systematic_sampling_is_unbiased_for_exposure() -> None:
    exposure = np.random.default_rng(0).gamma(0.3, 100.0, 5_000)
    rows, weight = systematic_sample(exposure, 1_000, 300)
    assert rows.min() >= 1_000
    assert len(rows) <= 300
    assert weight @ exposure[rows] == pytest.approx(exposure[1_000:].sum())
    every, ones = systematic_sample(exposure, 4_900, 300)
    assert len(every) == 100
    assert (ones == 1).all()


def test_parameters_survive_json() -> None:
    learned = learn(world(0.5))
    assert LearnedParameters.from_json(learned.to_json()) == learned
