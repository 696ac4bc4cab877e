"""Fits everything that is learned from a log: the response parameters, the revenue trees, the quality tables.

The only place that trains with LightGBM. What it returns is evaluated without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from adbid.domain.decay import MEASURES
from adbid.domain.learned import DEFAULTS, LearnedParameters
from adbid.domain.learning import learn, systematic_sample
from adbid.domain.quality_tables import QualityTables
from adbid.ml.artefact import dump
from adbid.ml.export import forest_from_lightgbm
from adbid.ml.features import CATEGORICAL_FEATURES, FEATURES, SCHEMA_HASH, Vocabulary
from adbid.ml.forest import Forest
from adbid.ml.revenue import ENSEMBLE
from functions.retrain.quality import fit_quality
from functions.retrain.samples import History, Samples, build

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FitSettings:
    """How to fit. The owner's starting point was depth 6 and 200 trees; docs/prediction.md: what was tried.

    power: Tweedie variance power. ridge: L2 penalty of a leaf, in units of information, so a leaf that knows
    as much as this goes half way. recency_half_life: days. folds: how often later days are predicted from
    earlier ones to choose trees and weight; validation_share: the share of days each fold predicts.
    """

    trees: int = 200
    max_depth: int = 6
    leaves: int = 31
    learning_rate: float = 0.03
    power: float = 1.5
    ridge: float = 10.0
    leaf_rows: int = 200
    recency_half_life: float = 30.0
    burn_in_share: float = 0.15
    folds: int = 2
    validation_share: float = 0.2
    minimum_days: int = 5
    minimum_rows: int = 500
    maximum_rows: int = 400_000
    threads: int = 2
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was learned. forest None: the posterior is not to be corrected (too little data, or no gain)."""

    parameters: LearnedParameters
    vocabulary: Vocabulary
    forest: Forest | None
    weight: float
    bias: float
    without_unit: bool
    quality: QualityTables | None
    report: dict[str, Any]


@dataclass(frozen=True)
class _Problem:
    """Training rows of the revenue trees, rates relative to their currency's mean, weights in units of
    information."""

    days: Array
    features: Array
    rate: Array
    offset: Array
    weight: Array
    exposure: Array


def fit(
    history: History, settings: FitSettings | None = None, defaults: LearnedParameters = DEFAULTS
) -> Fitted:
    """Learns from `history`. Deterministic; little data gives the defaults and no trees."""
    settings = settings or FitSettings()
    parameters = learn(history.log, defaults)
    steps = history.log.steps()
    first = steps[int(settings.burn_in_share * len(steps))].start if steps else 0
    impressions = history.log.measures[:, MEASURES.index("impressions")]
    rows, weight = systematic_sample(impressions, first, settings.maximum_rows)
    samples, vocabulary = build(history, parameters, rows)
    problem = _problem(samples, weight, settings)
    forest, share, bias, report = _fit_revenue(problem, settings)
    quality = fit_quality(samples, history, weight)
    return Fitted(parameters, vocabulary, forest, share, bias, samples.without_unit, quality, report)


def artefact(fitted: Fitted, about: dict[str, Any] | None = None) -> bytes:
    """The artefact of a fit, as `adbid.ml.artefact.load` takes it; `about` joins its metadata."""
    metadata = {
        **(about or {}),
        "schema": SCHEMA_HASH,
        "parameters": fitted.parameters.to_json(),
        "vocabulary": fitted.vocabulary.to_json(),
        "revenue": {"weight": fitted.weight, "bias": fitted.bias, "without_unit": fitted.without_unit},
        "quality": fitted.quality.to_json() if fitted.quality else None,
        "report": fitted.report,
    }
    ensembles = {ENSEMBLE: fitted.forest} if fitted.forest else {}
    return dump(metadata=metadata, ensembles=ensembles)


def _problem(samples: Samples, weight: Array, settings: FitSettings) -> _Problem | None:
    """The rows with a posterior to correct; None when there are too few, or there is no revenue."""
    known = np.isfinite(samples.posterior_revenue) & (samples.posterior_revenue > 0)
    means = _means(samples, weight, known)
    known &= means > 0
    mean = means[known]
    exposure = (samples.impressions * weight)[known]
    days = samples.days[known]
    enough = len(days) >= settings.minimum_rows and len(np.unique(np.floor(days))) >= settings.minimum_days
    if not enough:
        return None
    rate = samples.revenue[known] / samples.impressions[known] / mean
    expected = samples.posterior_revenue[known] / mean
    noise = exposure * (rate - expected) ** 2 / expected**settings.power
    information = exposure / max(float(noise.mean()), 1e-9)
    recency = np.exp2((days - days.max()) / settings.recency_half_life)
    return _Problem(
        days=days,
        features=samples.features[known],
        rate=rate,
        offset=np.log(expected),
        weight=information * recency,
        exposure=exposure,
    )


def _means(samples: Samples, weight: Array, known: NDArray[np.bool_]) -> Array:
    """[rows]: the revenue per impression of all `known` rows in the row's currency."""
    means = np.zeros(len(samples))
    for currency in np.unique(samples.currencies[known]).tolist():
        rows = samples.currencies == currency
        chosen = rows & known
        shown = float((samples.impressions * weight)[chosen].sum())
        means[rows] = float(samples.revenue[chosen] @ weight[chosen]) / max(shown, 1.0)
    return means


def _fit_revenue(
    problem: _Problem | None, settings: FitSettings
) -> tuple[Forest | None, float, float, dict[str, Any]]:
    """Forest, weight of the correction, bias, and a report."""
    if problem is None:
        return None, 0.0, 0.0, {"trees": 0, "weight": 0.0, "why": "too little data"}
    rounds, share, gain = _validate(problem, settings)
    report = {"trees": rounds, "weight": share, "validated_gain": gain, "rows": len(problem.days)}
    if share == 0:
        return None, 0.0, 0.0, {**report, "why": "no gain over the posterior on later days"}
    everything = np.ones(len(problem.days), dtype=np.bool_)
    booster = _train(problem, everything, rounds, settings)
    bias = _bias(problem, everything, share * _raw(booster, problem.features))
    return forest_from_lightgbm(booster.model_to_string()), share, bias, report


def _validate(problem: _Problem, settings: FitSettings) -> tuple[int, float, float]:
    """The number of trees and the weight with the least deviance on days after the training days, and by how
    much, as a share, they beat the bare posterior."""
    days = np.unique(np.floor(problem.days))
    ahead = max(1, round(settings.validation_share * len(days)))
    rounds = sorted({max(1, settings.trees * part // 8) for part in (1, 2, 4, 6, 8)})
    shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    losses = np.zeros((len(rounds), len(shares)))
    for fold in range(settings.folds):
        end = len(days) - fold * ahead
        if end - ahead < settings.minimum_days - 1:
            continue
        first, last = days[end - ahead], days[end - 1] + 1.0
        past, later = problem.days < first, (problem.days >= first) & (problem.days < last)
        booster = _train(problem, past, settings.trees, settings)
        for i, count in enumerate(rounds):
            fitted = _raw(booster, problem.features[past], count)
            raw = _raw(booster, problem.features[later], count)
            for j, share in enumerate(shares):
                bias = _bias(problem, past, share * fitted)
                losses[i, j] += _deviance(problem, later, share * raw + bias)
    best = np.unravel_index(np.argmin(losses), losses.shape)
    bare = losses[0, 0]
    gain = float(1.0 - losses[best] / bare) if bare > 0 else 0.0
    return rounds[best[0]], float(shares[best[1]]), gain


def _train(
    problem: _Problem, rows: NDArray[np.bool_], rounds: int, settings: FitSettings
) -> lightgbm.Booster:
    parameters: dict[str, Any] = {
        "objective": "tweedie",
        "tweedie_variance_power": settings.power,
        "boost_from_average": False,
        "learning_rate": settings.learning_rate,
        "max_depth": settings.max_depth,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": min(settings.leaf_rows, max(20, int(rows.sum()) // 50)),
        "lambda_l2": settings.ridge,
        "cat_l2": settings.ridge,
        "cat_smooth": settings.ridge,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "max_bin": 127,
        "num_threads": settings.threads,
        "deterministic": True,
        "force_row_wise": True,
        "seed": settings.seed,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(
        problem.features[rows],
        label=problem.rate[rows],
        weight=problem.weight[rows],
        init_score=problem.offset[rows],
        feature_name=list(FEATURES),
        categorical_feature=list(CATEGORICAL_FEATURES),
        free_raw_data=True,
    )
    return lightgbm.train(parameters, data, num_boost_round=rounds)


def _raw(booster: lightgbm.Booster, features: Array, rounds: int | None = None) -> Array:
    return np.asarray(booster.predict(features, raw_score=True, num_iteration=rounds), dtype=np.float64)


def _bias(problem: _Problem, rows: NDArray[np.bool_], correction: Array) -> float:
    """What centres the correction: over the recent past it moves revenue between rows, not up or down.

    The level of the market is the posterior's business, which learns it every minute; trees would learn the
    direction in which their training days happened to drift.
    """
    posterior = problem.weight[rows] * np.exp(problem.offset[rows])
    return float(np.log(posterior.sum() / (posterior @ np.exp(correction))))


def _deviance(problem: _Problem, rows: NDArray[np.bool_], correction: Array) -> float:
    """Poisson deviance, impression-weighted, up to a constant: what the product is measured by."""
    log_rate = problem.offset[rows] + correction
    return float(problem.exposure[rows] @ (np.exp(log_rate) - problem.rate[rows] * log_rate))


__all__: Sequence[str] = ("FitSettings", "Fitted", "artefact", "fit")
