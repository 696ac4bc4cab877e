"""From bids to a ranking: every rule of the auction, in one place, each with its reason code.

Arrays run over the bids of one bundle. The order of the bids never matters, and the same arguments give
the same answer to the last bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adbid.domain.pricing import PricingModel
from adbid.domain.quality import Quality, apply_quality_factors
from adbid.domain.response import Response
from adbid.domain.strategy import apply_brand_strategy, portfolio_score
from adbid.domain.value import normalize_bid_to_impression_value

_CPM = int(PricingModel.CPM)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Bids:
    """What was offered: parallel sequences [bids]. `slot` numbers the slots of `slot_ids`."""

    ids: Sequence[str]
    slot: Ints
    slot_ids: Sequence[str]
    amount: Floats
    pricing: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Terms:
    """What the catalog and the portfolio say of each bid's brand, partner and slot: arrays [bids].

    Numbers are NaN, and flags False, where the object is unknown. `floor` is per thousand impressions.
    `lambda_` is λ_b, `weight` is 1 + ν_b, `mu` the budget's part of the price: what λ_b is where ν_b is 0.
    `foreign_money` marks bids in another currency than their brand's, `foreign_floor` those whose slot has
    another than the bid's. `exempt` marks probes and exploration picks: they pass `roas_throttled` and
    `negative_margin`. `draw` multiplies the revenue that is scored: 1, or what an exploration pick drew.
    """

    unknown_brand: Bools
    unknown_partner: Bools
    unknown_slot: Bools
    paused: Bools
    foreign_money: Bools
    foreign_floor: Bools
    exempt: Bools
    multiplier: Floats
    priority: Floats
    target_roas: Floats
    floor: Floats
    lambda_: Floats
    weight: Floats
    mu: Floats
    draw: Floats


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What each bid is worth, and where it stands: arrays [bids], NaN where a number can't be computed.

    `rank` counts from 1 within the slot, 0 for a rejected bid. `reasons` holds the codes in the order of
    the rules. `order` lists the bids as the answer shows them: slots by their top score, ranks within.
    """

    value_per_impression: Floats
    ctr: Floats
    cvr: Floats
    revenue: Floats
    cost: Floats
    score: Floats
    quality: Quality
    assumed_revenue: bool
    rank: Ints
    reasons: list[list[str]]
    order: Ints

    @property
    def roas(self) -> Floats:
        """Predicted revenue ÷ predicted cost, NaN where there is no cost."""
        with np.errstate(over="ignore"):  # next to no cost: infinite, which JSON shows as null too
            return np.divide(
                self.revenue, self.cost, out=np.full_like(self.cost, np.nan), where=self.cost > 0
            )


Contests = list[list[int]]
"""Per slot that anybody may win, in the order in which slots draw on budgets: its bids, the best first."""

Reserve = Callable[["Evaluation", Contests], Mapping[int, str]]
"""Reserves money for the best bid of each slot that its brand can afford. Answers which bids could not be
afforded before that one, each with its reason code."""


def evaluate_bids(
    bids: Bids,
    terms: Terms,
    response: Response,
    quality: Quality,
    model_revenue: Floats | None = None,
    reserve: Reserve | None = None,
) -> Evaluation:
    """Values, scores, judges and ranks a bundle.

    `model_revenue` [bids] is the ROAS model's expected revenue per impression; without it the posterior's,
    lifted by quality. Where nothing is known of revenue at all, a brand is taken to just meet its target.
    Without `reserve` every brand can afford everything.
    """
    unknown = terms.unknown_brand | terms.unknown_partner | terms.unknown_slot
    hidden = unknown if unknown.any() else None  # of what we don't know, or may not tell, nothing is said
    ctr, cvr = _kept(response.ctr, hidden), _kept(response.cvr, hidden)
    multiplier = terms.multiplier
    if hidden is not None:
        quality = Quality(np.where(unknown[:, None], 1.0, quality.parts))
        multiplier = np.where(np.isnan(multiplier), 1.0, multiplier)
    value = _kept(normalize_bid_to_impression_value(bids.amount, bids.pricing, ctr, cvr), hidden)
    cost = np.where(bids.pricing == _CPM, value, apply_quality_factors(value, quality))
    revenue = apply_quality_factors(response.revenue, quality) if model_revenue is None else model_revenue
    assumed = np.isnan(revenue)
    if assumed.any():
        revenue = np.where(assumed, terms.target_roas * cost, revenue)
    revenue = _kept(_kept(revenue, hidden), terms.foreign_money)
    drawn = terms.draw * revenue
    score = apply_brand_strategy(portfolio_score(drawn, cost, terms.lambda_, terms.weight), multiplier)

    priced_out = (score <= 0.0) & ~terms.exempt
    throttled = priced_out & (drawn > terms.mu * cost)  # by the price of the ROAS target alone

    rules = {
        "unknown_brand": terms.unknown_brand,
        "unknown_partner": terms.unknown_partner,
        "unknown_slot": terms.unknown_slot,
        "brand_paused": terms.paused,
        "currency_mismatch": terms.foreign_money | terms.foreign_floor,
        "below_floor": (cost < terms.floor / 1000.0) & ~terms.foreign_floor,
        "roas_throttled": throttled,
        "negative_margin": priced_out & ~throttled,
    }
    codes = list(rules)
    broken = np.array(list(rules.values()))
    rejected = np.logical_or.reduce(broken)
    reasons: list[list[str]] = [[] for _ in range(len(bids))]
    if rejected.any():
        for rule, bid in zip(*(place.tolist() for place in broken.nonzero()), strict=True):
            reasons[bid].append(codes[rule])

    order, rank = _ranked(bids, score, terms.priority, ~rejected)
    evaluation = Evaluation(
        value_per_impression=value,
        ctr=ctr,
        cvr=cvr,
        revenue=revenue,
        cost=cost,
        score=score,
        quality=quality,
        assumed_revenue=bool((assumed & ~unknown).any()),
        rank=rank,
        reasons=reasons,
        order=order,
    )
    refused = reserve(evaluation, contests(evaluation)) if reserve is not None else {}
    return award(bids, terms.priority, evaluation, refused)


def _kept(numbers: Floats, hidden: Bools | None) -> Floats:
    """Without what is `hidden`."""
    return numbers if hidden is None or not hidden.any() else np.where(hidden, np.nan, numbers)


def contests(evaluation: Evaluation) -> Contests:
    """The slots by their top score, then slot id, each with its eligible bids by rank."""
    found: Contests = []
    for bid, rank in zip(evaluation.order.tolist(), evaluation.rank[evaluation.order].tolist(), strict=True):
        if rank == 1:
            found.append([bid])
        elif rank:
            found[-1].append(bid)
    return found


def award(bids: Bids, priority: Floats, evaluation: Evaluation, refused: Mapping[int, str]) -> Evaluation:
    """The evaluation as it ends: what is `refused` is rejected, the next in line moves up and wins."""
    reasons, rank, order = [list(codes) for codes in evaluation.reasons], evaluation.rank, evaluation.order
    if refused:
        eligible = rank > 0
        for bid, code in refused.items():
            eligible[bid] = False
            reasons[bid].append(code)
        order, rank = _ranked(bids, evaluation.score, priority, eligible)
    for bid in np.flatnonzero(rank > 1).tolist():
        reasons[bid].append("outranked")
    return replace(evaluation, reasons=reasons, rank=rank, order=order)


def _ranked(bids: Bids, score: Floats, priority: Floats, eligible: Bools) -> tuple[Ints, Ints]:
    """The display order, and each eligible bid's rank in its slot (0 for the others).

    Slots come in the order of their top eligible score, then slot id; within a slot the eligible bids by
    score, strategy priority and bid id, then the rejected ones by bid id.
    """
    contest = np.where(eligible, score, -np.inf)
    top = np.full(len(bids.slot_ids), -np.inf)
    np.maximum.at(top, bids.slot, contest)
    slot_rank = _inverse(np.lexsort((_by_text(bids.slot_ids), -top)))
    in_slot_order = slot_rank.take(bids.slot)
    tie = np.where(eligible, priority, -np.inf)
    keys = [-tie, -contest, in_slot_order]
    order = np.lexsort(keys)
    like_before = [~(key[1:] > key[:-1]) for key in (key.take(order) for key in keys)]  # NaN is like NaN
    if (like_before[0] & like_before[1] & like_before[2]).any():
        order = np.lexsort((_by_text(bids.ids), *keys))
    begins = np.append(0, np.flatnonzero(~like_before[2]) + 1)
    places = np.arange(1, len(order) + 1)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = places - begins.take(begins.searchsorted(places) - 1)
    rank[~eligible] = 0
    return order, rank


def _by_text(texts: Sequence[str]) -> Ints:
    """Each text's place in sorted order; equal texts cannot occur."""
    return _inverse(np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.intp))


def _inverse(permutation: Ints) -> Ints:
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation))
    return inverse
