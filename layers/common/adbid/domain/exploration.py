"""Which decisions probe or explore: a share of them, chosen by hash, so that a repeat chooses the same."""

import hashlib

_SPACE = float(1 << 64)


def is_picked(decision_id: str, bid_id: str, share: float) -> bool:
    """Whether this bid belongs to the `share` (0 to 1) of picks of this decision."""
    if share <= 0.0:
        return False
    digest = hashlib.blake2b(f"{decision_id}\x1f{bid_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SPACE < share
