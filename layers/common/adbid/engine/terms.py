"""A bundle as the auction takes it: what is offered, and on which terms each bid stands."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot import Hot, Place
from adbid.data.steering import NEUTRAL
from adbid.domain.evaluation import Bids, Terms
from adbid.domain.exploration import Pick, pick, thompson_draw
from adbid.domain.interval import gamma_shape
from adbid.domain.pricing import PricingModel
from adbid.engine.rows import payments_behind
from adbid.ml.model import Model

Bid = Mapping[str, Any]
"""One bid as the API's schema describes it (`functions.score.models.Bid`)."""


def offers_of(bids: Sequence[Bid]) -> Bids:
    slots: dict[str, int] = {}
    slot = [slots.setdefault(bid["slot_id"], len(slots)) for bid in bids]
    return Bids(
        ids=[bid["id"] for bid in bids],
        slot=np.array(slot, dtype=np.intp),
        slot_ids=list(slots),
        amount=np.array([float(bid["amount"]) for bid in bids]),
        pricing=np.array([PricingModel[bid["pricing_model"]] for bid in bids], dtype=np.intp),
    )


def picks_of(bids: Sequence[Bid], hot: Hot, decision: str) -> list[Pick | None]:
    shares = {
        brand_id: (brand.strategy.probe_share, brand.strategy.exploration_share)
        for brand_id, brand in hot.brands.items()
    }
    return [pick(decision, bid["id"], *shares.get(bid["brand_id"], (0.0, 0.0))) for bid in bids]


def draws_of(
    bids: Sequence[Bid],
    places: Sequence[Place],
    picks: Sequence[Pick | None],
    hot: Hot,
    evidence: NDArray[np.float64],
    decision: str,
    model: Model,
) -> NDArray[np.float64]:
    """What each bid's scored revenue is multiplied with: a draw from its posterior where it explores."""
    draws = np.ones(len(bids))
    exploring = [place for place, one in enumerate(picks) if one == "exploration"]
    if exploring:
        paths = [(hot.brands[places[place][0]].vertical, *places[place]) for place in exploring]
        shapes = gamma_shape(payments_behind(evidence[exploring], paths, model.parameters.response))
        for place, shape in zip(exploring, shapes.tolist(), strict=True):
            draws[place] = thompson_draw(decision, bids[place]["id"], shape)
    return draws


def terms_of(
    bids: Sequence[Bid],
    hot: Hot,
    picks: Sequence[Pick | None],
    draws: NDArray[np.float64],
    visible_partners: frozenset[str] | None,
) -> Terms:
    """What is known of each bid's brand, partner and slot, as arrays."""
    unknown = float("nan")
    flags: list[tuple[bool, ...]] = []
    numbers: list[tuple[float, ...]] = []
    prices = {
        brand_id: (one.lambda_(brand.target_roas), one.weight, one.mu)
        for brand_id, brand in hot.brands.items()
        for one in (hot.steering.get(brand_id, NEUTRAL),)
    }
    for bid, picked in zip(bids, picks, strict=True):
        brand = hot.brands.get(bid["brand_id"])
        slot = hot.slots.get(bid["slot_id"])
        partner_id, currency = bid["partner_id"], bid["currency"]
        seen = partner_id in hot.partners and (visible_partners is None or partner_id in visible_partners)
        # A slot of a partner that the caller may not see doesn't exist for it, and nothing is said about it.
        open_slot = slot is not None and (slot.partner_id is None or (seen and slot.partner_id == partner_id))
        lambda_, weight, mu = prices[brand.id] if brand else (0.0, 1.0, 0.0)
        if picked == "probe":  # scored without the price of the ROAS target
            lambda_, weight = mu, 1.0
        flags.append(
            (
                brand is None,
                not seen,
                not open_slot,
                brand is not None and brand.status == "paused",
                brand is not None and brand.currency != currency,
                open_slot and slot is not None and slot.currency != currency,
                picked is not None,
            )
        )
        numbers.append(
            (
                brand.strategy.multiplier if brand else unknown,
                brand.strategy.priority if brand else unknown,
                brand.target_roas if brand else unknown,
                float(slot.floor) if slot else unknown,
                lambda_,
                weight,
                mu,
            )
        )
    flag = np.array(flags, dtype=np.bool_).T
    number = np.array(numbers, dtype=np.float64).T
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
        lambda_=number[4],
        weight=number[5],
        mu=number[6],
        draw=draws,
    )


def strategies_of(hot: Hot) -> dict[str, dict[str, Any]]:
    return {
        brand_id: {"id": one.id, "name": one.name, "multiplier": one.multiplier}
        for brand_id, one in ((brand_id, brand.strategy) for brand_id, brand in hot.brands.items())
    }
