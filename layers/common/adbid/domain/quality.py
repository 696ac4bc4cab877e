"""The quality lift: what placement, partner, device, creative and hour add to what a cell already knows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PARTS = ("placement", "partner", "device", "creative", "hour")


@dataclass(frozen=True, eq=False)
class Quality:
    """Multiplicative lift of each row: `parts` is [rows, len(PARTS)] and multiplies to `factor`."""

    parts: Array

    @cached_property
    def factor(self) -> Array:
        """[rows]."""
        product: Array = self.parts.prod(axis=1)
        return product


def flat_quality(rows: int) -> Quality:
    """No lift: the mean, for as long as no model is loaded."""
    return Quality(np.ones((rows, len(PARTS))))


def apply_quality_factors(base_value: Array, quality: Quality) -> Array:
    """`base_value` [rows] scaled by its quality lift. For CPC and CPA value and fallback revenue only:
    a CPM price is a price, and the ROAS model has seen the same features."""
    return base_value * quality.factor
