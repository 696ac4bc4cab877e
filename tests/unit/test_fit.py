"""Fitting: no leakage, training rows equal serving rows, and no harm where there is nothing to learn."""

from dataclasses import replace

import numpy as np
import pytest

from adbid.domain.context import LEVELS
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULTS
from adbid.domain.replay import ABSENT, Log, index_cells, replay
from adbid.domain.response import respond
from adbid.ml.artefact import load
from adbid.ml.features import FEATURES, LIFTED, Vocabulary, encode, feature_matrix
from adbid.ml.revenue import ENSEMBLE, RevenueModel
from functions.retrain.fit import FitSettings, artefact, fit
from functions.retrain.samples import Column, History, build

DAYS = 14
BRANDS, SLOTS, COUNTRIES = 6, 8, 5
LIFTS = np.array([1.0, 4.0, 0.5, 2.0, 0.25])
"""What the countries earn beside what their brand earns elsewhere."""

SETTINGS = FitSettings(trees=40, learning_rate=0.1, leaf_rows=20, threads=1)


def history(
    *, lifts: np.ndarray = LIFTS, quality: float = 0.0, seed: int = 0, shown: float = 60.0
) -> History:
    """Days of brands × slots × countries, with too few impressions for the chain to know all by itself."""
    random = np.random.default_rng(seed)
    day, brand, slot, country = (
        axis.ravel()
        for axis in np.meshgrid(range(DAYS), range(BRANDS), range(SLOTS), range(COUNTRIES), indexing="ij")
    )
    rows = len(day)
    score = random.random(rows)  # not the slot's own, which its cell would soon know
    rate = 0.05 * np.exp(0.5 * random.standard_normal(BRANDS))[brand] * lifts[country]
    impressions = random.poisson(shown, rows) + 1.0
    revenue = random.poisson(rate * impressions) * 0.1
    clicks = random.binomial(impressions.astype(int), np.minimum(0.05 * np.exp(quality * score), 1.0))
    absent = np.full(rows, ABSENT, dtype=np.intp)
    codes = {
        **dict.fromkeys(LIFTED, absent),
        "brand": brand,
        "partner": np.zeros(rows, dtype=np.intp),
        "slot": slot,
        "country": country,
    }
    cells, count = index_cells([codes[level] for level in LEVELS[1:]])
    values = {"brand": BRANDS, "partner": 1, "slot": SLOTS, "country": COUNTRIES}
    columns = {
        name: Column(tuple(f"{name}{i}" for i in range(values.get(name, 0))), codes[name]) for name in LIFTED
    }
    columns["pricing_model"] = Column(("CPM",), np.zeros(rows, dtype=np.intp))
    zero = np.zeros(rows)
    measures = np.stack([impressions, clicks, zero, zero, revenue], axis=1)
    unknown = np.full(rows, np.nan)
    days = day.astype(float)
    return History(Log(days, cells, measures, count), columns, score, unknown, unknown, days % 7)


def everything(past: History) -> np.ndarray:
    return np.arange(len(past.log), dtype=np.intp)


def test_a_row_sees_nothing_of_its_own_day_or_later() -> None:
    """The test that catches a leak: rewrite a day and all after it, and its features must not move."""
    past = history()
    before, _ = build(past, DEFAULTS, everything(past))
    for day in (1.0, 5.0, DAYS - 1.0):
        later = past.log.days >= day
        measures = past.log.measures.copy()
        measures[later] = np.random.default_rng(9).permutation(measures[later]) * 3.0
        after, _ = build(replace(past, log=replace(past.log, measures=measures)), DEFAULTS, everything(past))
        seen = before.days <= day
        np.testing.assert_array_equal(after.features[seen], before.features[seen])
        np.testing.assert_array_equal(after.posterior_revenue[seen], before.posterior_revenue[seen])
        assert not np.array_equal(after.features[~seen], before.features[~seen], equal_nan=True) or seen.all()


def test_a_cells_own_evidence_is_that_of_the_finest_level_it_names() -> None:
    past = history()
    samples, _ = build(past, DEFAULTS, everything(past))
    step = list(replay(past.log))[-1]
    country = step.evidence[:, LEVELS.index("country"), -1, 0]
    assert country.min() > 0
    np.testing.assert_array_equal(samples.cell_impressions[step.rows], country)


def strings(past: History, name: str, rows: slice) -> list[str]:
    column = past.columns[name]
    return [column.values[code] if code != ABSENT else "" for code in column.codes[rows]]


def test_serving_makes_the_features_of_training() -> None:
    """The last day's rows, once as training builds them and once from strings and the artefact's vocabulary,
    learned the day before: all but the lifts, which serving has from training's end, must be the same."""
    past = history()
    last = DAYS - 1.0
    trained, _ = build(past, DEFAULTS, everything(past))
    _, vocabulary = build(past.between(0.0, last), DEFAULTS, everything(past.between(0.0, last)))
    step = list(replay(past.log))[-1]
    base = respond(step.evidence, DEFAULTS.response)
    inputs = encode(
        Vocabulary.from_json(vocabulary.to_json()),
        {name: strings(past, name, step.rows) for name in past.columns},
        placement_score=past.placement_score[step.rows],
        partner_quality=past.partner_quality[step.rows],
        hour=past.hour[step.rows],
        day_of_week=past.day_of_week[step.rows],
    )
    served = feature_matrix(inputs, step.evidence, base, follow(step.evidence, base, DEFAULTS.drift))
    lift = np.array([name.startswith(("lift_", "residual_lift_")) for name in FEATURES])
    np.testing.assert_array_equal(served[:, ~lift], trained.features[step.rows][:, ~lift])
    # A day's decay changes what is shrunk by a constant, hence not exactly.
    np.testing.assert_allclose(served[:, lift], trained.features[step.rows][:, lift], atol=0.02)


def served_deviance(past: History, data: bytes, first: float) -> tuple[float, float]:
    """Poisson deviance, up to a constant, of revenue from `first` on: of the posterior, and of the model."""
    model = load(data)
    constants = model.metadata["revenue"]
    trees = RevenueModel(model.ensembles[ENSEMBLE], constants["weight"], constants["bias"])
    vocabulary = Vocabulary.from_json(model.metadata["vocabulary"])
    bare = corrected = 0.0
    for step in replay(past.log):
        if step.day < first:
            continue
        base = respond(step.evidence, DEFAULTS.response)
        current = follow(step.evidence, base, DEFAULTS.drift)
        inputs = encode(
            vocabulary,
            {name: strings(past, name, step.rows) for name in past.columns},
            placement_score=past.placement_score[step.rows],
            partner_quality=past.partner_quality[step.rows],
            hour=past.hour[step.rows],
            day_of_week=past.day_of_week[step.rows],
        )
        rate = trees.predict(feature_matrix(inputs, step.evidence, base, current), current)
        shown, revenue = past.log.measures[step.rows][:, [0, 4]].T
        bare += float(np.sum(shown * current.revenue - revenue * np.log(current.revenue)))
        corrected += float(np.sum(shown * rate - revenue * np.log(rate)))
    return bare, corrected


def test_the_model_predicts_later_days_better_than_the_posterior() -> None:
    past = history(shown=15.0)
    fitted = fit(past.between(0.0, 10.0), SETTINGS)
    assert fitted.weight > 0
    bare, corrected = served_deviance(past, artefact(fitted), 10.0)
    assert corrected < bare


def test_the_same_history_gives_the_same_bytes() -> None:
    assert artefact(fit(history(), SETTINGS)) == artefact(fit(history(), SETTINGS))


def test_scrambled_revenue_gives_no_correction_worth_the_name() -> None:
    past = history(lifts=np.ones(COUNTRIES))
    measures = past.log.measures.copy()
    measures[:, 4] = np.random.default_rng(2).permutation(measures[:, 4])
    fitted = fit(replace(past, log=replace(past.log, measures=measures)), SETTINGS)
    assert fitted.report["validated_gain"] < 0.01


def test_too_little_data_gives_the_posterior_alone() -> None:
    short = fit(history().between(0.0, 2.0), SETTINGS)
    assert short.forest is None
    assert short.report["why"] == "too little data"
    assert load(artefact(short)).ensembles == {}
    empty = fit(history().between(50.0, 60.0), SETTINGS)
    assert empty.forest is None
    assert empty.parameters == DEFAULTS


def test_the_correction_moves_revenue_between_rows_not_up_or_down() -> None:
    past = history()
    fitted = fit(past, SETTINGS)
    model = load(artefact(fitted))
    samples, _ = build(past, fitted.parameters, everything(past))
    rows = samples.posterior_revenue > 0
    correction = np.exp(fitted.bias + fitted.weight * model.ensembles[ENSEMBLE].raw(samples.features[rows]))
    expected = samples.posterior_revenue[rows] * samples.impressions[rows]
    assert expected @ correction == pytest.approx(expected.sum(), rel=0.03)


def test_quality_finds_what_placement_adds() -> None:
    tables = fit(history(quality=2.0, shown=15.0), SETTINGS).quality
    assert tables is not None
    used = [lift for lift in tables.placement if lift]
    assert used == sorted(used)  # better places, better lifts
    assert used[-1] - used[0] > 0.3


def test_quality_has_mean_one_over_impressions() -> None:
    past = history(quality=2.0, shown=15.0)
    fitted = fit(past, SETTINGS)
    assert fitted.quality is not None
    samples, _ = build(past, fitted.parameters, everything(past))
    rows = samples.days >= int(SETTINGS.burn_in_share * DAYS)
    lifts = fitted.quality.quality(
        placement_score=past.placement_score[rows],
        partner_quality=past.partner_quality[rows],
        values=np.zeros((2, int(rows.sum()))),
        hour=past.hour[rows],
        impressions=samples.cell_impressions[rows],
    )
    assert np.average(lifts.factor, weights=samples.impressions[rows]) == pytest.approx(1.0, abs=1e-6)
