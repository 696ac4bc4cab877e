"""The feature schema: each column is what its name says, in training as in serving."""

import json

import numpy as np
import pytest

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULT_DRIFT, DEFAULT_PARAMETERS
from adbid.domain.response import Response, respond
from adbid.ml.features import (
    CATEGORIES,
    EMPTY_VOCABULARY,
    FEATURES,
    LIFTED,
    SCHEMA_HASH,
    Inputs,
    Vocabulary,
    encode,
    feature_matrix,
)

VOCABULARY = Vocabulary(
    {**dict.fromkeys(CATEGORIES, ()), "device_type": ("mobile", "desktop")},
    {**{name: {} for name in LIFTED}, "slot": {"s1": (0.5, 0.25)}, "country": {"SE": (-1.0, -0.125)}},
)


def rows(**given: list[str]) -> dict[str, list[str]]:
    count = len(next(iter(given.values())))
    return {**{name: [""] * count for name in (*LIFTED, "pricing_model")}, **given}


def inputs(vocabulary: Vocabulary, columns: dict[str, list[str]]) -> Inputs:
    count = len(columns["slot"])
    return encode(
        vocabulary,
        columns,
        placement_score=np.full(count, 0.7),
        partner_quality=np.full(count, np.nan),
        hour=13.0,
        day_of_week=2.0,
    )


def known(count: int = 1) -> tuple[np.ndarray, Response, Response]:
    random = np.random.default_rng(3)
    shape = (count, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES))
    evidence = random.gamma(2.0, 50.0, shape) * [100.0, 1.0, 0.1, 0.1, 0.2]
    base = respond(evidence, DEFAULT_PARAMETERS)
    return evidence, base, follow(evidence, base, DEFAULT_DRIFT)


def named(matrix: np.ndarray, row: int = 0) -> dict[str, float]:
    return dict(zip(FEATURES, matrix[row].tolist(), strict=True))


def test_columns_by_hand() -> None:
    columns = rows(slot=["s1"], device_type=["desktop"], country=["SE"], brand=["never seen"])
    evidence, base, current = known()
    features = named(feature_matrix(inputs(VOCABULARY, columns), evidence, base, current))
    assert features["placement_score"] == 0.7
    assert np.isnan(features["partner_quality"])
    assert features["hour_bucket"] == 4.0  # 12 to 15 h
    assert features["day_of_week"] == 2.0
    assert features["device_type"] == 1.0
    assert np.isnan(features["os"])
    assert features["log_ctr"] == pytest.approx(np.log(current.ctr[0]))
    assert features["log_revenue"] == pytest.approx(np.log(current.revenue[0]))
    assert features["log_cost"] == pytest.approx(np.log(current.cost[0]))
    slot = LEVELS.index("slot")
    assert features["log_revenue_slot_to_cell"] == pytest.approx(
        np.log(current.levels[2, slot, 0] / current.revenue[0])
    )
    assert features["revenue_drift_slot"] == pytest.approx(
        np.log(current.levels[2, slot, 0] / base.levels[2, slot, 0])
    )
    assert features["cvr_drift"] == pytest.approx(np.log(current.cvr[0] / base.cvr[0]))
    assert features["log_impressions_1d_slot"] == pytest.approx(np.log1p(evidence[0, slot, 0, 0]))
    assert features["log_impressions_30d_os"] == pytest.approx(np.log1p(evidence[0, -1, -1, 0]))
    assert (features["lift_slot"], features["residual_lift_slot"]) == (0.5, 0.25)
    assert (features["lift_country"], features["residual_lift_country"]) == (-1.0, -0.125)
    assert (features["lift_brand"], features["residual_lift_brand"]) == (0.0, 0.0)


def test_a_row_alone_has_the_features_it_has_among_others() -> None:
    columns = rows(slot=["s1", "s2", "s1"], device_type=["mobile", "tv", "desktop"])
    evidence, base, current = known(3)
    together = feature_matrix(inputs(VOCABULARY, columns), evidence, base, current)
    assert together.shape == (3, len(FEATURES))
    assert together.T.flags.c_contiguous
    for row in range(3):
        alone = {name: [values[row]] for name, values in columns.items()}
        one = slice(row, row + 1)
        base_one = respond(evidence[one], DEFAULT_PARAMETERS)
        current_one = follow(evidence[one], base_one, DEFAULT_DRIFT)
        matrix = feature_matrix(inputs(VOCABULARY, alone), evidence[one], base_one, current_one)
        np.testing.assert_array_equal(matrix[0], together[row])


def test_a_system_without_data_has_features_without_warnings() -> None:
    evidence = np.zeros((1, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    base = respond(evidence, DEFAULT_PARAMETERS)
    current = follow(evidence, base, DEFAULT_DRIFT)
    matrix = feature_matrix(inputs(EMPTY_VOCABULARY, rows(slot=["s"])), evidence, base, current)
    features = named(matrix)
    assert np.isnan(features["log_revenue"])
    assert features["log_ctr"] == pytest.approx(np.log(0.03))
    assert not np.isinf(matrix).any()


def test_the_vocabulary_survives_json() -> None:
    again = Vocabulary.from_json(json.loads(json.dumps(VOCABULARY.to_json())))
    columns = rows(slot=["s1", "s2"], country=["SE", ""], device_type=["mobile", "x"])
    np.testing.assert_array_equal(again.lifts_of(columns), VOCABULARY.lifts_of(columns))
    np.testing.assert_array_equal(again.codes_of(columns), VOCABULARY.codes_of(columns))
    with pytest.raises(ValueError, match="lacks"):
        Vocabulary({}, {})


def test_the_schema_has_a_name() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    assert len(SCHEMA_HASH) == 16
