"""The feature cache in Redis: what scoring needs of a brand, a partner or a slot, as one JSON each.

`brand:{id}:features`, `partner:{id}:features` and `slot:{id}:features` live for 300 s, are refreshed on
every write and filled on a miss. An id that doesn't exist is remembered as `null` for a short while.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import orjson
from redis import Redis
from redis.client import Pipeline

from adbid.domain.entities import (
    BrandFeatures,
    PartnerFeatures,
    PriorFeatures,
    SlotFeatures,
    StrategyFeatures,
)

REVISION = "hot:revision"
"""A random text, another one after every change of a document or of a brand's steering. Whoever remembers
what they say reads it along, and forgets everything when it has changed."""

TTL_SECONDS = 300
MISSING_TTL_SECONDS = 30
PRIORS = "priors"

Features = BrandFeatures | PartnerFeatures | SlotFeatures

# A slow reader must not put an old copy over a newer one. KEYS: the key; ARGV: value, version, lifetime.
_SET_IF_NEWER = """
local stored = redis.call('GET', KEYS[1])
if stored and stored ~= 'null' and cjson.decode(stored).order > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
return 1
"""


def brand_key(brand_id: str) -> str:
    return f"brand:{brand_id}:features"


def partner_key(partner_id: str) -> str:
    return f"partner:{partner_id}:features"


def slot_key(slot_id: str) -> str:
    return f"slot:{slot_id}:features"


def key_of(features: Features) -> str:
    """The key that `features` are cached under."""
    if isinstance(features, BrandFeatures):
        return brand_key(features.id)
    return partner_key(features.id) if isinstance(features, PartnerFeatures) else slot_key(features.id)


class FeatureCache:
    """Writes the cache. Reading it is part of a bundle's one round trip: see `adbid.data.hot`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._set_if_newer = redis.register_script(_SET_IF_NEWER)

    def put(self, *features: Features) -> None:
        """Stores what has changed, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        self._store(pipeline, features)
        revise(pipeline)
        pipeline.execute()

    def fill(self, *features: Features, missing: Sequence[str] = ()) -> bytes | None:
        """Stores what was not there, and the keys in `missing` as known not to exist, in one round trip.

        The revision that this began, where there was none.
        """
        pipeline = self._redis.pipeline(transaction=False)
        self._store(pipeline, features)
        for key in missing:
            pipeline.set(key, b"null", ex=MISSING_TTL_SECONDS, nx=True)
        revision = _new_revision()
        pipeline.set(REVISION, revision, nx=True)
        return revision if pipeline.execute()[-1] else None

    def _store(self, pipeline: Pipeline, features: Sequence[Features]) -> None:
        for one in features:
            order = _order(one)
            value = orjson.dumps(_document(one) | {"order": order}, default=str)
            self._set_if_newer(keys=[key_of(one)], args=[value, order, TTL_SECONDS], client=pipeline)

    def put_priors(self, priors: Sequence[PriorFeatures]) -> None:
        """Stores all priors, as the one document that every bundle reads."""
        self._redis.set(PRIORS, orjson.dumps([asdict(prior) for prior in priors]), ex=TTL_SECONDS)

    def forget(self, key: str) -> None:
        """Removes what is cached of a deleted or changed object; the next bundle reads it anew."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.delete(key)
        revise(pipeline)
        pipeline.execute()


def revise(pipeline: Pipeline) -> None:
    """Lets everybody forget what they remember, once `pipeline` is executed."""
    pipeline.set(REVISION, _new_revision())


def _new_revision() -> bytes:
    return secrets.token_bytes(8)


def _document(features: Features) -> dict[str, Any]:
    """Without what follows from the rest."""
    document = asdict(features)
    document.pop("market", None)
    return document


def read_brand(document: Mapping[str, Any]) -> BrandFeatures:
    values = {**document}
    del values["order"]
    values["strategy"] = StrategyFeatures(**values["strategy"])
    if values["daily_budget"] is not None:
        values["daily_budget"] = Decimal(values["daily_budget"])
    return BrandFeatures(**values)


def read_partner(document: Mapping[str, Any]) -> PartnerFeatures:
    return PartnerFeatures(document["id"], document["quality"], document["version"])


def read_slot(document: Mapping[str, Any]) -> SlotFeatures:
    values = {**document, "floor": Decimal(document["floor"])}
    del values["order"]
    return SlotFeatures(**values)


def _order(features: Features) -> int:
    """Grows with every change; moving to another strategy is a new version of the brand."""
    if isinstance(features, BrandFeatures):
        return features.version * 1_000_000 + features.strategy.version
    return features.version
