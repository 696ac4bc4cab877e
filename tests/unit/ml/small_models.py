"""Models of a few trees over the product's own feature schema, and bundles for them to predict."""

from datetime import UTC, datetime
from functools import cache

import lightgbm
import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import CONTEXT_DIMENSIONS, LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.learned import DEFAULTS
from adbid.domain.quality_tables import HOURS, SCORE_BINS, QualityTables
from adbid.ml.artefact import Artefact, dump, load
from adbid.ml.export import forest_from_lightgbm
from adbid.ml.features import CATEGORICAL_FEATURES, CATEGORIES, FEATURES, LIFTED, SCHEMA_HASH, Vocabulary
from adbid.ml.forest import Forest
from adbid.ml.model import Rows
from adbid.ml.revenue import ENSEMBLE

WEIGHT, BIAS = 0.75, -0.02
AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)  # a Friday

VOCABULARY = Vocabulary(
    {**dict.fromkeys(CATEGORIES, ()), "device_type": ("mobile", "desktop"), "pricing_model": ("CPM", "CPC")},
    {name: {} for name in LIFTED} | {"brand": {"b0": (0.3, 0.1)}},
)
TABLES = QualityTables(
    placement=tuple(0.05 * bin_ for bin_ in range(SCORE_BINS)),
    partner=tuple(-0.02 * bin_ for bin_ in range(SCORE_BINS)),
    device={"mobile": 0.2},
    creative={"banner": -0.1},
    hour=tuple(0.01 * hour for hour in range(HOURS)),
    strength=1000.0,
)


@cache
def forest() -> Forest:
    """Trees that look at several kinds of features, some of them missing."""
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(600, len(FEATURES)))
    for name in CATEGORICAL_FEATURES:
        rows[:, FEATURES.index(name)] = rng.integers(0, 3, 600)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    signal = np.nan_to_num(rows) @ rng.normal(size=len(FEATURES)) / 10
    data = lightgbm.Dataset(
        rows, signal, feature_name=list(FEATURES), categorical_feature=list(CATEGORICAL_FEATURES)
    )
    settings = {"num_threads": 1, "verbose": -1, "deterministic": True, "num_leaves": 15, "seed": 1}
    return forest_from_lightgbm(lightgbm.train(settings, data, 12).model_to_string())


def artefact(
    *, trees: bool = True, quality: QualityTables | None = None, schema: str = SCHEMA_HASH
) -> Artefact:
    """What a night of training writes, read back."""
    metadata = {
        "schema": schema,
        "parameters": DEFAULTS.to_json(),
        "vocabulary": VOCABULARY.to_json(),
        "revenue": {"weight": WEIGHT, "bias": BIAS},
        "quality": quality.to_json() if quality else None,
    }
    return load(dump(metadata=metadata, ensembles={ENSEMBLE: forest()} if trees else {}))


def bundle(count: int = 5, at: datetime = AT) -> Rows:
    """`count` rows of brands b0, b1, …; the last one's slot and partner are unknown."""
    columns = {
        "vertical": ["retail"] * count,
        "brand": [f"b{row}" for row in range(count)],
        "partner": ["p"] * count,
        "slot": ["s"] * count,
        "pricing_model": ["CPM"] * count,
        **{dimension: [""] * count for dimension in CONTEXT_DIMENSIONS},
        "device_type": ["mobile", *["desktop"] * (count - 1)],
    }
    scores = np.linspace(0.1, 0.9, count)
    scores[-1] = np.nan
    return Rows(columns, placement_score=scores, partner_quality=scores[::-1].copy(), at=at)


def evidence(count: int = 5, revenue: float = 8.0) -> NDArray[np.float64]:
    """1,000 impressions, 30 clicks, 3 conversions per level and row, at every half-life; `revenue` of row 0,
    and a little more in each row after it."""
    known = np.zeros((count, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    known[:, : LEVELS.index("device_type") + 1] = (1000.0, 30.0, 3.0, 5.0, 0.0)
    known[..., -1] = known[..., 0] * revenue / 1000.0
    known[:, LEVELS.index("brand") :, :, -1] *= 1 + np.arange(count)[:, None, None] / 10
    known[:, 0, :, -1] = revenue
    return known
