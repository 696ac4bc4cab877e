"""What a bundle is scored from: one round trip when warm, one query per kind on a miss."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
import redis

from adbid import wiring
from adbid.data import hot_keys, tables
from adbid.data.cache import FeatureCache, brand_key, slot_key
from adbid.data.counters import POINTER, Counters, Generation, Increment, decayed
from adbid.data.fallback import MySqlCatalog
from adbid.data.hot import KNOWN_SECONDS, HotStore, Place
from adbid.data.steering import Steering, SteeringStore
from adbid.domain.context import LEVELS, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.entities import SlotFeatures
from tests.support.statements import queries
from tests.support.world import NOW, World, world  # noqa: F401  # a fixture

CONTEXT = ("mobile", "banner", "", "", "")
PLACES: list[Place] = [(f"b{i}", f"p{i % 3}", f"s{i % 4}", CONTEXT) for i in range(20)]
MEASURED = (1000.0, 30.0, 3.0, 5.0, 9.0)


@pytest.fixture
def shop(world: World) -> World:  # noqa: F811
    world.set(
        {
            "strategies": [{"id": "plain", "vpi_multiplier": 1}],
            "brands": [{"id": f"b{i}", "strategy_id": "plain", "vertical": f"v{i % 2}"} for i in range(20)],
            "partners": [{"id": f"p{i}"} for i in range(3)],
            "slots": [{"id": f"s{i}"} for i in range(4)],
        }
    )
    return world


def commands(client: redis.Redis) -> int:
    """How many commands the server has run, this question not counted."""
    stats = client.info("commandstats")
    return sum(int(entry["calls"]) for name, entry in stats.items() if name != "cmdstat_info")


def in_usd(vertical: str) -> str:
    return market("USD", vertical)


def increment(brand: str, at: datetime, vertical: str = "v0") -> Increment:
    return Increment(in_usd(vertical), brand, "p0", "s0", CONTEXT, at, MEASURED)


def test_a_warm_bundle_takes_one_command_and_no_sql(shop: World, redis_client: redis.Redis) -> None:
    wiring.counters().publish(Generation.new(NOW))
    store = wiring.hot_store()
    with queries() as cold:
        store.read(PLACES, NOW)
    assert len(cold) == 4, "one query each for brands, partners, slots and priors"
    before = commands(redis_client)
    with queries() as warm:
        hot = store.read(PLACES, NOW)
    assert commands(redis_client) - before == 1
    assert warm == []
    assert set(hot.brands) == {f"b{i}" for i in range(20)}


def test_an_unknown_id_is_asked_for_once(shop: World) -> None:
    store = wiring.hot_store()
    places: list[Place] = [("b?", "p?", "s?", CONTEXT)]
    with queries() as first:
        assert not store.read(places, NOW).brands
    with queries() as second:
        assert not store.read(places, NOW).slots
    assert len(first) == 4
    assert second == []


def test_an_older_copy_never_replaces_a_newer_one(redis_client: redis.Redis) -> None:
    cache = FeatureCache(redis_client)
    new = SlotFeatures("s", None, 0.5, Decimal("2.5"), "USD", version=2)
    cache.put(new)
    cache.put(replace(new, floor=Decimal(1), version=1))
    stored = redis_client.get(slot_key("s"))
    assert stored is not None
    assert b'"floor":"2.5"' in stored
    assert 0 < redis_client.ttl(slot_key("s")) <= 300


def test_counted_events_are_seen_by_the_next_read(shop: World) -> None:
    generation = Generation.new(NOW)
    wiring.counters().publish(generation)
    store = wiring.hot_store()
    place: list[Place] = [("b0", "p0", "s0", CONTEXT)]
    assert np.all(store.read(place, NOW).evidence == 0)
    wiring.counters().add(generation, "1", [increment("b0", NOW)])
    evidence = store.read(place, NOW).evidence
    assert evidence is not None
    assert evidence.shape == (1, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES))
    for level in ("global", "vertical", "brand", "partner", "slot", "device_type", "creative_type"):
        assert evidence[0, LEVELS.index(level), 0].tolist() == list(MEASURED), level
    for level in ("campaign_id", "country", "os"):
        assert not evidence[0, LEVELS.index(level)].any(), level


def test_evidence_decays_by_its_age(shop: World) -> None:
    generation = Generation.new(NOW)
    wiring.counters().publish(generation)
    wiring.counters().add(generation, "1", [increment("b0", NOW - timedelta(days=7))])
    evidence = wiring.hot_store().read([("b0", "p0", "s0", CONTEXT)], NOW).evidence
    assert evidence is not None
    for place, half_life in enumerate(HALF_LIVES_DAYS):
        assert evidence[0, 2, place] == pytest.approx(np.array(MEASURED) * 0.5 ** (7 / half_life))


def test_the_same_delta_counts_once_and_a_reversal_leaves_nothing(redis_client: redis.Redis) -> None:
    counters, generation = Counters(redis_client), Generation.new(NOW)
    counters.publish(generation)
    one = increment("b0", NOW - timedelta(days=3))
    for _ in range(3):
        assert counters.add(generation, "1", [one])
    cell = redis_client.get(generation.key("bb0"))
    assert cell is not None
    assert np.frombuffer(cell)[0] == pytest.approx(1000 * 2.0 ** (-3 / HALF_LIVES_DAYS[0]))
    counters.add(generation, "2", [replace(one, measures=tuple(-m for m in one.measures))])
    left = redis_client.get(generation.key("bb0"))
    assert left is not None
    assert not np.frombuffer(left).any()


def test_a_generation_that_is_no_longer_current_takes_nothing(redis_client: redis.Redis) -> None:
    counters, old, new = Counters(redis_client), Generation.new(NOW), Generation.new(NOW)
    counters.publish(old)
    counters.publish(new)
    assert not counters.add(old, "1", [increment("b0", NOW)])
    assert counters.current() == new


def test_a_reader_follows_a_new_generation_at_once(shop: World) -> None:
    counters, store = wiring.counters(), wiring.hot_store()
    place: list[Place] = [("b0", "p0", "s0", CONTEXT)]
    for day in (0, 1, 2):
        generation = Generation.new(NOW - timedelta(days=day))
        counters.publish(generation)
        counters.add(generation, "1", [increment("b0", NOW)])
        evidence = store.read(place, NOW).evidence
        assert evidence is not None
        assert evidence[0, 0] == pytest.approx(np.tile(MEASURED, (len(HALF_LIVES_DAYS), 1)))


def test_a_brand_that_moves_takes_its_history_along(shop: World) -> None:
    counters, generation = wiring.counters(), Generation.new(NOW)
    counters.publish(generation)
    counters.add(generation, "1", [increment("b0", NOW, "v0"), increment("b2", NOW, "v0")])
    counters.move_brand("b0", in_usd("v0"), in_usd("v1"))
    store = wiring.hot_store()
    evidence = store.read([("b2", "p0", "s0", CONTEXT), ("b1", "p0", "s0", CONTEXT)], NOW).evidence
    assert evidence is not None
    vertical = LEVELS.index("vertical")
    assert evidence[0, vertical, 0].tolist() == list(MEASURED)  # b2 stayed in v0
    assert evidence[1, vertical, 0].tolist() == list(MEASURED)  # b0 is now in b1's vertical


def test_a_brand_that_changes_its_currency_leaves_every_cell_above_it(shop: World) -> None:
    counters, generation = wiring.counters(), Generation.new(NOW)
    counters.publish(generation)
    counters.add(generation, "1", [increment("b0", NOW), increment("b1", NOW, "v1")])
    counters.move_brand("b0", in_usd("v0"), market("EUR", "v0"))
    names = [f"gUSD gEUR v{in_usd('v0')} v{market('EUR', 'v0')} bb0".split(" ")][0]
    stored = counters.redis.mget(list(map(generation.key, names)))
    shown = [float(sums[0, 0]) for sums in decayed(stored, NOW, NOW)]
    assert shown == [1000, 1000, 0, 1000, 1000]  # of b1's 1,000 nothing left


def test_sums_of_another_schema_are_not_read(shop: World, redis_client: redis.Redis) -> None:
    generation = Generation.new(NOW)
    wiring.counters().publish(generation)
    store = wiring.hot_store()
    assert store.read(PLACES, NOW).evidence is not None
    redis_client.set(POINTER, generation.pointer.partition(b"-")[2])  # as the release before named them
    assert store.read(PLACES, NOW).evidence is None


def test_without_redis_the_catalog_comes_from_the_database(shop: World) -> None:
    nowhere = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.1)
    hot = HotStore(nowhere, MySqlCatalog(wiring.database)).read(PLACES, NOW)
    assert hot.degraded == ("cache_unavailable",)
    assert len(hot.brands) == 20
    assert hot.evidence is None


def test_lost_sums_are_not_taken_for_none(shop: World, redis_client: redis.Redis) -> None:
    store = wiring.hot_store()
    wiring.counters().publish(Generation.new(datetime.now(UTC)))
    assert store.read(PLACES, NOW).evidence is not None
    redis_client.flushdb()
    assert store.read(PLACES, NOW).evidence is None
    assert redis_client.exists(brand_key("b0"))


def read(places: list[Place] = PLACES) -> dict[str, float]:
    """The multiplier of each brand's strategy, and under `nu` that of its steering."""
    numbers = wiring.hot_store().read(places, NOW).numbers
    return dict(zip([place[0] for place in places], numbers.multiplier.tolist(), strict=True))


def test_what_people_change_is_seen_by_the_next_read(shop: World, redis_client: redis.Redis) -> None:
    wiring.counters().publish(Generation.new(NOW))
    brands = wiring.hot_store().read(PLACES, NOW).brands
    for multiplier in (1.5, 0.5):
        assert set(read().values()) != {multiplier}
        changed = replace(brands["b3"].strategy, multiplier=multiplier, version=int(multiplier * 10))
        FeatureCache(redis_client).put(replace(brands["b3"], strategy=changed, version=99 - int(multiplier)))
        assert read()["b3"] == multiplier
        before = commands(redis_client)
        assert read()["b3"] == multiplier
        assert commands(redis_client) - before == 1


def test_prices_that_the_monitor_sets_are_seen_by_the_next_read(shop: World) -> None:
    wiring.counters().publish(Generation.new(NOW))
    store = wiring.hot_store()
    for nu in (0.25, 0.75):
        store.read(PLACES, NOW)
        SteeringStore(wiring.redis_client()).put({"b4": Steering(nu, 0.5, 1.1)})
        numbers = store.read(PLACES, NOW).numbers
        assert [numbers.nu[4], numbers.mu[4], numbers.caution[4]] == [nu, 0.5, 1.1]
        assert numbers.nu.sum() == nu


def test_a_deleted_object_is_gone_and_a_new_one_there(shop: World, redis_client: redis.Redis) -> None:
    wiring.counters().publish(Generation.new(NOW))
    store = wiring.hot_store()
    places: list[Place] = [*PLACES, ("new", "p0", "s0", CONTEXT)]
    assert "new" not in store.read(places, NOW).brands
    assert np.isnan(store.read(places, NOW).numbers.multiplier[-1])
    shop.set({"brands": [{"id": "new", "strategy_id": "plain"}]})
    cache = FeatureCache(redis_client)
    cache.forget(brand_key("new"))
    assert "new" in store.read(places, NOW).brands
    gone = tables.brand.delete().where(tables.brand.c.id == "b0")
    wiring.database().transaction(lambda connection: connection.execute(gone))
    cache.forget(brand_key("b0"))
    hot = store.read(places, NOW)
    assert "b0" not in hot.brands
    assert np.isnan(hot.numbers.multiplier[0])


def test_what_is_known_is_read_anew_after_a_while(shop: World, redis_client: redis.Redis) -> None:
    """A change that didn't reach Redis: its old document goes, and with it what was remembered of it."""
    wiring.counters().publish(Generation.new(NOW))
    seconds = [0.0]
    store = HotStore(wiring.redis_client(), MySqlCatalog(wiring.database), lambda: seconds[0])
    store.read(PLACES, NOW)
    redis_client.delete(slot_key("s0"))
    with queries() as asked:
        store.read(PLACES, NOW)
    assert asked == []
    seconds[0] += KNOWN_SECONDS + 1.0
    with queries() as asked:
        store.read(PLACES, NOW)
    assert len(asked) == 1


def test_more_places_than_are_remembered(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_keys, "MOST_SEATS", 25)
    generation = Generation.new(NOW)
    wiring.counters().publish(generation)
    wiring.counters().add(generation, "1", [increment(f"b{n}", NOW) for n in range(20)])
    store = wiring.hot_store()
    others: list[Place] = [(f"b{i}", "p0", f"s{i % 4}", CONTEXT) for i in range(20)]
    for _ in range(2):
        for places in (PLACES, others):
            evidence = store.read(places, NOW).evidence
            expected = (
                HotStore(wiring.redis_client(), MySqlCatalog(wiring.database)).read(places, NOW).evidence
            )
            np.testing.assert_array_equal(evidence, expected)


def test_a_bundle_of_brands_that_come_twice_and_of_markets_without_a_vertical(shop: World) -> None:
    shop.set({"brands": [{"id": "bare", "strategy_id": "plain", "vertical": ""}]})
    generation = Generation.new(NOW)
    wiring.counters().publish(generation)
    for number, brand in enumerate(("b0", "b1", "bare")):
        name = market("USD", "" if brand == "bare" else f"v{number % 2}")
        wiring.counters().add(generation, brand, [Increment(name, brand, "p0", "s0", CONTEXT, NOW, MEASURED)])
    places: list[Place] = [
        ("b0", "p0", "s0", CONTEXT),
        ("bare", "p0", "s0", ("",) * 5),
        ("b0", "p1", "s0", CONTEXT),
        ("b1", "p0", "s0", ("", "banner", "", "", "")),
        ("none", "p0", "s0", CONTEXT),
    ]
    store = wiring.hot_store()
    for _ in range(3):  # cold, warm, and warm again
        evidence = store.read(places, NOW).evidence
        assert evidence is not None
        shown = evidence[:, :, 0, 0] / 1000.0
        assert shown[:, : LEVELS.index("creative_type") + 1].tolist() == [
            [3, 1, 1, 1, 1, 1, 1],
            [3, 0, 1, 1, 1, 0, 0],
            [3, 1, 1, 0, 0, 0, 0],
            [3, 1, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ]
