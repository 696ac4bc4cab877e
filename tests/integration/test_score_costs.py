"""What a score may cost, counted and not timed: commands, queries, modules, and calls of Python functions."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest
import redis

from adbid import wiring
from adbid.data.models import ModelCache, Pointer, checksum
from adbid.ml.artefact import dump
from adbid.ml.revenue import ENSEMBLE
from functions.score.app import handler
from tests.support.statements import queries
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture
from tests.unit.ml.small_models import BIAS, TABLES, VOCABULARY, WEIGHT, forest

BIDS = 100
WEB = ("fastapi", "starlette", "mangum", "pydantic")
OURS = ("adbid.engine.performance", "adbid.ml.explain_prediction", "adbid.domain.descent")
HEAVY = (*WEB, *OURS, "sqlalchemy", "boto3", "scipy", "pandas", "lightgbm")
END = "that was all"


@pytest.fixture
def market(world: World) -> World:  # noqa: F811
    """A hundred brands with budgets and a past, and a published model."""
    from adbid.domain.learned import DEFAULTS
    from adbid.ml.features import SCHEMA_HASH

    brands = [
        {"id": f"b{n}", "strategy_id": "plain", "vertical": f"v{n % 5}", "daily_budget": 1000}
        for n in range(2 * BIDS)
    ]
    world.set(
        {
            "strategies": [
                {"id": "plain", "vpi_multiplier": 1, "probe_share": 0.05, "exploration_share": 0.02}
            ],
            "brands": brands,
            "partners": [{"id": f"p{n}"} for n in range(5)],
            "slots": [{"id": f"s{n}"} for n in range(10)],
        }
    )
    world.past(
        {
            "vertical": f"v{n % 5}",
            **place(n),
            "impressions": 900 + n,
            "clicks": 30,
            "conversions": 3,
            "cost": 5,
            "revenue": 9 + n,
        }
        for n in range(2 * BIDS)
    )
    about = {
        "schema": SCHEMA_HASH,
        "parameters": DEFAULTS.to_json(),
        "vocabulary": VOCABULARY.to_json(),
        "revenue": {"weight": WEIGHT, "bias": BIAS},
        "quality": TABLES.to_json(),
    }
    blob = dump(metadata=about, ensembles={ENSEMBLE: forest()})
    cache = ModelCache(wiring.redis_client())
    cache.store("v1", blob)
    cache.move(None, Pointer("v1", checksum(blob)))
    return world


def place(number: int) -> dict[str, str]:
    return {
        "brand_id": f"b{number}",
        "partner_id": f"p{number % 5}",
        "slot_id": f"s{number // 10 % 10}",
        "device_type": ("mobile", "desktop")[number % 2],
        "creative_type": "banner",
    }


def request(name: str, bids: int = BIDS, first: int = 0) -> dict[str, Any]:
    offer = {"pricing_model": "CPC", "amount": "0.85", "currency": "USD"}
    numbers = range(first, first + bids)
    return http_event(
        "POST", "/api/score", {"id": name, "bids": [{"id": f"x{n}", **place(n), **offer} for n in numbers]}
    )


def score(asked: dict[str, Any]) -> dict[str, Any]:
    answer = handler(asked, None)
    assert answer["statusCode"] == 200, answer["body"]
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def warm(bids: int = BIDS) -> None:
    for turn in range(3):
        found = score(request(f"warm-{bids}-{turn}", bids))
    assert found["model_version"] == "v1"
    assert found["degraded"] == []


@contextmanager
def awaited_commands(client: redis.Redis) -> Iterator[list[str]]:
    """The commands that clients send in a `with` block and wait for, less those of scripts. What shared
    metrics send needs no answer."""
    seen: list[str] = []
    with client.monitor() as monitor:
        yield seen
        wiring.redis_client().echo(END)  # whose connection is open already
        skipped = False
        while END not in (command := monitor.next_command())["command"]:
            if command["client_type"] == "lua":
                continue
            text = command["command"].upper()
            if not skipped and text != "CLIENT REPLY SKIP":
                seen.append(text.split()[0])
            skipped = text == "CLIENT REPLY SKIP"


@pytest.mark.parametrize("bids", [1, BIDS])
def test_a_warm_score_is_one_read_one_script_and_no_query(
    market: World, redis_client: redis.Redis, bids: int
) -> None:
    warm(bids)
    with queries() as asked, awaited_commands(redis_client) as sent:
        score(request(f"counted-{bids}", bids))
    assert sent == ["MGET", "EVALSHA"]
    assert asked == []


def test_a_miss_takes_one_query_per_kind(market: World, redis_client: redis.Redis) -> None:
    warm()
    for pattern in ("brand:*:features", "partner:*:features", "slot:*:features", "priors", "hot:revision"):
        redis_client.delete(*redis_client.keys(pattern))
    with queries() as asked:
        score(request("cold"))
    assert len(asked) == 4, "brands, partners, slots, priors"
    with queries() as asked:
        score(request("warm again"))
    assert asked == []


def test_a_warm_score_imports_nothing_heavy(market: World, redis_url: str) -> None:
    warm()
    program = f"""
import contextlib, io, json, sys
from functions.score.app import handler
with contextlib.redirect_stdout(io.StringIO()):
    answers = [handler(json.loads(line), None) for line in sys.stdin]
assert [answer["statusCode"] for answer in answers] == [200, 200], answers
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    events = "\n".join(json.dumps(request(f"apart-{turn}")) for turn in range(2))
    assert imported(program, events) == []
    odd = {**request("odd"), "body": json.dumps({**json.loads(request("odd")["body"]), "id": "ü"})}
    assert imported(program, "\n".join([events.splitlines()[0], json.dumps(odd)])) == [*WEB]


def imported(program: str, events: str) -> list[str]:
    """What a program of its own says that it has imported."""
    done = subprocess.run(
        [sys.executable, "-c", program], input=events, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_calls_of_python_functions_hardly_grow_with_the_bids(market: World) -> None:
    """Bids are worked on as columns: what is called for each of them is counted on one hand."""
    calls = {}
    for bids in (1, BIDS, 2 * BIDS):
        warm(bids)
        calls[bids] = python_calls(request(f"profiled-{bids}", bids))
    totals = {bids: found.total() for bids, found in calls.items()}
    assert totals[1] < 900, totals
    assert totals[BIDS] < 1_600, totals
    more = calls[2 * BIDS] - calls[BIDS]
    assert more.total() / BIDS < 4, more.most_common(10)


def python_calls(asked: dict[str, Any]) -> Counter[str]:
    """How often which Python functions are entered while a bundle is scored."""
    entered: Counter[str] = Counter()

    def note(frame: FrameType, kind: str, _argument: object) -> None:
        if kind == "call":
            entered[f"{frame.f_code.co_filename.rpartition('/')[2]} {frame.f_code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        handler(asked, None)
    finally:
        sys.setprofile(None)
    return entered
