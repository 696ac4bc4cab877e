"""On which terms each bid of a bundle stands: its brand's strategy and prices, its slot, and whether it is
picked to probe or to explore."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot import Hot, Numbers, Place
from adbid.data.hot_numbers import CURRENCIES, PARTNERS, STRATEGIES, Strategy
from adbid.domain.evaluation import Terms
from adbid.domain.exploration import Pick, picks, thompson_draw
from adbid.domain.interval import gamma_shape
from adbid.engine.bundle import Bundle
from adbid.engine.rows import payments_behind
from adbid.ml.model import Model

Bools = NDArray[np.bool_]


def picks_of(chances: NDArray[np.float64], numbers: Numbers) -> list[Pick | None]:
    """Which bids probe or explore, by their chances and the shares that their brands' strategies set."""
    return picks(chances, numbers.probe_share, numbers.exploration_share)


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
    exploring = [place for place, one in enumerate(picked) if one == "exploration"]
    paths = [(hot.brands[places[place][0]].market, *places[place]) for place in exploring]
    shapes = gamma_shape(payments_behind(evidence[exploring], paths, model.parameters.response))
    for place, shape in zip(exploring, shapes.tolist(), strict=True):
        draws[place] = thompson_draw(decision, bundle.ids[place], shape)
    return draws


def terms_of(
    bundle: Bundle,
    numbers: Numbers,
    picked: Sequence[Pick | None],
    visible_partners: frozenset[str] | None,
) -> Terms:
    """What is known of each bid's brand, partner and slot, as arrays; every draw is 1."""
    unknown_brand = np.isnan(numbers.multiplier)
    seen = ~np.isnan(numbers.partner_quality)
    if visible_partners is not None:
        seen &= _flags([partner in visible_partners for partner in bundle.partner_ids])
    open_slot = _open_slots(bundle, numbers, seen)
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
    foreign_money, foreign_floor = _foreign(bundle, numbers, unknown_brand, open_slot)
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
        draw=np.ones(len(bundle)),
    )


def strategies_of(numbers: Numbers) -> list[Strategy | None]:
    """What the answer shows of each bid's strategy; None where its brand doesn't exist."""
    return STRATEGIES.values(numbers.strategy)


def _open_slots(bundle: Bundle, numbers: Numbers, seen: Bools) -> Bools:
    """Which bids' slots exist for this caller. A slot of a partner that it may not see doesn't, and nothing
    is said about it."""
    known: Bools = ~np.isnan(numbers.placement_score)
    owned = numbers.owner > 0
    if owned.any():
        own = numbers.owner == [PARTNERS.known(partner_id) for partner_id in bundle.partner_ids]
        known &= ~owned | (own & seen)
    return known


def _foreign(bundle: Bundle, numbers: Numbers, unknown_brand: Bools, open_slot: Bools) -> tuple[Bools, Bools]:
    """Which bids are in another currency than their brand's, and which than their slot's floor."""
    stated = bundle.currencies
    if len({*stated}) == 1:
        stated = stated[:1]
    bid = np.array([CURRENCIES.known(currency) for currency in stated])
    return ~unknown_brand & (numbers.currency != bid), open_slot & (numbers.floor_currency != bid)


def _flags(values: Sequence[bool]) -> Bools:
    return np.array(values, dtype=np.bool_)
