"""One version of what is learned: predictions with and without trees and quality, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.context import LEVELS
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULTS
from adbid.domain.response import OperatorPriors, respond
from adbid.ml.artefact import Artefact
from adbid.ml.features import FEATURES, SCHEMA_HASH
from adbid.ml.model import PACKAGED, Model, Rows, SchemaMismatch
from adbid.ml.trees import Trees
from tests.unit.ml.small_models import BIAS, TABLES, VOCABULARY, WEIGHT, artefact, bundle, evidence, forest


def test_the_packaged_model_predicts_the_posteriors_alone() -> None:
    prediction = PACKAGED.predict(bundle(), evidence())
    base = respond(evidence(), DEFAULTS.response)
    current = follow(evidence(), base, DEFAULTS.drift)
    assert np.array_equal(prediction.response.levels, current.levels)
    assert prediction.revenue is None
    assert prediction.features is None
    assert np.all(prediction.quality.parts == 1.0)


def test_trees_correct_the_posterior() -> None:
    model = Model.from_artefact("v1", artefact())
    prediction = model.predict(bundle(), evidence())
    assert prediction.features is not None
    assert prediction.revenue is not None
    raw = Trees(forest()).raw(prediction.features)
    assert np.ptp(raw) > 0.01, "the trees should tell these rows apart"
    expected = prediction.response.revenue * np.exp(BIAS + WEIGHT * raw)
    np.testing.assert_allclose(prediction.revenue, expected, rtol=1e-14)
    assert model.version == "v1"


def test_the_trees_see_the_bundle() -> None:
    features = Model.from_artefact("v1", artefact()).predict(bundle(), evidence()).features
    assert features is not None
    assert features.shape == (5, len(FEATURES))

    def column(name: str) -> list[float]:
        values: list[float] = features[:, FEATURES.index(name)].tolist()
        return values

    assert column("placement_score")[:4] == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert np.isnan(column("placement_score")[4])
    assert column("hour_bucket") == [3.0] * 5  # nine o'clock is in the fourth bucket of three hours
    assert column("day_of_week") == [4.0] * 5  # Friday
    assert column("device_type") == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert column("pricing_model") == [0.0] * 5
    assert np.isnan(column("os")).all()
    assert column("lift_brand") == [0.3, 0.0, 0.0, 0.0, 0.0]
    assert column("residual_lift_brand") == [0.1, 0.0, 0.0, 0.0, 0.0]


def test_quality_by_hand() -> None:
    quality = Model.from_artefact("v1", artefact(trees=False, quality=TABLES)).predict(bundle(), evidence())
    share = 1000.0 / (1000.0 + 1000.0)  # strength 1,000 against the cell's own 1,000 impressions
    first = [0.05 * 1, -0.02 * 10, 0.2, 0.0, 0.01 * 9]  # the partner of row 0 is unknown: no lift
    first[1] = 0.0
    np.testing.assert_allclose(quality.quality.parts[0], np.exp(np.array(first) * share), rtol=1e-14)
    last = [0.0, -0.02 * 1, 0.0, 0.0, 0.01 * 9]
    np.testing.assert_allclose(quality.quality.parts[4], np.exp(np.array(last) * share), rtol=1e-14)
    np.testing.assert_allclose(quality.quality.factor, quality.quality.parts.prod(axis=1), rtol=0)


def test_quality_fades_with_the_rows_own_cell_not_with_coarser_ones() -> None:
    model = Model.from_artefact("v1", artefact(trees=False, quality=TABLES))
    known = evidence(1)
    known[:, LEVELS.index("device_type")] = 0.0
    rows = bundle(1)
    assert model.predict(rows, known).quality.parts[0, 2] == pytest.approx(np.exp(0.2))
    elsewhere = Rows(
        {**rows.columns, "device_type": [""]}, rows.placement_score, rows.partner_quality, rows.at
    )
    assert model.predict(elsewhere, known).quality.parts[0, 4] == pytest.approx(np.exp(0.09 / 2))


def test_without_revenue_data_nothing_is_predicted_and_all_else_is() -> None:
    for known in (np.zeros_like(evidence()), evidence(revenue=0.0)):
        prediction = Model.from_artefact("v1", artefact(quality=TABLES)).predict(bundle(), known)
        assert prediction.revenue is not None
        assert np.isnan(prediction.revenue).all()
        assert np.isfinite(prediction.response.ctr).all()
        assert np.isfinite(prediction.quality.factor).all()


def test_an_operators_prior_reaches_the_trees() -> None:
    model = Model.from_artefact("v1", artefact())
    clicks, impressions = np.zeros((len(LEVELS), 5)), np.zeros((len(LEVELS), 5))
    clicks[LEVELS.index("brand"), 0], impressions[LEVELS.index("brand"), 0] = 900.0, 1000.0
    without = model.predict(bundle(), evidence())
    given = model.predict(bundle(), evidence(), OperatorPriors(clicks, impressions))
    brand = LEVELS.index("brand")  # its 1,000 impressions all lie in finer cells, which the prior speaks to
    assert given.response.levels[0, brand, 0] == pytest.approx(0.9)
    assert given.response.ctr[0] > without.response.ctr[0] == pytest.approx(0.03)
    assert without.features is not None
    assert given.features is not None
    ctr = FEATURES.index("log_ctr")
    assert given.features[0, ctr] == pytest.approx(np.log(given.response.ctr[0]))
    assert np.array_equal(given.features[1:], without.features[1:], equal_nan=True)


@given(st.permutations(range(5)))
def test_the_order_of_the_rows_never_matters(order: list[int]) -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    rows, known = bundle(), evidence()
    columns = {name: [values[i] for i in order] for name, values in rows.columns.items()}
    shuffled = Rows(columns, rows.placement_score[order], rows.partner_quality[order], rows.at)
    there, here = model.predict(shuffled, known[order]), model.predict(rows, known)
    assert there.revenue is not None
    assert here.revenue is not None
    assert there.revenue.tobytes() == here.revenue[order].tobytes()
    assert there.quality.factor.tobytes() == here.quality.factor[order].tobytes()
    assert (
        there.response.levels.tobytes() == np.ascontiguousarray(here.response.levels[:, :, order]).tobytes()
    )


@given(st.integers(1, 5))
def test_the_rest_of_the_bundle_never_matters(count: int) -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    rows, known = bundle(), evidence()
    some = Rows(
        {name: values[:count] for name, values in rows.columns.items()},
        rows.placement_score[:count],
        rows.partner_quality[:count],
        rows.at,
    )
    part, whole = model.predict(some, known[:count]), model.predict(rows, known)
    assert part.revenue is not None
    assert whole.revenue is not None
    assert part.revenue.tobytes() == whole.revenue[:count].tobytes()
    assert part.quality.factor.tobytes() == whole.quality.factor[:count].tobytes()


def test_hours_change_only_the_hour() -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    night = model.predict(bundle(at=datetime(2026, 11, 20, 0, 0, tzinfo=UTC)), evidence()).quality.parts
    day = model.predict(bundle(), evidence()).quality.parts
    assert np.array_equal(night[:, :4], day[:, :4])
    np.testing.assert_allclose(day[:, 4] / night[:, 4], np.exp(0.09 / 2), rtol=1e-12)


def test_what_an_artefact_says_is_what_serves() -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    assert model.parameters == DEFAULTS
    assert model.vocabulary == VOCABULARY
    assert model.quality == TABLES
    assert model.revenue is not None
    assert (model.revenue.weight, model.revenue.bias) == (WEIGHT, BIAS)
    bare = Model.from_artefact("v2", artefact(trees=False))
    assert bare.revenue is None
    assert bare.quality is None


def test_another_schema_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match=SCHEMA_HASH):
        Model.from_artefact("v1", artefact(schema="0123456789abcdef"))


def test_trees_over_other_columns_are_refused() -> None:
    made = artefact()
    names = ("another", *FEATURES[1:])
    trees = {
        name: Trees(replace(trees.forest, feature_names=names)) for name, trees in made.ensembles.items()
    }
    with pytest.raises(SchemaMismatch, match="another"):
        Model.from_artefact("v1", replace(made, ensembles=trees))


@pytest.mark.parametrize("missing", ["schema", "parameters", "vocabulary", "revenue", "quality"])
def test_metadata_of_something_else_is_refused(missing: str) -> None:
    made = artefact()
    about = {name: value for name, value in made.metadata.items() if name != missing}
    with pytest.raises(KeyError):
        Model.from_artefact("v1", Artefact(**{**vars(made), "metadata": about}))
