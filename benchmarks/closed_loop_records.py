"""What happens in a closed loop, and what its run leaves behind to be measured."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.ledger import Won

KINDS = ("impression", "click", "conversion")
"""The first of `MEASURES`, one at a time."""


@dataclass(frozen=True, slots=True)
class Event:
    """What people did: an index of KINDS, its cost and revenue in micros. cell: brand · SLOTS + slot. day:
    the one whose budget pays. won: the bid that it charges, if any."""

    brand: int
    cell: int
    day: int
    kind: int
    cost: int
    revenue: int
    won: Won | None


@dataclass
class Recorded:
    """[minutes, brands]. expected_revenue, expected_cost: of what was won, at the true rates. price: λ. roas:
    of the trailing window. share: of the day's traffic. committed: spent and reserved of its budget.

    granted: [brands, days], micros by budget day. beyond: micros by which grants went past a budget.
    """

    nu: NDArray[np.float32]
    mu: NDArray[np.float32]
    price: NDArray[np.float32]
    roas: NDArray[np.float32]
    share: NDArray[np.float32]
    committed: NDArray[np.float32]
    expected_revenue: NDArray[np.float32]
    expected_cost: NDArray[np.float32]
    standing: NDArray[np.int8]
    alert: NDArray[np.bool_]
    refused: NDArray[np.int16]
    granted: NDArray[np.int64]
    beyond: int = 0
    grants: int = 0
    released: int = 0

    @classmethod
    def empty(cls, minutes: int, brands: int, days: int) -> "Recorded":
        """Nothing happened yet."""

        def column(kind: Any = np.float32) -> Any:
            return np.zeros((minutes, brands), dtype=kind)

        names = ("nu", "mu", "price", "roas", "share", "committed", "expected_revenue", "expected_cost")
        return cls(
            **{name: column() for name in names},
            standing=column(np.int8),
            alert=column(np.bool_),
            refused=column(np.int16),
            granted=np.zeros((brands, days), dtype=np.int64),
        )
