"""Click-through priors set by people, matched to the bids they speak about."""

from collections.abc import Mapping, Sequence

import numpy as np

from adbid.domain.context import FIRST_CONTEXT_LEVEL, LEVELS, parts
from adbid.domain.entities import PriorFeatures
from adbid.domain.response import OperatorPriors

_VERTICAL = LEVELS.index("vertical")
_BRAND = LEVELS.index("brand")


def operator_priors(
    priors: Sequence[PriorFeatures],
    places: Sequence[tuple[str, str, str, tuple[str, ...]]],
    markets: Mapping[str, str],
) -> OperatorPriors | None:
    """The priors of each place (brand, partner, slot, context), by level; None when there are none at all.

    A prior speaks for the level its scope ends at: a vertical (in every currency: clicks have none), or the
    deepest of brand, partner, slot and device type that it names. `markets` are the brands' `context.market`.
    """
    if not priors:
        return None
    by_scope: dict[tuple[str, ...], PriorFeatures] = {
        (p.vertical, p.brand_id, p.partner_id, p.slot_id, p.device_type): p for p in priors
    }
    clicks = np.zeros((len(LEVELS), len(places)))
    impressions = np.zeros_like(clicks)
    for row, (brand, partner, slot, context) in enumerate(places):
        cell = ("", brand, partner, slot, context[0])
        _, vertical = parts(markets.get(brand, ""))
        scopes: list[tuple[int, tuple[str, ...]]] = []
        if vertical:
            scopes.append((_VERTICAL, (vertical, "", "", "", "")))
        for level in range(_BRAND, FIRST_CONTEXT_LEVEL + 1):
            depth = level - _BRAND + 2
            if cell[depth - 1]:  # a level that is skipped has no prior of its own
                scopes.append((level, cell[:depth] + ("",) * (len(cell) - depth)))
        for level, scope in scopes:
            prior = by_scope.get(scope)
            if prior is not None:
                clicks[level, row], impressions[level, row] = prior.prior_clicks, prior.prior_imps
    return OperatorPriors(clicks, impressions)
