"""What is learned and served: one version of everything that predictions depend on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.decay import MEASURES
from adbid.domain.drift import follow
from adbid.domain.learned import DEFAULTS, LearnedParameters
from adbid.domain.quality import Quality, flat_quality
from adbid.domain.quality_tables import QualityTables
from adbid.domain.response import OperatorPriors, Response, respond
from adbid.ml.artefact import Artefact
from adbid.ml.features import (
    EMPTY_VOCABULARY,
    FEATURES,
    LIFTED,
    SCHEMA_HASH,
    Inputs,
    Vocabulary,
    drop_unit,
    feature_matrix,
)
from adbid.ml.revenue import ENSEMBLE, RevenueModel
from adbid.ml.trees import Trees
from adbid.ml.values import Numbered, Values, own_levels

Array = NDArray[np.float64]

_IMPRESSIONS = MEASURES.index("impressions")

COLUMNS = (*LIFTED, "pricing_model")
"""What `Rows.columns` holds, by name."""


class SchemaMismatch(ValueError):
    """The artefact was trained on another feature schema than this code computes."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What predictions are made for: parallel columns of strings ("" where absent), and scores 0 to 1.

    Unknown scores are NaN. `at` is the time of the whole bundle. `numbered` stands for the columns where
    somebody has numbers for them: they are then only looked at where they are new.
    """

    columns: Mapping[str, Sequence[str]]
    placement_score: Array
    partner_quality: Array
    at: datetime
    numbered: Numbered | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """`response`: the current rates. `revenue` [n]: the ROAS model's, per impression, None without one.

    `features` [n, F] are what the ROAS model saw.
    """

    response: Response
    quality: Quality
    revenue: Array | None = None
    features: Array | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """One version: the parameters of the response chains, the ROAS model, the quality lift."""

    version: str
    parameters: LearnedParameters = field(default_factory=lambda: DEFAULTS)
    vocabulary: Vocabulary = EMPTY_VOCABULARY
    revenue: RevenueModel | None = None
    quality: QualityTables | None = None

    @cached_property
    def _values(self) -> Values:
        return Values(self.vocabulary, self.revenue.trees if self.revenue else None, self.quality)

    @classmethod
    def from_artefact(cls, version: str, artefact: Artefact) -> "Model":
        """Raises SchemaMismatch; ValueError, TypeError or KeyError where the metadata isn't a model's."""
        about = artefact.metadata
        if about["schema"] != SCHEMA_HASH:
            raise SchemaMismatch(f"features {about['schema']}, but this version computes {SCHEMA_HASH}")
        trees = artefact.ensembles.get(ENSEMBLE)
        if trees and tuple(trees.forest.feature_names) != FEATURES:
            unlike = [name for name in trees.forest.feature_names if name not in FEATURES]
            raise SchemaMismatch(f"the trees see other columns than this version computes: {unlike}")
        return cls(
            version,
            LearnedParameters.from_json(about["parameters"]),
            Vocabulary.from_json(about["vocabulary"]),
            _revenue_model(trees, about["revenue"]) if trees else None,
            QualityTables.from_json(about["quality"]) if about["quality"] else None,
        )

    def predict(self, rows: Rows, evidence: Array, priors: OperatorPriors | None = None) -> Prediction:
        """The rates, lift and revenue of `rows`, from their evidence [rows, levels, half-lives, measures]."""
        base = respond(evidence, self.parameters.response, priors)
        current = follow(evidence, base, self.parameters.drift, priors)
        hours = np.array([float(rows.at.hour)])
        quality = flat_quality(len(evidence))
        if self.quality is None and self.revenue is None:
            return Prediction(current, quality)
        met = self._values.of(rows.columns, rows.numbered)
        if self.quality is not None:
            columns = rows.columns
            quality = self.quality.quality(
                placement_score=rows.placement_score,
                partner_quality=rows.partner_quality,
                values=self.quality.values_of(columns["device_type"], columns["creative_type"])
                if met is None
                else met.quality,
                hour=hours,
                impressions=_own_impressions(evidence, own_levels(rows.columns) if met is None else met.own),
            )
        if self.revenue is None:
            return Prediction(current, quality)
        inputs = Inputs(
            placement_score=rows.placement_score,
            partner_quality=rows.partner_quality,
            hour=hours,
            day_of_week=np.array([float(rows.at.weekday())]),
            categories=self.vocabulary.codes_of(rows.columns) if met is None else met.codes,
            lifts=self.vocabulary.lifts_of(rows.columns) if met is None else met.lifts,
        )
        features = feature_matrix(inputs, evidence, base, current)
        if self.revenue.without_unit:
            drop_unit(features, current)
        raw = self.revenue.trees.raw(features) if met is None else self._values.raw(features, met)
        return Prediction(current, quality, self.revenue.corrected(current, raw), features)


def _revenue_model(trees: Trees, about: Mapping[str, Any]) -> RevenueModel:
    """`about`: its metadata. Before there were models of several currencies it didn't say `without_unit`."""
    return RevenueModel(
        trees, float(about["weight"]), float(about["bias"]), bool(about.get("without_unit", False))
    )


def _own_impressions(evidence: Array, own: NDArray[np.intp]) -> Array:
    """[n]: the slowest decayed impressions of each row's own cell, at the level `own` [n]."""
    impressions: Array = evidence[np.arange(len(own)), own, -1, _IMPRESSIONS]
    return impressions


PACKAGED = Model("packaged-1")
"""Serves until something was learned: round numbers that hold on more than one market."""
