"""A model for the benchmarks' market: as many trees as a night trains, published as a night does.

What it says doesn't matter, only that it looks at all that there is to see.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from adbid import wiring
from adbid.data.models import ModelCache, Pointer, checksum
from adbid.domain.context import context_of
from adbid.domain.learned import DEFAULTS
from adbid.domain.quality_tables import HOURS, SCORE_BINS, QualityTables
from adbid.engine.rows import rows_of
from adbid.ml.artefact import dump
from adbid.ml.export import forest_from_lightgbm
from adbid.ml.features import CATEGORICAL_FEATURES, CATEGORIES, FEATURES, LIFTED, SCHEMA_HASH, Vocabulary
from adbid.ml.model import Model
from adbid.ml.revenue import ENSEMBLE, RevenueModel
from adbid.ml.trees import Trees

TREES, LEAVES = 200, 31
WEIGHT, BIAS = 0.75, -0.02

Bid = dict[str, Any]


def publish(bids: Sequence[Bid], now: datetime) -> tuple[lightgbm.Booster, Vocabulary, QualityTables]:
    """Trains on what `bids` look like, and makes the model the one that serves."""
    random = np.random.default_rng(1)
    vocabulary, quality = _vocabulary(bids, random), _quality(bids, random)
    booster = _train(bids, vocabulary, now, random)
    blob = dump(
        metadata={
            "schema": SCHEMA_HASH,
            "parameters": DEFAULTS.to_json(),
            "vocabulary": vocabulary.to_json(),
            "revenue": {"weight": WEIGHT, "bias": BIAS},
            "quality": quality.to_json(),
        },
        ensembles={ENSEMBLE: forest_from_lightgbm(booster.model_to_string())},
    )
    pointer = Pointer("benchmark-1", checksum(blob))
    cache = ModelCache(wiring.redis_client())
    cache.store(pointer.version, blob)
    cache.move(None, pointer)
    return booster, vocabulary, quality


def _values(bids: Sequence[Bid], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(bid[name] for bid in bids))


def _vocabulary(bids: Sequence[Bid], random: np.random.Generator) -> Vocabulary:
    known = {
        "brand": _values(bids, "brand_id"),
        "partner": _values(bids, "partner_id"),
        "slot": _values(bids, "slot_id"),
        "device_type": _values(bids, "device_type"),
        "creative_type": _values(bids, "creative_type"),
        "pricing_model": _values(bids, "pricing_model"),
    }
    lifts = {
        name: {value: (float(random.normal()), float(random.normal())) for value in known.get(name, ())}
        for name in LIFTED
    }
    return Vocabulary({name: known.get(name, ()) for name in CATEGORIES}, lifts)


def _quality(bids: Sequence[Bid], random: np.random.Generator) -> QualityTables:
    devices, creatives = _values(bids, "device_type"), _values(bids, "creative_type")
    return QualityTables(
        placement=tuple(random.normal(0, 0.1, SCORE_BINS)),
        partner=tuple(random.normal(0, 0.1, SCORE_BINS)),
        device=dict(zip(devices, random.normal(0, 0.1, len(devices)), strict=True)),
        creative=dict(zip(creatives, random.normal(0, 0.1, len(creatives)), strict=True)),
        hour=tuple(random.normal(0, 0.1, HOURS)),
        strength=1_000.0,
    )


def _train(
    bids: Sequence[Bid], vocabulary: Vocabulary, now: datetime, random: np.random.Generator
) -> lightgbm.Booster:
    """Trees on the features that the bids have at many hours, shaken a little so that none stands still."""
    rows = np.concatenate([_features(bids, vocabulary, now, hour) for hour in range(0, 24, 3)])
    numeric = rows[:, 4 + len(CATEGORIES) :]
    numeric += random.normal(0, 0.05, numeric.shape)
    signal = np.nan_to_num(rows) @ random.normal(size=len(FEATURES)) / 10 + random.normal(0, 0.2, len(rows))
    data = lightgbm.Dataset(
        rows, signal, feature_name=list(FEATURES), categorical_feature=list(CATEGORICAL_FEATURES)
    )
    options = {"num_leaves": LEAVES, "max_depth": 6, "learning_rate": 0.03, "min_data_in_leaf": 50}
    fixed = {"num_threads": 2, "verbose": -1, "deterministic": True, "seed": 1}
    return lightgbm.train({**options, **fixed}, data, TREES)


def _features(bids: Sequence[Bid], vocabulary: Vocabulary, now: datetime, hour: int) -> NDArray[np.float64]:
    places = [(bid["brand_id"], bid["partner_id"], bid["slot_id"], context_of(bid)) for bid in bids]
    hot = wiring.hot_store().read(places, now)
    assert hot.evidence is not None
    model = Model("none", DEFAULTS, vocabulary, RevenueModel(Trees(forest_from_lightgbm(_stump())), 0.0, 0.0))
    rows = rows_of(places, [bid["pricing_model"] for bid in bids], hot, now.replace(hour=hour))
    features = model.predict(rows, hot.evidence, hot.priors).features
    assert features is not None
    return features


def _stump() -> str:
    """A tree that says nothing: what the features are made for is not needed to make them."""
    rows = np.zeros((20, len(FEATURES)))
    data = lightgbm.Dataset(rows, np.ones(20), feature_name=list(FEATURES))
    return str(lightgbm.train({"verbose": -1, "num_threads": 1}, data, 1).model_to_string())
