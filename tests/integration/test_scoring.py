"""Scoring end to end inside the process: what was just set or counted is seen, what is lost comes back."""

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

from adbid import wiring
from adbid.data.cache import FeatureCache
from adbid.data.counters import POINTER, Generation
from adbid.data.fallback import MySqlCatalog
from adbid.data.hot import HotStore, Place
from adbid.data.rebuild import LOCK
from adbid.domain.context import LEVELS
from adbid.ml.model import Model
from functions.admin.app import handler as admin
from functions.ingest.app import handler as ingest
from functions.score.app import handler as score
from tests.support.world import NOW, World, http_event, world  # noqa: F401  # a fixture
from tests.unit.ml.small_models import TABLES, artefact

PREDICTED = (
    "predicted_ctr",
    "predicted_cvr",
    "predicted_revenue",
    "predicted_cost",
    "predicted_roas",
    "value_per_impression",
    "score",
)
BID = {
    "id": "b",
    "brand_id": "b1",
    "partner_id": "p1",
    "slot_id": "s1",
    "pricing_model": "CPA",
    "amount": "12.50",
    "currency": "USD",
    "device_type": "mobile",
}
P1 = {"scope": "partner", "partner_ids": ["p1"]}
_numbers = count()


@pytest.fixture
def market(world: World) -> World:  # noqa: F811
    world.set(
        {
            "strategies": [{"id": "plain", "vpi_multiplier": 1}],
            "brands": [{"id": f"b{i}", "strategy_id": "plain", "vertical": f"v{i % 3}"} for i in range(1, 7)],
            "partners": [{"id": "p1", "quality": "0.9"}, {"id": "p2", "quality": "0.9"}],
            "slots": [
                {"id": "s1"},
                {"id": "s2", "partner_id": "p2", "placement_score": "0.9", "currency": "EUR", "floor": 100},
            ],
        }
    )
    return world


def asked(*bids: dict[str, Any], claims: dict[str, Any] | None = None, **said: Any) -> dict[str, Any]:
    """The answer of a score that succeeds."""
    request = "r" if said.get("dry_run") else f"r{next(_numbers)}"  # each decides anew
    body = {"id": request, "bids": [{**BID, **bid} for bid in bids or ({},)], **said}
    answer = score(http_event("POST", "/api/score", body, claims=claims), None)
    assert answer["statusCode"] == 200, answer["body"]
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def one(**said: Any) -> dict[str, Any]:
    """The result of one bid."""
    found: dict[str, Any] = asked(**said)["results"][0]
    return found


def report(clock: Any, revenue: str = "40.00", brand: str = "b1", **more: Any) -> None:
    """Reports 1,000 impressions, 30 clicks with `revenue`, and 3 conversions."""
    common = {"brand_id": brand, "partner_id": "p1", "slot_id": "s1", "currency": "USD", **more}
    common.setdefault("event_time", (clock - timedelta(hours=3)).isoformat())
    events = [
        {"type": "impression", "count": 1000, "cost": "5.00"},
        {"type": "click", "count": 30, "revenue": revenue},
        {"type": "conversion", "count": 3},
    ]
    for event in events:
        event |= {"event_id": f"{next(_numbers)}", **common}
    answer = ingest(http_event("POST", "/api/performance", {"events": events}), None)
    assert [result["status"] for result in json.loads(answer["body"])["results"]] == ["accepted"] * 3, answer


def count_from_nothing() -> None:
    wiring.counters().publish(Generation.new(NOW))


@pytest.mark.parametrize(
    ("path", "made", "reason"),
    [
        ("brands", {"id": "new", "name": "n", "vertical": "v1", "target_roas": 2}, "unknown_brand"),
        ("partners", {"id": "new", "name": "n", "quality": 0.5}, "unknown_partner"),
        ("slots", {"id": "new", "name": "n", "placement_score": 0.5, "floor": 0}, "unknown_slot"),
    ],
)
def test_what_is_created_after_a_miss_is_known_at_once(
    market: World, path: str, made: dict[str, Any], reason: str
) -> None:
    count_from_nothing()
    name = {"brands": "brand_id", "partners": "partner_id", "slots": "slot_id"}[path]
    for _ in range(2):  # the second time from the cache
        assert asked({name: "new"})["results"][0]["reasons"] == [reason]
    if path != "partners":
        made |= {"currency": "USD"}
    if path == "brands":
        made |= {"strategy_id": "plain", "timezone": "UTC"}
    created = admin(http_event("POST", f"/api/{path}", made), None)
    assert created["statusCode"] == 201, created["body"]
    assert asked({name: "new"})["results"][0]["status"] == "won"
    gone = admin(http_event("DELETE", f"/api/{path}/new", headers={"if-match": '"1"'}), None)
    assert gone["statusCode"] == 204, gone["body"]
    assert asked({name: "new"})["results"][0]["reasons"] == [reason]


def test_a_changed_strategy_counts_from_the_next_score_on(market: World) -> None:
    before = one()["score"]
    strategy = json.loads(admin(http_event("GET", "/api/strategies/plain"), None)["body"])
    answer = admin(
        http_event(
            "PUT", "/api/strategies/plain", {**strategy, "vpi_multiplier": 2}, headers={"if-match": '"1"'}
        ),
        None,
    )
    assert answer["statusCode"] == 200, answer["body"]
    assert one()["score"] == 2 * before


def test_a_prior_counts_from_the_next_score_on(market: World) -> None:
    assert one()["predicted_ctr"] == 0.03
    body = {"brand_id": "b1", "prior_clicks": 10, "prior_imps": 1000}
    assert admin(http_event("POST", "/api/priors", body), None)["statusCode"] == 201
    assert one()["predicted_ctr"] == pytest.approx(0.01)


def test_an_event_counts_from_the_next_score_on(market: World) -> None:
    count_from_nothing()
    assert asked()["degraded"] == ["no_revenue_data"]
    report(market.clock)
    answer = asked()
    assert answer["degraded"] == []
    assert answer["results"][0]["predicted_revenue"] == pytest.approx(0.04)


def test_impressions_without_revenue_yet_do_not_stop_everything(market: World) -> None:
    """Revenue comes long after the first impressions: until then brands are taken to meet their target."""
    count_from_nothing()
    report(market.clock, revenue="0")
    answer = asked()
    result = answer["results"][0]
    assert answer["degraded"] == ["no_revenue_data"]
    assert (result["status"], result["predicted_roas"]) == ("won", 2.0)
    report(market.clock, revenue="0.01", brand="b2")  # somebody earned something: from now on it is known
    assert asked()["degraded"] == []


def test_live_and_as_of_now_agree(market: World) -> None:
    count_from_nothing()
    for days, revenue in ((0.25, "40.00"), (2, "10.00"), (20, "70.00")):
        for brand in ("b1", "b2", "b4"):
            report(
                market.clock,
                revenue,
                brand,
                event_time=(market.clock - timedelta(days=days)).isoformat(),
                device_type="mobile",
            )
    bids = [{"id": f"{brand}", "brand_id": brand} for brand in ("b1", "b2", "b3", "b4")]
    live = asked(*bids)
    past = asked(*bids, dry_run=True, at=market.clock.isoformat())
    assert [r["bid_id"] for r in live["results"]] == [r["bid_id"] for r in past["results"]]
    for here, there in zip(live["results"], past["results"], strict=True):
        assert [there[name] for name in PREDICTED] == pytest.approx(
            [here[name] for name in PREDICTED], rel=1e-9
        )
    before = asked(*bids, dry_run=True, at=(market.clock - timedelta(days=30)).isoformat())
    assert before["degraded"] == ["no_revenue_data"]


def test_a_time_is_the_same_whatever_its_offset(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    monkeypatch.setattr(wiring.scoring(), "_models", lambda pointer: (model, ()))
    report(market.clock)
    said = [
        asked(dry_run=True, at=at)
        for at in ("2026-11-20T09:00:00Z", "2026-11-20T18:00:00+09:00", "2026-11-19T21:00:00-12:00")
    ]
    assert said[0] == said[1] == said[2]
    assert said[0]["results"][0]["quality"]["hour"] > 1


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_impossible_times_are_refused(market: World, at: str) -> None:
    body = {"id": "r", "bids": [BID], "dry_run": True, "at": at}
    answer = score(http_event("POST", "/api/score", body), None)
    assert answer["statusCode"] == 422
    assert json.loads(answer["body"])["errors"][0]["property"] == "at"


def test_a_redis_that_lost_everything_is_filled_again(market: World, redis_client: redis.Redis) -> None:
    count_from_nothing()
    report(market.clock)
    before = asked()
    redis_client.flushdb()
    after = asked()
    assert after["degraded"] == []
    for name in PREDICTED:
        assert after["results"][0][name] == pytest.approx(before["results"][0][name], rel=1e-9)
    report(market.clock, revenue="100.00", device_type="mobile")
    assert one()["predicted_revenue"] > after["results"][0]["predicted_revenue"]


def test_while_somebody_else_rebuilds_the_answer_says_so(market: World, redis_client: redis.Redis) -> None:
    count_from_nothing()
    report(market.clock)
    redis_client.delete(POINTER)
    redis_client.set(LOCK, "somebody")
    answer = asked()
    assert answer["degraded"] == ["counters_unavailable", "no_revenue_data"]
    assert answer["results"][0]["status"] == "won"
    redis_client.delete(LOCK)
    assert asked()["degraded"] == []


def test_without_redis_it_is_still_answered(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    count_from_nothing()
    report(market.clock)
    before = asked()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    wiring.redis_client().close()
    wiring.redis_client.cache_clear()
    wiring.hot_store.cache_clear()
    wiring.scoring.cache_clear()
    after = asked()
    assert after["degraded"][0] == "cache_unavailable"
    for name in PREDICTED:
        assert after["results"][0][name] == pytest.approx(before["results"][0][name], rel=1e-9)


@pytest.fixture
def reader(redis_url: str, redis_client: redis.Redis) -> Iterator[redis.Redis]:
    """A client that may read and not write."""
    redis_client.acl_setuser(
        "reader", enabled=True, nopass=True, keys=["*"], categories=["+@read"], reset=True
    )
    with redis.Redis.from_url(redis_url, username="reader", password="any") as client:
        yield client
    redis_client.acl_deluser("reader")


def test_a_redis_that_takes_no_writes_is_still_read(market: World, reader: redis.Redis) -> None:
    count_from_nothing()
    report(market.clock)
    with pytest.raises(NoPermissionError):
        FeatureCache(reader).put_priors([])
    hot = HotStore(reader, MySqlCatalog(wiring.database)).read([("b1", "p1", "s1", ("",) * 5)], NOW)
    assert hot.degraded == ()
    assert set(hot.brands) == {"b1"}
    assert hot.evidence is not None
    assert hot.evidence[0, 0, -1, 0] == pytest.approx(1000.0, rel=0.01)


def test_of_a_foreign_partners_slot_nothing_is_said(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its currency nor its floor, nor the lift its score or its traffic would give."""
    count_from_nothing()
    report(market.clock)
    model = Model.from_artefact("v1", artefact(quality=TABLES))
    monkeypatch.setattr(wiring.scoring(), "_models", lambda pointer: (model, ()))
    for partner in ("p1", "p2", "nobody"):
        said = [
            asked({"slot_id": slot, "partner_id": partner}, claims=P1, explain=True)["results"][0]
            for slot in ("s2", "nowhere")
        ]
        for result in said:
            result.pop("slot_id")
        assert said[0] == said[1]
        assert "unknown_slot" in said[0]["reasons"]
    known = asked({"partner_id": "p2"}, claims=P1)["results"][0]
    assert known == asked({"partner_id": "nobody"}, claims=P1)["results"][0]
    owner = asked({"slot_id": "s2", "partner_id": "p2"}, claims={"scope": "partner", "partner_ids": ["p2"]})
    assert owner["results"][0]["reasons"] == ["currency_mismatch"]


def test_many_threads_share_one_instance(market: World) -> None:
    """Other brands at the same time, while what is remembered changes: each gets its own brands' levels."""
    places: list[list[Place]] = [[(f"b{i}", "p1", "s1", ("",) * 5)] for i in range(1, 7)]
    count_from_nothing()
    for i in range(1, 7):
        report(market.clock, revenue=f"{10 * i}.00", brand=f"b{i}")
    counters, store = wiring.counters(), wiring.hot_store()
    expected = [
        HotStore(wiring.redis_client(), MySqlCatalog(wiring.database)).read(place, NOW) for place in places
    ]
    barrier = Barrier(4)

    def read(thread: int) -> int:
        wrong = 0
        barrier.wait()
        for turn in range(200):
            store._memory.names = None  # as after a change of generation
            store._memory.verticals = {}
            number = (thread + turn) % len(places)
            evidence, known = store.read(places[number], NOW).evidence, expected[number].evidence
            assert evidence is not None
            assert known is not None
            wrong += evidence.tobytes() != known.tobytes()
        return wrong

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns between any two steps
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, range(4))) == [0] * 4
    finally:
        sys.setswitchinterval(usual)
    assert counters.current() is not None
    vertical = LEVELS.index("vertical")
    first = expected[0].evidence
    assert first is not None
    assert first[0, vertical, -1, 0] == pytest.approx(2000.0, rel=0.01)  # b1 and b4 are in v1


def test_handlers_answer_in_any_thread(market: World) -> None:
    count_from_nothing()
    report(market.clock)
    expected = asked(dry_run=True)

    def many(_: int) -> list[dict[str, Any]]:
        loop = asyncio.new_event_loop()  # as the local gateway gives each of its threads one
        asyncio.set_event_loop(loop)
        try:
            return [asked(dry_run=True) for _ in range(20)]
        finally:
            loop.close()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(many, range(2))) == [[expected] * 20] * 2
