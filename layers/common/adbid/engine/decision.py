"""A decision, and how it is kept so that a repeated request gets the very same one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.hot_numbers import Strategy
from adbid.domain.evaluation import Bids, Evaluation, award, contests
from adbid.domain.exploration import Pick
from adbid.domain.ledger import LEDGER_UNAVAILABLE
from adbid.domain.quality import PARTS, Quality

if TYPE_CHECKING:
    from adbid.ml.explain_prediction import Explanation

Array = NDArray[np.float64]

_NUMBERS = ("value_per_impression", "ctr", "cvr", "revenue", "cost", "score")
_PRICES = ("lambda_", "weight", "priority")


@dataclass(frozen=True, eq=False)
class Decision:
    """The engine's answer for one bundle. Sequences and arrays run over the bids.

    `strategies` are as the answer shows them, None of unknown brands. `lambda_`, `weight` and `priority` are
    what each bid was judged with, `picks` which of them probe or explore.
    """

    id: str
    model_version: str
    degraded: tuple[str, ...]
    offers: Bids
    strategies: Sequence[Strategy | None]
    lambda_: Array
    weight: Array
    priority: Array
    picks: Sequence[Pick | None]
    evaluation: Evaluation
    explanations: "Sequence[Explanation | None] | None" = None

    def ended(self, evaluation: Evaluation) -> "Decision":
        """As the ledger left it."""
        refused = LEDGER_UNAVAILABLE in chain.from_iterable(evaluation.reasons)
        degraded = (*self.degraded, LEDGER_UNAVAILABLE) if refused else self.degraded
        return replace(self, evaluation=evaluation, degraded=degraded)


def pack(decision: Decision) -> bytes:
    """A decision as it stands before the ledger was asked: a line of JSON, then doubles."""
    evaluation = decision.evaluation
    parts = evaluation.quality.parts
    lifted = bool((parts != 1.0).any())
    columns = [getattr(evaluation, name) for name in _NUMBERS] + [getattr(decision, name) for name in _PRICES]
    explained = decision.explanations
    strategies = list(dict.fromkeys(decision.strategies))
    place_of = dict(zip(strategies, range(len(strategies)), strict=True))
    about = {
        "id": decision.id,
        "model_version": decision.model_version,
        "degraded": decision.degraded,
        "bids": decision.offers.ids,
        "slot": decision.offers.slot.tolist(),
        "slots": decision.offers.slot_ids,
        "strategies": strategies,
        "strategy": list(map(place_of.__getitem__, decision.strategies)),
        "picks": decision.picks,
        "assumed": evaluation.assumed_revenue,
        "reasons": evaluation.reasons,
        "rank": evaluation.rank.tolist(),
        "order": evaluation.order.tolist(),
        "lifted": lifted,
        "explanations": None if explained is None else [asdict(one) if one else None for one in explained],
    }
    numbers = np.array([*columns, *(parts.T if lifted else ())], dtype="<f8")
    return orjson.dumps(about) + b"\n" + numbers.tobytes()


def unpack(record: bytes) -> Decision:
    """What `pack` was given."""
    line, _, packed = record.partition(b"\n")
    about = orjson.loads(line)
    bids = len(about["bids"])
    numbers = np.frombuffer(packed, dtype="<f8").reshape(-1, bids)
    named = dict(zip((*_NUMBERS, *_PRICES), numbers, strict=False))
    parts = numbers[len(named) :].T if about["lifted"] else np.ones((bids, len(PARTS)))
    # What a bid offered doesn't matter once it is judged.
    amount, pricing = np.zeros(bids), np.zeros(bids, dtype=np.intp)
    strategies = [None if one is None else (one[0], one[1], one[2]) for one in about["strategies"]]
    explained = about["explanations"]
    return Decision(
        id=about["id"],
        model_version=about["model_version"],
        degraded=tuple(about["degraded"]),
        offers=Bids(about["bids"], np.array(about["slot"], dtype=np.intp), about["slots"], amount, pricing),
        strategies=list(map(strategies.__getitem__, about["strategy"])),
        picks=about["picks"],
        evaluation=Evaluation(
            **{name: named[name] for name in _NUMBERS},
            quality=Quality(parts),
            assumed_revenue=about["assumed"],
            rank=np.array(about["rank"], dtype=np.intp),
            reasons=about["reasons"],
            order=np.array(about["order"], dtype=np.intp),
        ),
        explanations=None if explained is None else [_explanation(one) for one in explained],
        **{name: named[name] for name in _PRICES},
    )


def settled(decision: Decision, refused: Sequence[Sequence[str]]) -> Decision:
    """The stored decision as it ended: `refused`, per contest, why its first bids did not get the slot."""
    codes = {
        bid: code
        for contest, why in zip(contests(decision.evaluation), refused, strict=True)
        for bid, code in zip(contest, why, strict=False)
    }
    return decision.ended(award(decision.offers, decision.priority, decision.evaluation, codes))


def _explanation(document: dict[str, Any] | None) -> "Explanation | None":
    if document is None:
        return None
    from adbid.ml.explain_prediction import Explanation, Term

    terms = [Term(**term) for term in document["terms"]]
    return Explanation(document["log_revenue"], terms, document["others"])
