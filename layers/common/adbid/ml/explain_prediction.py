"""A predicted revenue taken apart in plain words: additive terms in log space that sum to its logarithm.

With a ROAS model: log revenue = log posterior + bias + weight · Σ Shapley values of the trees. Without one:
log posterior + log of each quality part. Without revenue data: log target + log cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.quality import PARTS
from adbid.ml.explain import explain
from adbid.ml.features import FEATURES
from adbid.ml.model import Model, Prediction

Array = NDArray[np.float64]

TOP = 8
"""Terms that are named one by one; the rest is summed up."""


@dataclass(frozen=True)
class Term:
    """One addend of log(predicted revenue). `value` is the feature's own, None where it has none."""

    feature: str
    words: str
    value: float | None
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """`terms`, the largest first, and `others` sum to `log_revenue`."""

    log_revenue: float
    terms: Sequence[Term]
    others: float


def explain_prediction(
    model: Model, prediction: Prediction, revenue: Array, cost: Array
) -> list[Explanation | None]:
    """One explanation per row of predicted `revenue` [n]; None where it is unknown or 0."""
    posterior = prediction.response.revenue
    found: list[Explanation | None] = [None] * len(revenue)
    shown = np.flatnonzero((revenue > 0) & np.isfinite(revenue))
    if model.revenue is not None and prediction.features is not None and len(shown):
        parts = explain(model.revenue.trees, prediction.features[shown])
        contributions = model.revenue.weight * parts.contributions
        bias = model.revenue.bias + model.revenue.weight * parts.bias
    for place, row in enumerate(shown.tolist()):
        if np.isnan(posterior[row]):
            terms = [
                Term(
                    "target_roas",
                    "the brand's target: no revenue was ever reported",
                    None,
                    float(np.log(revenue[row] / cost[row])),
                ),
                Term(
                    "predicted_cost",
                    "what the bid is expected to cost",
                    float(cost[row]),
                    float(np.log(cost[row])),
                ),
            ]
        else:
            terms = [
                Term(
                    "posterior_revenue",
                    "what this bid's cell and the cells above it brought",
                    float(posterior[row]),
                    float(np.log(posterior[row])),
                )
            ]
            if model.revenue is not None and prediction.features is not None:
                terms.append(Term("base", "the model's general correction", None, float(bias)))
                values = prediction.features[row]
                terms += [
                    Term(name, in_words(name), _or_none(values[column]), float(contributions[place, column]))
                    for column, name in enumerate(FEATURES)
                    if contributions[place, column] != 0
                ]
            else:
                lifts = prediction.quality.parts[row]
                terms += [
                    Term(f"quality_{part}", f"the lift of {part}", float(lift), float(np.log(lift)))
                    for part, lift in zip(PARTS, lifts, strict=True)
                    if lift != 1
                ]
        terms.sort(key=lambda term: (-abs(term.contribution), term.feature))
        rest = float(sum(term.contribution for term in terms[TOP:]))
        found[row] = Explanation(float(np.log(revenue[row])), terms[:TOP], rest)
    return found


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


_PLAIN = {
    "placement_score": "the slot's placement score",
    "partner_quality": "the partner's quality",
    "hour_bucket": "the time of day",
    "day_of_week": "the day of the week",
    "device_type": "the device",
    "creative_type": "the creative",
    "os": "the operating system",
    "pricing_model": "the pricing model",
    "log_ctr": "how often such impressions are clicked",
    "log_cvr": "how often such clicks convert",
    "log_revenue": "the revenue such impressions bring",
    "log_cost": "what such impressions cost",
}
_LEVELS = {
    "global": "the whole market",
    "campaign_id": "the campaign",
    "device_type": "the device",
    "creative_type": "the creative",
    "os": "the operating system",
}


def in_words(feature: str) -> str:
    """A column of the feature schema, as one would say it to a person."""
    if feature in _PLAIN:
        return _PLAIN[feature]
    for start, words in (
        ("residual_lift_", "what {} does beyond what its cells explain"),
        ("lift_", "how {} compares with the average"),
        ("revenue_drift_", "how the revenue of {} has moved lately"),
    ):
        if feature.startswith(start):
            return words.format(_level(feature.removeprefix(start)))
    if feature.startswith("log_revenue_"):
        level = feature.removeprefix("log_revenue_").removesuffix("_to_cell")
        return f"how {_level(level)} earns compared with this bid's own cell"
    if feature.startswith("log_impressions_"):
        days, _, level = feature.removeprefix("log_impressions_").partition("d_")
        return f"how much {_level(level)} was seen in the last {days} days"
    return f"how the {feature.removesuffix('_drift')} has moved lately"


def _level(name: str) -> str:
    return _LEVELS.get(name, f"the {name}")
