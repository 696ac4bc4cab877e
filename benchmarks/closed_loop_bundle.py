"""One minute's auctions as one bundle: scored by `evaluate_bids`, granted by the ledger, then answered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from adbid.data.ledger import Ledger
from adbid.domain.duals import Duals
from adbid.domain.evaluation import Bids, Contests, Evaluation, Terms, evaluate_bids
from adbid.domain.exploration import pick
from adbid.domain.ledger import CHARGED_BY, Budget, Candidate, Won
from adbid.domain.money import MICROS
from adbid.domain.pricing import PricingModel
from adbid.domain.quality import PARTS, Quality
from adbid.domain.response import Response
from benchmarks.closed_loop_market import PARTNERS, SLOTS, Brands, Market
from benchmarks.closed_loop_memory import Predictions
from benchmarks.closed_loop_records import KINDS, Event

Array = NDArray[np.float64]
Indexes = NDArray[np.intp]

PROBE_SHARE = 0.02

_MODELS = {PricingModel.CPM: "CPM", PricingModel.CPC: "CPC", PricingModel.CPA: "CPA"}


@dataclass(frozen=True)
class Winners:
    """[wins]: who won where, at which bid. deals: what the ledger knows of each. refused: [bids], the brands
    whose budget couldn't pay for a slot that they would have had."""

    brand: Indexes
    slot: Indexes
    amount: Array
    deals: list[Won]
    refused: Indexes


@dataclass(frozen=True)
class Bundle:
    """One minute's bids, as arrays [bids]."""

    decision: str
    ids: list[str]
    auction: Indexes
    brand: Indexes
    slot: Indexes
    amount: Array

    @classmethod
    def of(cls, market: Market, minute: int, rows: slice) -> "Bundle":
        """The auctions in these rows of the market's."""
        auctions = market.auctions
        brand = auctions.brand[rows].astype(np.intp)
        bidders = brand.shape[1]
        return cls(
            f"minute-{minute}",
            [str(number) for number in range(brand.size)],
            np.repeat(np.arange(len(brand)), bidders),
            brand.ravel(),
            np.repeat(auctions.slot[rows].astype(np.intp), bidders),
            auctions.amount[rows].astype(np.float64).ravel(),
        )


class Auctioneer:
    """Holds a minute's auctions. names, zones: of the brands; budgets: micros a day, −1 without one."""

    def __init__(self, brands: Brands, ledger: Ledger, names: list[str], zones: list[str]) -> None:
        self._brands, self._ledger, self._names, self._zones = brands, ledger, names, zones
        self._models = [_MODELS[PricingModel(code)] for code in brands.pricing.tolist()]
        self._budgets = brands.budget.tolist()

    def hold(
        self,
        bundle: Bundle,
        predictions: Predictions,
        prices: Duals,
        caution: Array,
        now: datetime,
        days: Mapping[str, date],
    ) -> Winners:
        """Scores, ranks and reserves. days: each zone's date."""
        brand, slot, ids = bundle.brand, bundle.slot, bundle.ids
        if not len(brand):
            return Winners(brand, slot, bundle.amount, [], brand)
        slots = [f"s{number}" for number in range(int(bundle.auction[-1]) + 1)]
        bids = Bids(ids, bundle.auction, slots, bundle.amount, self._brands.pricing[brand])
        ctr, cvr, revenue = (
            rates[brand, slot] for rates in (predictions.ctr, predictions.cvr, predictions.revenue)
        )
        response = Response(np.stack([ctr, cvr, revenue, np.full_like(ctr, np.nan)])[:, None])
        places: list[int] = []
        deals: list[Won] = []

        def reserve(evaluation: Evaluation, contests: Contests) -> Mapping[int, str]:
            micros = np.ceil(np.round(evaluation.cost * MICROS, 9)).astype(np.int64).tolist()
            candidates = [
                [self._candidate(bundle, place, micros[place], days) for place in contest]
                for contest in contests
            ]
            outcome = self._ledger.decide(bundle.decision, b"", b"", candidates, now)
            refused: dict[int, str] = {}
            for contest, line, win, codes in zip(
                contests, candidates, outcome.wins, outcome.refused, strict=True
            ):
                refused.update(zip(contest, codes, strict=False))
                if win >= 0:
                    places.append(contest[win])
                    deals.append(_won(bundle.decision, line[win]))
            return refused

        quality = Quality(np.ones((len(ids), len(PARTS))))
        terms = self._terms(bundle, prices, caution)
        evaluation = evaluate_bids(bids, terms, response, quality, None, reserve)
        refused = [place for place, codes in enumerate(evaluation.reasons) if "budget_exhausted" in codes]
        return Winners(brand[places], slot[places], bundle.amount[places], deals, brand[refused])

    def _candidate(self, bundle: Bundle, place: int, micros: int, days: Mapping[str, date]) -> Candidate:
        brand, slot = int(bundle.brand[place]), int(bundle.slot[place])
        day, limit = days[self._zones[brand]], self._budgets[brand]
        return Candidate(
            bundle.ids[place],
            self._names[brand],
            f"p{slot % PARTNERS}",
            f"s{slot}",
            self._models[brand],
            day,
            micros,
            Budget(day, limit, 1) if limit >= 0 else None,
        )

    def _terms(self, bundle: Bundle, prices: Duals, caution: Array) -> Terms:
        brand, target = bundle.brand, self._brands.target
        probes = np.array([pick(bundle.decision, one, PROBE_SHARE, 0.0) is not None for one in bundle.ids])
        no, ones = np.zeros(len(brand), dtype=np.bool_), np.ones(len(brand))
        mu = prices.mu[brand]
        return Terms(
            *(no,) * 6,
            exempt=probes,
            multiplier=ones,
            priority=ones,
            target_roas=target[brand],
            floor=np.zeros(len(brand)),
            lambda_=np.where(probes, mu, prices.lambda_(target * caution)[brand]),
            weight=np.where(probes, 1.0, prices.weight[brand]),
            mu=mu,
            draw=ones,
        )


def answers(
    market: Market, winners: Winners, minute: int, day: NDArray[np.int64]
) -> Iterator[tuple[int, Event]]:
    """What people will do with the ads that won, and when. day: each brand's, as `Days` counts them."""
    cells = (winners.brand * SLOTS + winners.slot).tolist()

    def event(row: int, kind: int, revenue: float) -> Event:
        deal, brand = winners.deals[row], int(winners.brand[row])
        charged = CHARGED_BY[deal.pricing_model] == KINDS[kind]
        price = winners.amount[row] / (1000.0 if deal.pricing_model == "CPM" else 1.0)
        cost = round(price * MICROS) if charged else 0
        won = deal if charged else None
        return Event(brand, cells[row], int(day[brand]), kind, cost, round(revenue * MICROS), won)

    for row in range(len(winners.deals)):
        yield minute + 1, event(row, 0, 0.0)
    clicked, clicked_at, converted, paid_at, paid = market.responses(winners.brand, winners.slot, minute)
    for row, at in zip(clicked.tolist(), clicked_at.tolist(), strict=True):
        yield at, event(row, 1, 0.0)
    for click, at, revenue in zip(converted.tolist(), paid_at.tolist(), paid.tolist(), strict=True):
        yield max(at, minute + 2), event(int(clicked[click]), 2, revenue)


def _won(decision: str, one: Candidate) -> Won:
    micros = 0 if one.budget is None else one.micros
    return Won(
        decision,
        one.bid_id,
        one.brand_id,
        one.partner_id,
        one.slot_id,
        one.pricing_model,
        one.day,
        micros,
    )
