"""Places, with a bid or without, as the models see them; and how much their predictions rest on."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from adbid.data.hot import Hot, Place
from adbid.data.hot_keys import MOST_SEATS
from adbid.domain.context import CONTEXT_DIMENSIONS, chain
from adbid.domain.decay import MEASURES
from adbid.domain.interval import effective_payments
from adbid.domain.pricing import PricingModel
from adbid.domain.response import TARGETS, ResponseParameters
from adbid.ml.model import Rows
from adbid.ml.values import Numbered

Array = NDArray[np.float64]
Path = tuple[str, str, str, str, tuple[str, ...]]
"""(market, brand, partner, slot, context values)."""

_REVENUE = list(TARGETS).index("revenue")
_IMPRESSIONS, _CLICKS, _CONVERSIONS = (MEASURES.index(m) for m in ("impressions", "clicks", "conversions"))


class _Columns(dict[str, Sequence[str]]):
    """The columns of `ml.model.COLUMNS`, made when one is asked for: of places met before none is."""

    def __init__(self, places: Sequence[Place], pricing_models: Sequence[str], hot: Hot) -> None:
        super().__init__()
        self._of = places, pricing_models, hot

    def __missing__(self, name: str) -> Sequence[str]:
        places, pricing_models, hot = self._of
        brands, partners, slots, contexts = zip(*places, strict=True)
        verticals = {brand_id: brand.vertical for brand_id, brand in hot.brands.items()}
        self.update(
            vertical=[verticals.get(brand, "") for brand in brands],
            brand=brands,
            partner=partners,
            slot=slots,
            pricing_model=pricing_models,
            **dict(zip(CONTEXT_DIMENSIONS, zip(*contexts, strict=True), strict=True)),
        )
        return self[name]


def rows_of(
    places: Sequence[Place],
    pricing_models: Sequence[str],
    hot: Hot,
    at: datetime,
    pricing: NDArray[np.intp] | None = None,
) -> Rows:
    """One row per place, those of `hot`; a pricing model is "" where there is no bid. What isn't known is ""
    or NaN. `pricing` are the codes of the pricing models, where there is a bid for each place."""
    numbered = None
    if pricing is not None and hot.seated is not None:
        numbered = Numbered(
            book=hot.seated.seats,
            most=MOST_SEATS * len(PricingModel),
            numbers=hot.seated.numbers * len(PricingModel) + pricing,
            markets=hot.numbers.market.astype(np.intp),
        )
    return Rows(
        _Columns(places, pricing_models, hot),
        placement_score=hot.numbers.placement_score,
        partner_quality=hot.numbers.partner_quality,
        at=at,
        numbered=numbered,
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
