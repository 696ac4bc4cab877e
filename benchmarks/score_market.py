"""A market to score in: brands with budgets, history and prices, a published model, and bundles of bids.

MySQL and Redis are real; the catalog is in the one, the decayed sums, prices and the model in the other.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import lightgbm
import numpy as np
from sqlalchemy import Connection

from adbid import wiring
from adbid.data import tables
from adbid.data.counters import Generation, Increment
from adbid.data.steering import Steering, SteeringStore
from adbid.domain.context import context_of, market
from adbid.domain.quality_tables import QualityTables
from adbid.ml.features import Vocabulary
from benchmarks.score_model import publish
from tests.support.servers import fresh_database, mysql_server, redis_server

BRANDS, PARTNERS, SLOTS, BIDS_PER_SLOT = 1_000, 40, 100, 10
DEVICES, CREATIVES, PRICING = (
    ("mobile", "desktop", "tablet"),
    ("banner", "video", "native"),
    ("CPC", "CPA", "CPM"),
)
STRATEGIES = (("growth", "1.2", 3), ("balanced", "1.0", 2), ("efficiency", "0.9", 1))
CLAIMS = {
    "sub": "benchmark",
    "scope": "partner",
    "exp": "4102444800",
    "iss": "partnerize",
    "brand_ids": "[]",
    "partner_ids": json.dumps(["*"]),
}

Bid = dict[str, Any]


@dataclass(frozen=True)
class Market:
    """Where it lies, and the parts that a plain implementation needs of the model."""

    database_url: str
    redis_url: str
    booster: lightgbm.Booster
    vocabulary: Vocabulary
    quality: QualityTables


def bid_of(number: int) -> Bid:
    """The one bid of a brand: with its own partner, slot and context, different from its neighbours'."""
    return {
        "id": f"bid-{number}",
        "brand_id": f"1l{1_000_000 + number}",
        "partner_id": f"p{number % PARTNERS}",
        "slot_id": f"s{number // BIDS_PER_SLOT % SLOTS}",
        "pricing_model": PRICING[number % 3],
        "amount": ("0.85", "21.50", "14.25")[number % 3],
        "currency": "USD",
        "device_type": DEVICES[number % 7 % 3],
        "creative_type": CREATIVES[number % 5 % 3],
    }


def bundle(bids: int, request: str, first: int = 0) -> dict[str, Any]:
    """A request of so many bids of as many brands, ten for each slot."""
    return {"id": request, "bids": [bid_of((first + number) % BRANDS) for number in range(bids)]}


def http_event(body: Mapping[str, Any]) -> dict[str, Any]:
    """As API Gateway hands it to the function, its token verified by the authorizer."""
    return {
        "version": "2.0",
        "routeKey": "POST /api/score",
        "rawPath": "/api/score",
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "content-type": "application/json",
            "host": "api.example",
            "user-agent": "benchmark",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api",
            "authorizer": {"lambda": CLAIMS},
            "domainName": "api.example",
            "http": {
                "method": "POST",
                "path": "/api/score",
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "benchmark",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "stage": "$default",
            "timeEpoch": 1_763_715_600_000,
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


@contextmanager
def open_market() -> Iterator[Market]:
    """Private servers with a market in them, for the length of a `with` block."""
    with ExitStack() as stack:
        database_url = stack.enter_context(fresh_database(stack.enter_context(mysql_server())))
        redis_url = stack.enter_context(redis_server())
        os.environ |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        wiring.reset()
        stack.callback(wiring.close)
        yield _set_up(database_url, redis_url)


def _set_up(database_url: str, redis_url: str) -> Market:
    wiring.redis_client().flushdb()
    tables.metadata.create_all(wiring.database().engine)
    wiring.database().transaction(_catalog)
    now = wiring.now()
    _past(now)
    SteeringStore(wiring.redis_client()).put(
        {
            bid_of(number)["brand_id"]: Steering(0.1 * (number % 4), 0.02 * (number % 3), 1.1)
            for number in range(BRANDS)
        }
    )
    booster, vocabulary, quality = publish([bid_of(number) for number in range(BRANDS)], now)
    return Market(database_url, redis_url, booster, vocabulary, quality)


def _catalog(connection: Connection) -> None:
    at = datetime.now(UTC)
    common = {"version": 1, "created_at": at, "updated_at": at}
    strategies = [
        {
            **common,
            "id": name,
            "name": name,
            "vpi_multiplier": Decimal(multiplier),
            "priority": priority,
            "probe_share": Decimal("0.05"),
            "exploration_share": Decimal("0.02"),
        }
        for name, multiplier, priority in STRATEGIES
    ]
    brands = [
        {
            **common,
            "id": bid_of(number)["brand_id"],
            "name": f"Brand {number}",
            "vertical": f"vertical-{number % 12}",
            "strategy_id": STRATEGIES[number % 3][0],
            "currency": "USD",
            "timezone": ("UTC", "Europe/London", "America/New_York")[number % 3],
            "daily_budget": None if number % 10 == 9 else Decimal(1_000_000),
            "target_roas": 1.5,
            "status": "active",
        }
        for number in range(BRANDS)
    ]
    partners = [
        {**common, "id": f"p{n}", "name": f"Partner {n}", "quality": Decimal(n) / PARTNERS}
        for n in range(PARTNERS)
    ]
    slots = [
        {
            **common,
            "id": f"s{n}",
            "name": f"Slot {n}",
            "partner_id": None,
            "placement_score": Decimal(n) / SLOTS,
            "floor": Decimal("0.10"),
            "currency": "USD",
        }
        for n in range(SLOTS)
    ]
    for table, rows in (
        (tables.brand_strategy, strategies),
        (tables.brand, brands),
        (tables.partner, partners),
        (tables.ad_slot, slots),
    ):
        connection.execute(table.insert(), rows)


def _past(now: datetime) -> None:
    """A week in which every brand was shown, clicked and bought: mostly as it bids now, and around it."""
    random = np.random.default_rng(2)
    generation = Generation.new(now)
    wiring.counters().publish(generation)
    increments = []
    for number in range(BRANDS):
        bid = bid_of(number)
        places = (
            bid,
            {**bid, "creative_type": CREATIVES[number % 3]},
            {**bid, "device_type": DEVICES[number % 2]},
            {**bid, "slot_id": f"s{number * 7 % SLOTS}"},
            {**bid, "partner_id": f"p{number * 3 % PARTNERS}"},
        )
        for day in range(7):
            for share, place in zip((1.0, 0.4, 0.4, 0.2, 0.2), places, strict=True):
                at = now - timedelta(days=day + random.random())
                increments.append(_shown(number, place, at, int(share * random.integers(500, 5_000)), random))
    assert wiring.counters().add(generation, secrets.token_hex(8), increments)


def stir(brands: Sequence[int], now: datetime) -> None:
    """Counts what has just happened to some brands, by number, as ingest does."""
    random = np.random.default_rng(brands[0])
    generation = wiring.counters().current()
    assert generation is not None
    increments = [
        _shown(number, bid_of(number), now, int(random.integers(1, 200)), random) for number in brands
    ]
    assert wiring.counters().add(generation, secrets.token_hex(8), increments)


def _shown(number: int, place: Bid, at: datetime, shown: int, random: np.random.Generator) -> Increment:
    clicks = int(random.binomial(shown, 0.02 * (1 + number % 3)))
    bought = int(random.binomial(clicks, 0.08))
    return Increment(
        market("USD", f"vertical-{number % 12}"),
        place["brand_id"],
        place["partner_id"],
        place["slot_id"],
        context_of(place),
        at,
        (shown, clicks, bought, 0.3 * clicks, 24.0 * bought * (1 + number % 4)),
    )
