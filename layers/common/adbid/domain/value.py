"""What one impression of a bid is worth, whatever it is priced by."""

import numpy as np
from numpy.typing import NDArray

from adbid.domain.pricing import PricingModel

Array = NDArray[np.float64]


def normalize_bid_to_impression_value(
    amount: Array, pricing: NDArray[np.integer], ctr: Array, cvr: Array
) -> Array:
    """Value per impression (VPI) in the bid's currency, before quality.

    CPM amount / 1000; CPC amount · CTR; CPA amount · CTR · CVR, with CVR as conversions per click.
    All arguments are arrays [bids]; `pricing` holds `PricingModel` codes.
    """
    per_click = amount * ctr
    by_response = np.where(pricing == PricingModel.CPC, per_click, per_click * cvr)
    return np.where(pricing == PricingModel.CPM, amount / 1000.0, by_response)
