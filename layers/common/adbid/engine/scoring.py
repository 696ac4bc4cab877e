"""A bundle of bids in, a ranked decision out. Follow `ScoringEngine.score` to see how a bid flows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot import Hot, HotStore, Place
from adbid.domain.context import LEVELS, context_of
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.errors import Unavailable
from adbid.domain.evaluation import Bids, Evaluation, Terms, evaluate_bids
from adbid.domain.exploration import is_picked
from adbid.domain.pricing import PricingModel
from adbid.engine.rows import rows_of
from adbid.ml.explain_prediction import Explanation, explain_prediction
from adbid.ml.model import Model

Bid = Mapping[str, Any]
"""One bid as the API's schema describes it (`functions.score.models.Bid`)."""


class History(Protocol):
    """The evidence of past events, straight from MySQL: slower than the sums in Redis, at any time."""

    def evidence_before(self, places: Sequence[Place], at: datetime) -> NDArray[np.float64]: ...

    def restore(self, now: datetime) -> bool:
        """Rebuilds the sums in Redis when they were lost. False when somebody else is at it."""
        ...


@dataclass(frozen=True)
class Decision:
    """The engine's answer for one bundle. Arrays in `evaluation` run over `bids`."""

    id: str
    model_version: str
    degraded: tuple[str, ...]
    bids: Sequence[Bid]
    hot: Hot
    terms: Terms
    evaluation: Evaluation
    explanations: Sequence[Explanation | None] | None = None


def decision_id(caller: str, request_id: str) -> str:
    """The same caller repeating the same request means the same decision."""
    return blake2b(f"{caller}\x1f{request_id}".encode(), digest_size=16).hexdigest()


class ScoringEngine:
    """Scores bundles against the current state of the world.

    `models` gives the model that a pointer (as Redis holds it) names, and what it had to do without.
    """

    def __init__(
        self,
        store: HotStore,
        history: History,
        models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
    ) -> None:
        self._store = store
        self._history = history
        self._models = models

    def score(
        self,
        bids: Sequence[Bid],
        *,
        decision: str,
        now: datetime,
        visible_partners: frozenset[str] | None,
        at: datetime | None = None,
        explore: bool = True,
        explain: bool = False,
        model: Model | None = None,
    ) -> Decision:
        """Values and ranks `bids` as of `now`; as of `at`, from the events before it, where given.

        Partners outside `visible_partners` (None: all are visible) are unknown to this caller. `model` is
        used instead of the current one where given: a candidate shows how it would answer.
        """
        places: list[Place] = [(b["brand_id"], b["partner_id"], b["slot_id"], context_of(b)) for b in bids]
        hot = self._store.read(places, now)
        evidence, degraded = self._evidence(hot, places, now, at)
        if model is None:
            model, missing = self._models(hot.model)
            degraded = (*degraded, *missing)
        terms = _terms(bids, hot, decision, visible_partners, explore)
        prediction = model.predict(
            rows_of(places, [bid["pricing_model"] for bid in bids], hot, at or now), evidence, hot.priors
        )
        evaluation = evaluate_bids(
            _offers(bids), terms, prediction.response, prediction.quality, prediction.revenue
        )
        if evaluation.assumed_revenue:
            degraded = (*degraded, "no_revenue_data")
        explanations = (
            explain_prediction(model, prediction, evaluation.revenue, evaluation.cost) if explain else None
        )
        return Decision(decision, model.version, degraded, bids, hot, terms, evaluation, explanations)

    def _evidence(
        self, hot: Hot, places: Sequence[Place], now: datetime, at: datetime | None
    ) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        if at is not None:
            return self._history.evidence_before(places, at), hot.degraded
        if hot.degraded:  # Redis is down
            try:
                return self._history.evidence_before(places, now), hot.degraded
            except Unavailable:  # too long a history to read in the time of a score
                return _no_evidence(places), (*hot.degraded, "counters_unavailable")
        if hot.evidence is None and self._history.restore(now):
            hot = self._store.read(places, now)
        if hot.evidence is None:
            return _no_evidence(places), ("counters_unavailable",)
        return hot.evidence, hot.degraded


def _no_evidence(places: Sequence[Place]) -> NDArray[np.float64]:
    return np.zeros((len(places), len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))


def _offers(bids: Sequence[Bid]) -> Bids:
    slots: dict[str, int] = {}
    slot = [slots.setdefault(bid["slot_id"], len(slots)) for bid in bids]
    return Bids(
        ids=[bid["id"] for bid in bids],
        slot=np.array(slot, dtype=np.intp),
        slot_ids=list(slots),
        amount=np.array([float(bid["amount"]) for bid in bids]),
        pricing=np.array([PricingModel[bid["pricing_model"]] for bid in bids], dtype=np.intp),
    )


def _terms(
    bids: Sequence[Bid], hot: Hot, decision: str, visible_partners: frozenset[str] | None, explore: bool
) -> Terms:
    """What is known of each bid's brand, partner and slot, as arrays."""
    unknown = float("nan")
    flags: list[tuple[bool, ...]] = []
    numbers: list[tuple[float, ...]] = []
    for bid in bids:
        brand = hot.brands.get(bid["brand_id"])
        slot = hot.slots.get(bid["slot_id"])
        partner_id, currency = bid["partner_id"], bid["currency"]
        seen = partner_id in hot.partners and (visible_partners is None or partner_id in visible_partners)
        # A slot of a partner that the caller may not see doesn't exist for it, and nothing is said about it.
        open_slot = slot is not None and (slot.partner_id is None or (seen and slot.partner_id == partner_id))
        exempt = (
            explore and brand is not None and is_picked(decision, bid["id"], brand.strategy.exploration_share)
        )
        flags.append(
            (
                brand is None,
                not seen,
                not open_slot,
                brand is not None and brand.status == "paused",
                brand is not None and brand.currency != currency,
                open_slot and slot is not None and slot.currency != currency,
                exempt,
            )
        )
        numbers.append(
            (
                brand.strategy.multiplier if brand else unknown,
                brand.strategy.priority if brand else unknown,
                brand.target_roas if brand else unknown,
                float(slot.floor) if slot else unknown,
            )
        )
    flag = np.array(flags, dtype=np.bool_).T
    number = np.array(numbers, dtype=np.float64).T
    no_price = np.zeros(len(bids))
    return Terms(
        unknown_brand=flag[0],
        unknown_partner=flag[1],
        unknown_slot=flag[2],
        paused=flag[3],
        foreign_money=flag[4],
        foreign_floor=flag[5],
        exempt=flag[6],
        multiplier=number[0],
        priority=number[1],
        target_roas=number[2],
        floor=number[3],
        lambda_=no_price,
        weight=no_price + 1.0,
    )
