"""Places, with a bid or without, as the models see them; and how much their predictions rest on."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot import Hot, Place
from adbid.domain.context import CONTEXT_DIMENSIONS, chain
from adbid.domain.decay import MEASURES
from adbid.domain.interval import effective_payments
from adbid.domain.response import TARGETS, ResponseParameters
from adbid.ml.model import Rows

Array = NDArray[np.float64]
Path = tuple[str, str, str, str, tuple[str, ...]]
"""(market, brand, partner, slot, context values)."""

_REVENUE = list(TARGETS).index("revenue")
_IMPRESSIONS, _CLICKS, _CONVERSIONS = (MEASURES.index(m) for m in ("impressions", "clicks", "conversions"))


def rows_of(places: Sequence[Place], pricing_models: Sequence[str], hot: Hot, at: datetime) -> Rows:
    """One row per place, those of `hot`; a pricing model is "" where there is no bid. What isn't known is ""
    or NaN."""
    brands, partners, slots, contexts = zip(*places, strict=True)
    verticals = {brand_id: brand.vertical for brand_id, brand in hot.brands.items()}
    return Rows(
        {
            "vertical": [verticals.get(brand, "") for brand in brands],
            "brand": brands,
            "partner": partners,
            "slot": slots,
            "pricing_model": pricing_models,
            **dict(zip(CONTEXT_DIMENSIONS, zip(*contexts, strict=True), strict=True)),
        },
        placement_score=hot.numbers.placement_score,
        partner_quality=hot.numbers.partner_quality,
        at=at,
    )


def payments_behind(evidence: Array, paths: Sequence[Path], parameters: ResponseParameters) -> Array:
    """[rows]: the payments that each row's revenue rests on: conversions, or clicks where none are reported
    in its currency.

    evidence: [rows, levels, half-lives, measures] of `paths`.
    """
    sums = evidence[:, :, int(parameters.half_life_index[_REVENUE])].transpose(2, 1, 0)
    payments = np.where(sums[_CONVERSIONS, 0] > 0, sums[_CONVERSIONS], sums[_CLICKS])
    present = np.array([[cell is not None for cell in chain(*path)] for path in paths]).T
    return effective_payments(payments, sums[_IMPRESSIONS], parameters.strength_array[_REVENUE], present)
