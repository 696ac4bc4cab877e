"""The quality lift from tables: parts multiply to the factor, and a cell's own evidence silences it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.quality import PARTS
from adbid.domain.quality_tables import HOURS, SCORE_BINS, QualityTables, hour_bins, score_bins

TABLES = QualityTables(
    placement=[0.1 * i for i in range(SCORE_BINS)],
    partner=[0.0] * SCORE_BINS,
    device={"mobile": 0.2},
    creative={"banner": -0.3},
    hour=[0.01 * i for i in range(HOURS)],
    strength=1000.0,
)


def one(**given: object) -> np.ndarray:
    row: dict[str, object] = {
        "placement_score": np.array([0.35]),
        "partner_quality": np.array([0.5]),
        "device_type": ["mobile"],
        "creative_type": ["banner"],
        "hour": np.array([10.0]),
        "impressions": np.array([0.0]),
    }
    row |= given
    row["values"] = TABLES.values_of(row.pop("device_type"), row.pop("creative_type"))  # type: ignore[arg-type]
    return TABLES.quality(**row).parts[0]  # type: ignore[arg-type]


def test_by_hand() -> None:
    parts = dict(zip(PARTS, one(), strict=True))
    assert parts == pytest.approx(
        {
            "placement": np.exp(0.3),
            "partner": 1.0,
            "device": np.exp(0.2),
            "creative": np.exp(-0.3),
            "hour": np.exp(0.1),
        }
    )


def test_a_thousand_impressions_of_its_own_halve_the_lift() -> None:
    np.testing.assert_allclose(np.log(one(impressions=np.array([1000.0]))), np.log(one()) / 2)


def test_the_unknown_has_no_lift() -> None:
    unknown = np.array([np.nan])
    parts = one(
        placement_score=unknown,
        partner_quality=unknown,
        hour=unknown,
        device_type=[""],
        creative_type=["new"],
    )
    assert parts.tolist() == [1.0] * len(PARTS)


@given(st.floats(0, 1), st.integers(0, 23), st.floats(0, 1e9))
def test_parts_multiply_to_the_factor(score: float, hour: int, impressions: float) -> None:
    quality = TABLES.quality(
        placement_score=np.array([score]),
        partner_quality=np.array([1.0 - score]),
        values=TABLES.values_of(["mobile"], ["banner"]),
        hour=np.array([float(hour)]),
        impressions=np.array([impressions]),
    )
    assert quality.factor[0] == pytest.approx(np.prod(quality.parts[0]))


def test_bins() -> None:
    assert score_bins(np.array([0.0, 0.1, 0.99, 1.0, np.nan])).tolist() == [0, 1, 9, 9, SCORE_BINS]
    assert hour_bins(np.array([0.0, 23.0, np.nan])).tolist() == [0, 23, HOURS]


def test_tables_survive_json_and_are_checked() -> None:
    assert QualityTables.from_json(TABLES.to_json()).to_json() == TABLES.to_json()
    with pytest.raises(ValueError, match="24 values"):
        QualityTables([0.0], [0.0] * SCORE_BINS, {}, {}, [0.0] * HOURS, 1.0)
    with pytest.raises(ValueError, match="strength"):
        QualityTables([0.0] * SCORE_BINS, [0.0] * SCORE_BINS, {}, {}, [0.0] * HOURS, 0.0)
