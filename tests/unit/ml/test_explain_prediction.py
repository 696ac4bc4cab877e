"""Explanations: terms and rest sum to the logarithm of the predicted revenue, whatever predicts it."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.quality import PARTS, apply_quality_factors
from adbid.ml.explain_prediction import TOP, Explanation, explain_prediction, in_words
from adbid.ml.features import FEATURES
from adbid.ml.model import PACKAGED, Model, Prediction
from tests.unit.ml.small_models import BIAS, TABLES, artefact, bundle, evidence

COST = np.array([0.004, 0.005, 0.006, 0.007, 0.0])


def explained(
    model: Model, prediction: Prediction, revenue: np.ndarray, cost: np.ndarray = COST
) -> Sequence[Explanation]:
    """The explanations of rows that all have one, each checked to be complete."""
    found = explain_prediction(model, prediction, revenue, cost)
    assert len(found) == len(revenue)
    for one, amount in zip(found, revenue, strict=True):
        assert one is not None
        assert one.log_revenue == math.log(amount)
        assert math.fsum([*(term.contribution for term in one.terms), one.others]) == pytest.approx(
            one.log_revenue, rel=0, abs=1e-9
        )
        sizes = [abs(term.contribution) for term in one.terms]
        assert sizes == sorted(sizes, reverse=True)
        assert len(sizes) <= TOP
    return [one for one in found if one is not None]


@pytest.mark.parametrize("quality", [None, TABLES])
def test_with_trees(quality: object) -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES if quality else None))
    prediction = model.predict(bundle(), evidence())
    assert prediction.revenue is not None
    first = explained(model, prediction, prediction.revenue)[0]
    assert len(first.terms) == TOP
    assert first.others != 0
    assert first.terms[0].feature == "posterior_revenue"  # revenue per impression is small: its log is large
    assert first.terms[0].value == prediction.response.revenue[0]


def test_the_trees_general_correction_is_named() -> None:
    """The bias of the correction and the trees' mean are no feature's doing."""
    model = Model.from_artefact("v1", artefact())
    assert model.revenue is not None
    prediction = model.predict(bundle(), evidence())
    assert prediction.revenue is not None
    assert prediction.features is not None
    raw = float(model.revenue.trees.raw(prediction.features)[0])
    posterior = float(prediction.response.revenue[0])
    correction = explained(model, prediction, prediction.revenue)[0].log_revenue - math.log(posterior)
    assert correction == pytest.approx(BIAS + model.revenue.weight * raw, abs=1e-12)


def test_without_trees_the_quality_parts_are_the_terms() -> None:
    model = Model.from_artefact("v1", artefact(trees=False, quality=TABLES))
    prediction = model.predict(bundle(), evidence())
    revenue = apply_quality_factors(prediction.response.revenue, prediction.quality)
    first = explained(model, prediction, revenue)[0]
    named = {term.feature: term for term in first.terms}
    lifted = {f"quality_{part}" for part in ("placement", "device", "hour")}
    assert set(named) == {"posterior_revenue"} | lifted  # what has no lift is not named
    assert first.others == 0.0
    for place, part in enumerate(PARTS):
        if f"quality_{part}" in named:
            lift = prediction.quality.parts[0, place]
            assert named[f"quality_{part}"].value == lift
            assert named[f"quality_{part}"].contribution == math.log(lift)


def test_the_packaged_model_has_one_term() -> None:
    prediction = PACKAGED.predict(bundle(), evidence())
    for one in explained(PACKAGED, prediction, prediction.response.revenue):
        assert [term.feature for term in one.terms] == ["posterior_revenue"]


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("known", [np.zeros_like(evidence()), evidence(revenue=0.0)])
def test_without_revenue_data_it_is_target_and_cost(trees: bool, known: np.ndarray) -> None:
    model = Model.from_artefact("v1", artefact(trees=trees, quality=TABLES))
    prediction = model.predict(bundle(), known)
    cost = COST + 0.001
    for row, one in enumerate(explained(model, prediction, 2.5 * cost, cost)):
        terms = {term.feature: term for term in one.terms}
        assert set(terms) == {"target_roas", "predicted_cost"}
        assert terms["target_roas"].contribution == pytest.approx(math.log(2.5))
        assert terms["predicted_cost"].value == cost[row]


def test_what_has_no_logarithm_is_not_explained() -> None:
    model = Model.from_artefact("v1", artefact())
    prediction = model.predict(bundle(), evidence())
    assert prediction.revenue is not None
    revenue = prediction.revenue * np.array([np.nan, 0.0, 1.0, np.inf, 1.0])
    found = explain_prediction(model, prediction, revenue, COST)
    assert [one is None for one in found] == [True, True, False, True, False]
    rest = explain_prediction(model, prediction, prediction.revenue, COST)
    assert found[2] == rest[2], "its neighbours change nothing about a row's explanation"
    assert found[4] == rest[4]


@given(st.permutations(range(5)), st.floats(0.01, 1e6))
def test_any_bundle_sums_up(order: list[int], amount: float) -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    prediction = model.predict(bundle(), evidence(revenue=amount)[order])
    assert prediction.revenue is not None
    explained(model, prediction, prediction.revenue)


def test_every_feature_is_said_in_words() -> None:
    words = [in_words(name) for name in FEATURES]
    assert len(set(words)) == len(FEATURES)
    assert not [said for said in words if "_" in said]
    assert in_words("lift_brand") == "how the brand compares with the average"
    assert in_words("log_impressions_30d_global") == "how much the whole market was seen in the last 30 days"
