"""A decision as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson

from adbid.engine.decision import Decision
from adbid.ml.explain_prediction import Explanation


def encode(request_id: str, decision: Decision, *, feature_values: bool) -> bytes:
    """The answer of POST /api/score; NaN, what can't be computed, becomes null.

    Explanations show the features' own values only with `feature_values`: some tell other tenants' volumes.
    """
    evaluation, order = decision.evaluation, decision.evaluation.order
    in_order = order.tolist()
    shown = {id(one): orjson.Fragment(orjson.dumps(one)) for one in _distinct(decision)}
    strategies = {brand: shown[id(one)] for brand, one in decision.strategies.items()}
    ids, slots, brands, reasons = (
        decision.offers.ids,
        decision.offers.slot_ids,
        decision.brand_ids,
        evaluation.reasons,
    )
    numbers = np.array(
        [
            evaluation.score,
            evaluation.value_per_impression,
            evaluation.ctr,
            evaluation.cvr,
            evaluation.revenue,
            evaluation.cost,
            evaluation.roas,
            decision.lambda_,
            decision.weight,
            evaluation.quality.factor,
            *evaluation.quality.parts.T,
        ]
    )
    rows = zip(
        in_order,
        decision.offers.slot[order].tolist(),
        evaluation.rank[order].tolist(),
        numbers[:9, order].T.tolist(),
        numbers[9:, order].T.tolist(),
        strict=True,
    )
    results: list[dict[str, Any]] = [
        {
            "bid_id": ids[place],
            "slot_id": slots[slot],
            "rank": rank or None,
            "status": "won" if rank == 1 else "ranked" if rank else "rejected",
            "reasons": reasons[place],
            "score": score,
            "value_per_impression": value,
            "predicted_ctr": ctr,
            "predicted_cvr": cvr,
            "predicted_revenue": revenue,
            "predicted_cost": cost,
            "predicted_roas": roas,
            "lambda": lambda_,
            "portfolio_weight": weight,
            "strategy": strategies.get(brands[place]),
            "quality": {
                "factor": factor,
                "placement": placement,
                "partner": partner,
                "device": device,
                "creative": creative,
                "hour": hour,
            },
        }
        for place, slot, rank, (score, value, ctr, cvr, revenue, cost, roas, lambda_, weight), lifts in rows
        for factor, placement, partner, device, creative, hour in (lifts,)
    ]
    picks, explanations = decision.picks, decision.explanations
    if any(picks) or explanations is not None:
        for place, result in zip(in_order, results, strict=True):
            if picks[place] is not None:
                result["pick"] = picks[place]
            if explanations is not None:
                explanation = explanations[place]
                result["explanation"] = explanation and _explained(explanation, feature_values)
    return orjson.dumps(
        {
            "id": request_id,
            "decision_id": decision.id,
            "model_version": decision.model_version,
            "degraded": decision.degraded,
            "results": results,
        }
    )


def _distinct(decision: Decision) -> Iterable[Mapping[str, Any]]:
    """The strategies, each once."""
    return {id(one): one for one in decision.strategies.values()}.values()


def _explained(explanation: Explanation, feature_values: bool) -> dict[str, Any]:
    answer = asdict(explanation)
    if not feature_values:
        for term in answer["terms"]:
            term["value"] = None
    return answer
