"""The rehearsal: the real score path answers canned bids with a model that nobody sees yet."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import CONTEXT_DIMENSIONS, LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.evaluation import Evaluation
from adbid.domain.learning import one_unit
from adbid.domain.replay import ABSENT
from adbid.engine.bundle import Bid
from adbid.engine.scoring import ScoringEngine
from adbid.ml.model import Model
from functions.retrain.samples import History

Array = NDArray[np.float64]

BIDS = 100
AMOUNTS = {"CPM": "4.00", "CPC": "0.40", "CPA": "12.00"}
WIDEST = 30.0
"""How many times more or less than the serving model's a prediction for one bid may be."""
DRIFT = 3.0
"""The same for the mean over all canned bids and times, in one unit of money."""
TIMES = tuple(timedelta(hours=hours) for hours in (0, 6, 12, 18))

_LARGEST_LIFT = 100.0
_LATEST_ROWS = 100_000
_PLACE = LEVELS[LEVELS.index("brand") :]
_FIELDS = ("brand_id", "partner_id", "slot_id", *CONTEXT_DIMENSIONS)


class NotSane(Exception):
    """The model's answers must not reach traffic; the message says which."""


def canned_bids(history: History, currencies: Mapping[str, str]) -> list[Bid]:
    """Bids in every pricing model for the places that were shown most of late. `currencies`: by brand; brands
    without one are left out."""
    latest = slice(-_LATEST_ROWS, None)
    shown = history.log.measures[latest, MEASURES.index("impressions")]
    codes = np.stack([history.columns[level].codes[latest] for level in _PLACE])
    places, place = np.unique(codes, axis=1, return_inverse=True)
    order = np.argsort(-np.bincount(place.ravel(), shown), kind="stable")
    bids: list[Bid] = []
    for one in places.T[order].tolist():
        values = [
            history.columns[level].values[code] if code != ABSENT else ""
            for level, code in zip(_PLACE, one, strict=True)
        ]
        where = dict(zip(_FIELDS, values, strict=True))
        currency = currencies.get(where["brand_id"])
        if currency is not None:
            for pricing, amount in AMOUNTS.items():
                offer = {"pricing_model": pricing, "amount": amount, "currency": currency}
                bids.append({**where, **offer, "id": f"{len(bids)}-{pricing}"})
        if len(bids) >= BIDS:
            break
    return bids


def rehearse(
    engine: ScoringEngine, bids: Sequence[Bid], challenger: Model, champion: Model, now: datetime
) -> None:
    """Lets both models score `bids`, now and at other times of the day: a market's best hour may be several
    times as good as the others. Raises NotSane, and whatever the challenger raises."""

    def answers(model: Model) -> list[Evaluation]:
        return [
            engine.score(
                bids,
                decision="dry-run",
                now=now + later,
                visible_partners=None,
                dry_run=True,
                explore=False,
                model=model,
            ).evaluation
            for later in TIMES
        ]

    ours, theirs = answers(challenger), answers(champion)
    currencies = np.tile(np.unique([bid["currency"] for bid in bids], return_inverse=True)[1], len(TIMES))
    for name in ("ctr", "cvr", "revenue", "cost", "value_per_impression"):
        one, other = (np.concatenate([getattr(answer, name) for answer in all_]) for all_ in (ours, theirs))
        unit = np.ones(len(one))
        if name not in ("ctr", "cvr"):
            unit = one_unit(np.nan_to_num(other), unit, currencies)
        _check(name, one, other, unit)
    for answer in ours:
        if not bool(np.all(answer.ctr <= 1.0)):
            raise NotSane("a click-through rate over 1")
        lift = answer.quality.factor
        if not bool(np.all(np.isfinite(lift) & (lift > 1 / _LARGEST_LIFT) & (lift < _LARGEST_LIFT))):
            raise NotSane(f"a quality lift of {lift[np.argmax(np.abs(np.log(lift)))]:g}")
        if sorted(answer.order.tolist()) != list(range(len(bids))):
            raise NotSane("not every bid was answered")


def _check(name: str, ours: Array, theirs: Array, unit: Array) -> None:
    """Numbers where the champion has numbers, positive where it has positive ones, and not far from them.
    `unit` makes the amounts of different currencies alike."""
    known = np.isfinite(theirs)
    if not bool(np.all(np.isfinite(ours[known]) & (ours[known] >= 0))):
        raise NotSane(f"{name} is not a number, or negative")
    positive = known & (theirs > 0)
    if not positive.any():
        return
    ratio = ours[positive] / theirs[positive]
    if not bool(np.all((ratio > 1 / WIDEST) & (ratio < WIDEST))):
        furthest = ratio[np.argmax(np.abs(np.log(np.maximum(ratio, 1e-300))))]
        raise NotSane(f"{name} is {furthest:g} times the serving model's")
    mean = float((ours * unit)[positive].mean() / (theirs * unit)[positive].mean())
    if not 1 / DRIFT < mean < DRIFT:
        raise NotSane(f"{name} is {mean:.2g} times the serving model's on average")
