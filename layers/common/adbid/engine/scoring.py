"""A bundle of bids in, a ranked decision out. Follow `ScoringEngine.score` to see how a bid flows."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import RedisError

from adbid.data.hot import Hot, HotStore, Numbers, Place
from adbid.data.ledger import Ledger, Outcome
from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.errors import Unavailable
from adbid.domain.evaluation import Bids, Contests, Evaluation, Terms, evaluate_bids
from adbid.domain.exploration import Pick, chances_of
from adbid.domain.ledger import LEDGER_UNAVAILABLE, Contenders
from adbid.engine.bundle import Bid, Bundle
from adbid.engine.decision import Decision, pack, settled, unpack
from adbid.engine.reserving import contenders_of, fingerprint, refusals, without_ledger
from adbid.engine.rows import rows_of
from adbid.engine.terms import draws_of, picks_of, strategies_of, terms_of
from adbid.ml.model import Model, Prediction

if TYPE_CHECKING:
    from adbid.ml.explain_prediction import Explanation

logger = logging.getLogger(__name__)


class History(Protocol):
    """The evidence of past events, straight from MySQL: slower than the sums in Redis, at any time."""

    def evidence_before(self, places: Sequence[Place], at: datetime) -> NDArray[np.float64]: ...

    def restore(self, now: datetime) -> bool:
        """Rebuilds the sums in Redis when they were lost. False when somebody else is at it."""
        ...

    def restore_ledger(self, now: datetime) -> bool:
        """Whether the ledger holds everything it should, restored from its snapshots if need be."""
        ...


def decision_id(caller: str, request_id: str) -> str:
    """The same caller repeating the same request means the same decision."""
    return blake2b(f"{caller}\x1f{request_id}".encode(), digest_size=16).hexdigest()


class _Early:
    """What can be worked out of a bundle before its past is known: while Redis is at work."""

    def __init__(
        self,
        bundle: Bundle,
        decision: str,
        visible_partners: frozenset[str] | None,
        *,
        explore: bool,
        explain: bool,
    ) -> None:
        self._bundle = bundle
        self._decision = decision
        self._visible_partners = visible_partners
        self._explore = explore
        self._explain = explain
        self._standing: tuple[Numbers, list[Pick | None], Terms] | None = None

    @cached_property
    def offers(self) -> Bids:
        return self._bundle.offers()

    @cached_property
    def chances(self) -> NDArray[np.float64]:
        return chances_of(self._decision, self._bundle.ids)

    @cached_property
    def fingerprint(self) -> bytes:
        return fingerprint(self._bundle, self._explain)

    def standing(self, numbers: Numbers) -> tuple[list[Pick | None], Terms]:
        """Which bids probe or explore, and on which terms each stands, by what its objects are."""
        known = self._standing
        if known is None or known[0] is not numbers:
            picked: list[Pick | None] = [None] * len(self._bundle)
            if self._explore:
                picked = picks_of(self.chances, numbers)
            terms = terms_of(self._bundle, numbers, picked, self._visible_partners)
            known = self._standing = numbers, picked, terms
        return known[1], known[2]

    def work_out(self, numbers: Numbers | None) -> None:
        """All of it that can be, unless it was done before."""
        _ = self.offers, self.chances, self.fingerprint
        if numbers is not None:
            self.standing(numbers)


class ScoringEngine:
    """Scores bundles against the current state of the world.

    `models` gives the model that a pointer (as Redis holds it) names, and what it had to do without.
    """

    def __init__(
        self,
        store: HotStore,
        history: History,
        models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
        ledger: Ledger,
    ) -> None:
        self._store = store
        self._history = history
        self._models = models
        self._ledger = ledger
        self._ledger_is_whole = False  # not known before it was asked

    def score(
        self,
        bids: Sequence[Bid] | Bundle,
        *,
        decision: str,
        now: datetime,
        visible_partners: frozenset[str] | None,
        at: datetime | None = None,
        dry_run: bool = False,
        explore: bool = True,
        explain: bool = False,
        model: Model | None = None,
        meanwhile: Callable[[Decision], None] = lambda _: None,
    ) -> Decision:
        """Values and ranks `bids` as of `now`, and reserves what the winners are expected to cost.

        A `decision` that was made before comes back as it was; of other bids it raises Conflict. A `dry_run`
        reserves nothing; as of `at`, from the events before it, it doesn't ask the ledger either. Partners
        outside `visible_partners` (None: all are visible) are unknown to this caller. `model` is used
        instead of the current one where given: a candidate shows how it would answer. `meanwhile` may be
        called while the ledger is asked, with the decision as it then is: what it ends with may be another.
        """
        bundle = bids if isinstance(bids, Bundle) else Bundle.of(bids)
        places = bundle.places
        early = _Early(bundle, decision, visible_partners, explore=explore, explain=explain)
        hot = self._store.read(places, now, early.work_out)
        evidence, degraded = self._evidence(hot, places, now, at)
        if model is None:
            model, missing = self._models(hot.model)
            degraded = (*degraded, *missing)
        prediction = model.predict(
            rows_of(places, bundle.pricing_models, hot, at or now, early.offers.pricing), evidence, hot.priors
        )
        picks, terms = early.standing(hot.numbers)
        if "exploration" in picks:
            terms = replace(terms, draw=draws_of(bundle, places, picks, hot, evidence, decision, model))
        made: Decision | None = None
        outcome: Outcome | None = None

        def reserve(evaluation: Evaluation, contests: Contests) -> Mapping[int, str]:
            nonlocal made, outcome
            made = Decision(
                id=decision,
                model_version=model.version,
                degraded=(*degraded, "no_revenue_data") if evaluation.assumed_revenue else degraded,
                offers=early.offers,
                strategies=strategies_of(hot.numbers),
                lambda_=terms.lambda_,
                weight=terms.weight,
                priority=terms.priority,
                picks=picks,
                evaluation=evaluation,
                explanations=_explained(model, prediction, evaluation) if explain else None,
            )
            if at is not None:
                return {}
            contenders = contenders_of(bundle, hot, contests, evaluation.cost, now)
            outcome = self._ask(made, contenders, early.fingerprint, now, dry_run, partial(meanwhile, made))
            return {} if outcome.stored else refusals(contests, outcome)

        evaluation = evaluate_bids(
            early.offers, terms, prediction.response, prediction.quality, prediction.revenue, reserve
        )
        assert made is not None
        if outcome is not None and outcome.stored:
            return settled(unpack(outcome.stored), outcome.refused)
        return made.ended(evaluation)

    def _ask(
        self,
        made: Decision,
        contenders: Contenders,
        fingerprint: bytes,
        now: datetime,
        dry_run: bool,
        meanwhile: Callable[[], None],
    ) -> Outcome:
        """Who gets the slots, by the ledger; without it, by whether a brand needs one."""
        if "cache_unavailable" in made.degraded:  # the ledger would only take its time to fail as well
            return without_ledger(contenders)
        try:
            if not self._ledger_is_whole:
                self._ledger_is_whole = self._history.restore_ledger(now)
            if dry_run:
                outcome = self._ledger.preview(contenders, now)
            else:
                outcome = self._ledger.decide(made.id, fingerprint, pack(made), contenders, now, meanwhile)
        except RedisError as error:
            logger.warning("the ledger cannot be reached: %s", error)
            self._ledger_is_whole = False
            return without_ledger(contenders)
        if any(LEDGER_UNAVAILABLE in codes for codes in outcome.refused):
            self._ledger_is_whole = False
        return outcome

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


def _explained(
    model: Model, prediction: Prediction, evaluation: Evaluation
) -> "Sequence[Explanation | None]":
    from adbid.ml.explain_prediction import explain_prediction  # which few ask for

    return explain_prediction(model, prediction, evaluation.revenue, evaluation.cost)
