"""The duals that bids are scored with, per brand, in Redis: written by the monitor, read with every bundle.

`brand:{id}:steering` holds packed doubles. Without it a brand is steered by nothing: ν = μ = 0.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from adbid.data.cache import revise

TTL_SECONDS = 36 * 3600
"""Prices that nobody renewed for longer than a night and a day say nothing any more."""

_PACKED = struct.Struct("<3d")
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Steering:
    """nu: price of the ROAS target. mu: of the budget. caution: the ROAS steered to, in targets (≥ 1)."""

    nu: float
    mu: float
    caution: float

    @property
    def weight(self) -> float:
        """1 + ν."""
        return 1.0 + self.nu

    def lambda_(self, target: float) -> float:
        """λ = (ν·target·caution + μ) / (1 + ν)."""
        return (self.nu * target * self.caution + self.mu) / (1.0 + self.nu)

    def reported_mu(self, target: float) -> float:
        """μ with what caution adds, so that λ = (ν·target + μ) / (1 + ν) holds for what people see."""
        return self.mu + self.nu * target * (self.caution - 1.0)


NEUTRAL = Steering(0.0, 0.0, 1.0)


def steering_key(brand_id: str) -> str:
    return f"brand:{brand_id}:steering"


def read_steering(value: bytes | None) -> Steering:
    """What `steering_key` holds."""
    return NEUTRAL if value is None else Steering(*_PACKED.unpack(value))


def pack_steering(steering: Steering) -> bytes:
    """What `read_steering` reads."""
    return _PACKED.pack(steering.nu, steering.mu, steering.caution)


class SteeringStore:
    """Writes and reads many brands' steering; a bundle's own read is in `adbid.data.hot`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def put(self, steering: Mapping[str, Steering]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for number, (brand, one) in enumerate(steering.items(), 1):
            pipeline.set(steering_key(brand), pack_steering(one), ex=TTL_SECONDS)
            if number % _AT_ONCE == 0:
                pipeline.execute()
        revise(pipeline)
        pipeline.execute()

    def get(self, brands: Sequence[str]) -> dict[str, Steering]:
        """By brand; only of brands that have one."""
        found: dict[str, Steering] = {}
        for start in range(0, len(brands), _AT_ONCE):
            some = brands[start : start + _AT_ONCE]
            values: list[Any] = self._redis.mget([steering_key(brand) for brand in some])
            found.update(
                (brand, read_steering(value))
                for brand, value in zip(some, values, strict=True)
                if value is not None
            )
        return found
