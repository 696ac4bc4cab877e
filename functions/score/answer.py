"""A decision as JSON."""

from dataclasses import asdict
from typing import Any

import orjson

from adbid.engine.decision import Decision
from adbid.ml.explain_prediction import Explanation


def encode(request_id: str, decision: Decision, *, feature_values: bool) -> bytes:
    """The answer of POST /api/score; NaN, what can't be computed, becomes null.

    Explanations show the features' own values only with `feature_values`: some tell other tenants' volumes.
    """
    evaluation = decision.evaluation
    columns = zip(
        evaluation.score.tolist(),
        evaluation.value_per_impression.tolist(),
        evaluation.ctr.tolist(),
        evaluation.cvr.tolist(),
        evaluation.revenue.tolist(),
        evaluation.cost.tolist(),
        evaluation.roas.tolist(),
        decision.lambda_.tolist(),
        decision.weight.tolist(),
        evaluation.rank.tolist(),
        evaluation.quality.factor.tolist(),
        evaluation.quality.parts.tolist(),
        strict=True,
    )
    rows = list(columns)
    ids, slots, slot_ids = decision.offers.ids, decision.offers.slot.tolist(), decision.offers.slot_ids
    results: list[dict[str, Any]] = []
    for place in evaluation.order.tolist():
        score, value, ctr, cvr, revenue, cost, roas, lambda_, weight, rank, factor, parts = rows[place]
        placement, partner, device, creative, hour = parts
        results.append(
            {
                "bid_id": ids[place],
                "slot_id": slot_ids[slots[place]],
                "rank": rank or None,
                "status": "won" if rank == 1 else "ranked" if rank else "rejected",
                "reasons": evaluation.reasons[place],
                "score": score,
                "value_per_impression": value,
                "predicted_ctr": ctr,
                "predicted_cvr": cvr,
                "predicted_revenue": revenue,
                "predicted_cost": cost,
                "predicted_roas": roas,
                "lambda": lambda_,
                "portfolio_weight": weight,
                "strategy": decision.strategies.get(decision.brand_ids[place]),
                "quality": {
                    "factor": factor,
                    "placement": placement,
                    "partner": partner,
                    "device": device,
                    "creative": creative,
                    "hour": hour,
                },
            }
        )
        if decision.picks[place] is not None:
            results[-1]["pick"] = decision.picks[place]
        if decision.explanations is not None:
            explanation = decision.explanations[place]
            results[-1]["explanation"] = explanation and _explained(explanation, feature_values)
    return orjson.dumps(
        {
            "id": request_id,
            "decision_id": decision.id,
            "model_version": decision.model_version,
            "degraded": decision.degraded,
            "results": results,
        }
    )


def _explained(explanation: Explanation, feature_values: bool) -> dict[str, Any]:
    answer = asdict(explanation)
    if not feature_values:
        for term in answer["terms"]:
            term["value"] = None
    return answer
