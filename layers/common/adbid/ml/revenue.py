"""Expected revenue per impression: the current posterior, corrected by boosted trees.

The trees are trained with the posterior as offset, so they hold only what it doesn't know, and the correction
is scaled by what it was worth on later days: 0 is the posterior itself, so a model can't do much harm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.response import Response
from adbid.ml.trees import Trees

Array = NDArray[np.float64]

ENSEMBLE = "revenue"
"""The trees' name in an artefact; its metadata has weight and bias under the same name."""


@dataclass(frozen=True, eq=False)
class RevenueModel:
    """log(revenue per impression) = log(posterior) + bias + weight · (sum of the trees).

    without_unit: whether the trees see features without their currency's unit (`features.drop_unit`).
    """

    trees: Trees
    weight: float
    bias: float
    without_unit: bool = False

    def predict(self, features: Array, current: Response) -> Array:
        """[n], in currency per impression, for `features` [n, F]; NaN where the posterior is unknown."""
        return self.corrected(current, self.trees.raw(features))

    def corrected(self, current: Response, raw: Array) -> Array:
        """[n]: the posterior, corrected by the trees' sums [n]."""
        return current.revenue * np.exp(self.bias + self.weight * raw)
