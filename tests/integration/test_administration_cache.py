"""What decisions read follows what people set: at once in Redis, and in the database when Redis is down."""

import logging
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adbid.data.cache import PRIORS, TTL_SECONDS, FeatureCache
from adbid.data.catalog import BRAND, PARTNER, PRIOR, SLOT, STRATEGY, load_brands
from adbid.data.database import Database
from adbid.domain.context import market
from adbid.domain.errors import Unavailable
from adbid.engine.administration import Administration
from tests.support.administration import (  # noqa: F401  # some are fixtures
    ALICE,
    audit,
    brand,
    migrated_database,
    new,
    noted_moves,
    partner,
    prior,
    slot,
    strategy,
    ticking_clock,
    use_cases,
    version,
)
from tests.support.processes import free_port


def cached(redis_client: Redis, key: str) -> Any:
    value: Any = redis_client.get(key)
    return None if value is None else orjson.loads(value)


def test_the_cache_follows_every_change(administration: Administration, redis_client: Redis) -> None:
    used = administration.create(STRATEGY, strategy(), ALICE)
    made = administration.create(BRAND, brand(strategy_id=used.id), ALICE)
    other = administration.create(BRAND, brand(), ALICE)
    key = f"brand:{made.id}:features"
    first = cached(redis_client, key)
    assert (first["strategy"]["multiplier"], first["target_roas"]) == (1.1, 2.5)
    assert Decimal(first["daily_budget"]) == Decimal("250.5")
    assert 0 < redis_client.ttl(key) <= TTL_SECONDS

    faster = {**strategy(), "vpi_multiplier": Decimal("1.7")}
    administration.replace(STRATEGY, used.id, faster, version(1), ALICE)
    assert cached(redis_client, key)["strategy"]["multiplier"] == 1.7
    assert cached(redis_client, f"brand:{other.id}:features")["strategy"]["multiplier"] == 1.2

    administration.replace(BRAND, made.id, brand(status="paused"), version(1), ALICE)
    now = cached(redis_client, key)
    assert (now["status"], now["strategy"]["id"]) == ("paused", "growth")
    administration.delete(BRAND, made.id, None, ALICE)
    assert cached(redis_client, key) is None


def test_partners_slots_and_priors_are_cached_too(
    administration: Administration, redis_client: Redis
) -> None:
    owner = administration.create(PARTNER, partner(), ALICE)
    its_slot = administration.create(SLOT, slot(partner_id=owner.id), ALICE)
    vertical = new("vertical")
    made = administration.create(PRIOR, prior(vertical=vertical), ALICE)
    assert cached(redis_client, f"partner:{owner.id}:features")["quality"] == 0.8
    found = cached(redis_client, f"slot:{its_slot.id}:features")
    assert (found["partner_id"], found["placement_score"], Decimal(found["floor"])) == (
        owner.id,
        0.7,
        Decimal("1.25"),
    )
    mine = [one for one in cached(redis_client, PRIORS) if one["vertical"] == vertical]
    assert [(one["prior_clicks"], one["prior_imps"]) for one in mine] == [(3, 100)]
    for kind, item in ((PRIOR, made), (SLOT, its_slot), (PARTNER, owner)):
        administration.delete(kind, item.id, None, ALICE)
    assert cached(redis_client, f"partner:{owner.id}:features") is None
    assert cached(redis_client, f"slot:{its_slot.id}:features") is None
    assert not [one for one in cached(redis_client, PRIORS) if one["vertical"] == vertical]


def test_a_brand_that_moves_to_another_vertical_is_told_on(
    administration: Administration, moved: list[tuple[str, str, str]]
) -> None:
    made = administration.create(BRAND, brand(), ALICE)
    administration.replace(BRAND, made.id, brand(), version(1), ALICE)
    assert moved == []
    administration.replace(BRAND, made.id, brand(vertical="retail"), version(2), ALICE)
    assert moved == [(made.id, market("EUR", "travel"), market("EUR", "retail"))]


def test_a_change_counts_even_when_the_cache_is_down(
    database: Database, clock: Callable[[], datetime], caplog: pytest.LogCaptureFixture
) -> None:
    with Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as nobody:
        without = Administration(database, FeatureCache(nobody), clock=clock)
        with caplog.at_level(logging.WARNING, logger="adbid"):
            made = without.create(BRAND, brand(), ALICE)
            assert without.replace(BRAND, made.id, brand(), version(1), ALICE).version == 2
            without.delete(BRAND, made.id, None, ALICE)
    assert [entry["action"] for entry in audit(database, made.id)] == ["create", "replace", "delete"]
    assert len(caplog.records) == 3


def test_a_database_that_is_down_is_unavailable(redis_client: Redis, clock: Callable[[], datetime]) -> None:
    with Database(f"mysql://nobody@127.0.0.1:{free_port()}/none") as nowhere:
        administration = Administration(nowhere, FeatureCache(redis_client), clock=clock)
        with pytest.raises(Unavailable):
            administration.create(BRAND, brand(), ALICE)
        with pytest.raises(Unavailable):
            administration.read(BRAND, "x")


def test_decisions_load_what_people_set(administration: Administration, database: Database) -> None:
    used = administration.create(STRATEGY, strategy(), ALICE)
    made = administration.create(BRAND, brand(strategy_id=used.id), ALICE)
    with database.read() as connection:
        found = load_brands(connection, [made.id, "nobody", made.id])
        assert load_brands(connection, []) == {}
    assert list(found) == [made.id]
    features = found[made.id]
    assert (features.daily_budget, features.target_roas, features.version) == (Decimal("250.5"), 2.5, 1)
    assert (features.strategy.id, features.strategy.multiplier, features.strategy.priority) == (
        used.id,
        1.1,
        5,
    )
