"""Which bids of a decision probe or explore, and how an explorer's revenue is drawn.

Both are functions of the decision's and the bid's id, so that a repeat chooses and draws the same.
"""

import hashlib
from math import sqrt
from statistics import NormalDist
from typing import Literal

from adbid.domain.interval import SMALLEST_SHAPE

Pick = Literal["probe", "exploration"]

_NORMAL = NormalDist()


def pick(decision_id: str, bid_id: str, probe_share: float, exploration_share: float) -> Pick | None:
    """Whether this bid of this decision is in the share (0 to 1) that probes, or in the one that explores.

    Probing keeps a brand that is held back for its ROAS in the market, or it could never recover: a probe is
    scored without the price of the ROAS target. Where the two shares overlap, exploring comes first.
    """
    if probe_share <= 0.0 and exploration_share <= 0.0:
        return None
    place = _uniform("pick", decision_id, bid_id)
    if place < exploration_share:
        return "exploration"
    return "probe" if place < exploration_share + probe_share else None


def thompson_draw(decision_id: str, bid_id: str, shape: float) -> float:
    """A draw from the posterior of a bid's revenue per impression, in its means: Gamma(shape) / shape.

    Thompson sampling (Thompson, Biometrika 25, 1933; Chapelle & Li, "An empirical evaluation of Thompson
    sampling", NIPS 2011): the less is known of a bid, the wider it draws, and the more often it wins a slot
    that it may turn out to deserve. `shape` is `interval.gamma_shape` of the payments it rests on.
    """
    shape = max(shape, SMALLEST_SHAPE)
    normal = _NORMAL.inv_cdf(_uniform("draw", decision_id, bid_id))
    # Wilson & Hilferty's quantile, as in `interval.credible_interval`.
    return max(1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * sqrt(shape)), 0.0) ** 3


def _uniform(purpose: str, decision_id: str, bid_id: str) -> float:
    """Strictly between 0 and 1."""
    text = f"{purpose}\x1f{decision_id}\x1f{bid_id}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return ((int.from_bytes(digest, "big") >> 12) + 0.5) / (1 << 52)
