"""Which bids of a decision probe or explore, and how an explorer's revenue is drawn.

Both are functions of the decision's and the bid's id, so that a repeat chooses and draws the same.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adbid.domain.interval import SMALLEST_SHAPE, standard_normal

Array = NDArray[np.float64]
Pick = Literal["probe", "exploration"]


def picks(chances: Array, probe_share: Array, exploration_share: Array) -> list[Pick | None]:
    """Which bids are in the share (0 to 1, NaN: none) that probes, or in the one that explores.

    `chances` are those of the bids of one decision (`chances_of`). Probing keeps a brand that is held back
    for its ROAS in the market, or it could never recover: a probe is scored without the price of the ROAS
    target. Where the two shares overlap, exploring comes first.
    """
    picked: list[Pick | None] = [None] * len(chances)
    reach = np.where(probe_share > 0.0, probe_share, 0.0) + exploration_share
    for place in np.flatnonzero(chances < reach).tolist():
        picked[place] = "exploration" if chances[place] < exploration_share[place] else "probe"
    return picked


def chances_of(decision_id: str, bid_ids: Sequence[str]) -> Array:
    """[bids], strictly between 0 and 1: in which shares a bid of a decision is."""
    return _uniforms("pick", decision_id, bid_ids)


def pick(decision_id: str, bid_id: str, probe_share: float, exploration_share: float) -> Pick | None:
    """`picks` for one bid."""
    chances = chances_of(decision_id, [bid_id])
    return picks(chances, np.array([probe_share]), np.array([exploration_share]))[0]


def thompson_draw(decision_id: str, bid_id: str, shape: float) -> float:
    """A draw from the posterior of a bid's revenue per impression, in its means: Gamma(shape) / shape.

    Thompson sampling (Thompson, Biometrika 25, 1933; Chapelle & Li, "An empirical evaluation of Thompson
    sampling", NIPS 2011): the less is known of a bid, the wider it draws, and the more often it wins a slot
    that it may turn out to deserve. `shape` is `interval.gamma_shape` of the payments it rests on.
    """
    shape = max(shape, SMALLEST_SHAPE)
    normal = standard_normal().inv_cdf(float(_uniforms("draw", decision_id, [bid_id])[0]))
    # Wilson & Hilferty's quantile, as in `interval.credible_interval`.
    return max(1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * sqrt(shape)), 0.0) ** 3


def _uniforms(purpose: str, decision_id: str, bid_ids: Sequence[str]) -> Array:
    """[bids], strictly between 0 and 1."""
    start = f"{purpose}\x1f{decision_id}\x1f"
    digests = [blake2b((start + bid_id).encode(), digest_size=8).digest() for bid_id in bid_ids]
    uniforms: Array = ((np.frombuffer(b"".join(digests), dtype=">u8") >> 12) + 0.5) / (1 << 52)
    return uniforms
