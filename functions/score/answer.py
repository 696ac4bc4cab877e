"""A decision as JSON."""

from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.hot_numbers import Strategy
from adbid.engine.decision import Decision

if TYPE_CHECKING:
    from adbid.ml.explain_prediction import Explanation

_STRATEGY = ("id", "name", "multiplier")


class Answer:
    """The answer of POST /api/score; NaN, what can't be computed, becomes null.

    Explanations show the features' own values only with `feature_values`: some tell other tenants' volumes.
    """

    def __init__(self, request_id: str, *, feature_values: bool) -> None:
        self._request_id = request_id
        self._feature_values = feature_values
        self._results: list[dict[str, Any]] = []
        self._scores: NDArray[np.float64] | None = None

    def begin(self, decision: Decision) -> None:
        """Writes down what each bid is worth, which no longer changes: while the ledger is asked who wins."""
        evaluation, offers = decision.evaluation, decision.offers
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
            offers.ids,
            offers.slot.tolist(),
            map(_strategy, decision.strategies),
            *numbers.tolist(),
            strict=True,
        )
        slots = offers.slot_ids
        self._scores = evaluation.score
        self._results = [
            {
                "bid_id": bid_id,
                "slot_id": slots[slot],
                "rank": None,
                "status": "rejected",
                "reasons": None,
                "score": score,
                "value_per_impression": value,
                "predicted_ctr": ctr,
                "predicted_cvr": cvr,
                "predicted_revenue": revenue,
                "predicted_cost": cost,
                "predicted_roas": roas,
                "lambda": lambda_,
                "portfolio_weight": weight,
                "strategy": strategy,
                "quality": {
                    "factor": factor,
                    "placement": placement,
                    "partner": partner,
                    "device": device,
                    "creative": creative,
                    "hour": hour,
                },
            }
            for (
                bid_id,
                slot,
                strategy,
                score,
                value,
                ctr,
                cvr,
                revenue,
                cost,
                roas,
                lambda_,
                weight,
                factor,
                placement,
                partner,
                device,
                creative,
                hour,
            ) in rows
        ]

    def end(self, decision: Decision) -> bytes:
        """The whole of it, as the decision ended."""
        evaluation = decision.evaluation
        if self._scores is not evaluation.score:
            self.begin(decision)
        for result, rank, reasons in zip(
            self._results, evaluation.rank.tolist(), evaluation.reasons, strict=True
        ):
            result["reasons"] = reasons
            if rank:
                result["rank"] = rank
                result["status"] = "won" if rank == 1 else "ranked"
        for place, pick in enumerate(decision.picks):
            if pick is not None:
                self._results[place]["pick"] = pick
        if decision.explanations is not None:
            for result, explanation in zip(self._results, decision.explanations, strict=True):
                result["explanation"] = explanation and _explained(explanation, self._feature_values)
        return orjson.dumps(
            {
                "id": self._request_id,
                "decision_id": decision.id,
                "model_version": decision.model_version,
                "degraded": decision.degraded,
                "results": [self._results[place] for place in evaluation.order.tolist()],
            }
        )


@lru_cache(maxsize=1024)
def _strategy(strategy: Strategy | None) -> orjson.Fragment | None:
    return strategy and orjson.Fragment(orjson.dumps(dict(zip(_STRATEGY, strategy, strict=True))))


def _explained(explanation: "Explanation", feature_values: bool) -> dict[str, Any]:
    answer = asdict(explanation)
    if not feature_values:
        for term in answer["terms"]:
            term["value"] = None
    return answer
