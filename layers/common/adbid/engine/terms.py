"""On which terms each bid of a bundle stands: its brand's strategy and prices, its slot, and whether it is
picked to probe or to explore."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot import Hot, Place
from adbid.domain.evaluation import Terms
from adbid.domain.exploration import Pick, picks, thompson_draw
from adbid.domain.interval import gamma_shape
from adbid.engine.bundle import Bundle
from adbid.engine.rows import payments_behind
from adbid.ml.model import Model

Bools = NDArray[np.bool_]

_SHOWN = ("id", "name", "multiplier")


def picks_of(chances: NDArray[np.float64], hot: Hot) -> list[Pick | None]:
    """Which bids probe or explore, by their chances and the shares that their brands' strategies set."""
    return picks(chances, hot.numbers.probe_share, hot.numbers.exploration_share)


def draws_of(
    bundle: Bundle,
    places: Sequence[Place],
    picked: Sequence[Pick | None],
    hot: Hot,
    evidence: NDArray[np.float64],
    decision: str,
    model: Model,
) -> NDArray[np.float64]:
    """What each bid's scored revenue is multiplied with: a draw from its posterior where it explores."""
    draws = np.ones(len(bundle))
    if "exploration" in picked:
        exploring = [place for place, one in enumerate(picked) if one == "exploration"]
        paths = [(hot.brands[places[place][0]].market, *places[place]) for place in exploring]
        shapes = gamma_shape(payments_behind(evidence[exploring], paths, model.parameters.response))
        for place, shape in zip(exploring, shapes.tolist(), strict=True):
            draws[place] = thompson_draw(decision, bundle.ids[place], shape)
    return draws


def terms_of(
    bundle: Bundle,
    hot: Hot,
    picked: Sequence[Pick | None],
    draws: NDArray[np.float64],
    visible_partners: frozenset[str] | None,
) -> Terms:
    """What is known of each bid's brand, partner and slot, as arrays."""
    numbers = hot.numbers
    unknown_brand = np.isnan(numbers.multiplier)
    seen = ~np.isnan(numbers.partner_quality)
    if visible_partners is not None:
        seen &= _flags([partner in visible_partners for partner in bundle.partner_ids])
    open_slot = _open_slots(bundle, hot, seen)
    lambda_, weight, mu = (
        (numbers.nu * numbers.target_roas * numbers.caution + numbers.mu) / (1.0 + numbers.nu),
        1.0 + numbers.nu,
        numbers.mu,
    )
    if unknown_brand.any():
        lambda_, mu = (np.where(unknown_brand, 0.0, price) for price in (lambda_, mu))
        weight = np.where(unknown_brand, 1.0, weight)
    if "probe" in picked:  # scored without the price of the ROAS target
        probing = _flags([one == "probe" for one in picked])
        lambda_, weight = np.where(probing, mu, lambda_), np.where(probing, 1.0, weight)
    foreign_money, foreign_floor = _foreign(bundle, hot, open_slot)
    return Terms(
        unknown_brand=unknown_brand,
        unknown_partner=~seen,
        unknown_slot=~open_slot,
        paused=numbers.paused == 1.0,
        foreign_money=foreign_money,
        foreign_floor=foreign_floor,
        exempt=_flags([one is not None for one in picked]),
        multiplier=numbers.multiplier,
        priority=numbers.priority,
        target_roas=numbers.target_roas,
        floor=numbers.floor,
        lambda_=lambda_,
        weight=weight,
        mu=mu,
        draw=draws,
    )


def strategies_of(hot: Hot) -> dict[str, dict[str, Any]]:
    """What the answer shows of each brand's strategy; brands of one strategy share it."""
    shown: dict[tuple[str, str, float], dict[str, Any]] = {}
    found = {}
    for brand_id, brand in hot.brands.items():
        one = brand.strategy
        key = (one.id, one.name, one.multiplier)
        found[brand_id] = shown.get(key) or shown.setdefault(key, dict(zip(_SHOWN, key, strict=True)))
    return found


def _open_slots(bundle: Bundle, hot: Hot, seen: Bools) -> Bools:
    """Which bids' slots exist for this caller. A slot of a partner that it may not see doesn't, and nothing
    is said about it."""
    known: Bools = ~np.isnan(hot.numbers.placement_score)
    owners = {slot_id: slot.partner_id for slot_id, slot in hot.slots.items() if slot.partner_id is not None}
    if owners:
        pairs = list(zip(bundle.slot_ids, bundle.partner_ids, strict=True))
        own = _flags([owners.get(slot_id) == partner_id for slot_id, partner_id in pairs])
        owned = _flags([slot_id in owners for slot_id in bundle.slot_ids])
        known &= ~owned | (own & seen)
    return known


def _foreign(bundle: Bundle, hot: Hot, open_slot: Bools) -> tuple[Bools, Bools]:
    """Which bids are in another currency than their brand's, and which than their slot's floor."""
    none = np.zeros(len(bundle), dtype=np.bool_)
    in_use = {brand.currency for brand in hot.brands.values()}.union(
        [slot.currency for slot in hot.slots.values()], bundle.currencies
    )
    if len(in_use) == 1:
        return none, none
    money = _other_than(bundle.brand_ids, hot.brands, bundle.currencies)
    return money, open_slot & _other_than(bundle.slot_ids, hot.slots, bundle.currencies)


def _other_than(ids: Sequence[str], known: Mapping[str, Any], currencies: Sequence[str]) -> Bools:
    """Where an object is known, and its currency isn't the bid's."""
    pairs = zip(ids, currencies, strict=True)
    return _flags([one in known and known[one].currency != currency for one, currency in pairs])


def _flags(values: Sequence[bool]) -> Bools:
    return np.array(values, dtype=np.bool_)
