"""What the models see of bids, or of places without a bid, besides their evidence."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from adbid.data.hot import Hot, Place
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.ml.model import Rows


def rows_of(places: Sequence[Place], pricing_models: Sequence[str], hot: Hot, at: datetime) -> Rows:
    """One row per place; a pricing model is "" where there is no bid. What isn't known is "" or NaN."""
    unknown = float("nan")
    brands = [hot.brands.get(place[0]) for place in places]
    partners = [hot.partners.get(place[1]) for place in places]
    slots = [hot.slots.get(place[2]) for place in places]
    columns: dict[str, Sequence[str]] = {
        "vertical": [brand.vertical if brand else "" for brand in brands],
        "brand": [place[0] for place in places],
        "partner": [place[1] for place in places],
        "slot": [place[2] for place in places],
        "pricing_model": pricing_models,
    }
    for depth, dimension in enumerate(CONTEXT_DIMENSIONS):
        columns[dimension] = [place[3][depth] for place in places]
    return Rows(
        columns,
        placement_score=np.array([slot.placement_score if slot else unknown for slot in slots]),
        partner_quality=np.array([partner.quality if partner else unknown for partner in partners]),
        at=at,
    )
