"""`local retrain`, `rollback`, `rebuild` and `ledger`, as a user gives them, beside a running product."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import redis

from adbid.data.database import Database
from functions.retrain import app, fit
from functions.retrain.fit import FitSettings
from functions.retrain.samples import History
from local.cli import main
from local.embedded import sqlite_url
from local.home import home
from local.keys import LocalIssuer
from local.occupancy import occupant
from local.stack import Stack
from tests.support.market import BRANDS, SLOTS, month, store
from tests.support.product import MARKET, ok
from tests.support.runs import run

SLOT = {"placement_score": "0.5", "currency": "USD"}
QUICK = FitSettings(trees=20, learning_rate=0.1, folds=1, threads=1)


def train(history: History, about: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    """The product's own training, with fewer trees."""
    fitted = fit.fit(history, QUICK)
    learned = {"parameters": fitted.parameters.to_json(), "report": fitted.report}
    return fit.artefact(fitted, dict(about)), learned


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running product with a month of events to learn from."""
    home = tmp_path_factory.mktemp("commands")
    with run(home, "--port", "0", "--no-demo") as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADBID_HOME", str(home))
        patch.setattr(app, "train", train)
        stack = Stack(started.url, LocalIssuer.open(home))
        with client(stack) as admin:
            for kind in ("strategies", "partners"):
                for item in MARKET[kind]:
                    ok(admin.post(f"/api/{kind}", json=item), 201)
            for slot in SLOTS:
                ok(admin.post("/api/slots", json={**SLOT, "id": slot, "name": slot}), 201)
            for brand in BRANDS:
                ok(admin.post("/api/brands", json={**MARKET["brands"][0], "id": brand, "name": brand}), 201)
        with Database(sqlite_url(home)) as database:
            store(database, month(datetime.now(UTC)))
        said("rebuild")  # the rows came past the API, so Redis knows nothing of them
        yield stack


def client(stack: Stack) -> httpx.Client:
    headers = {"authorization": f"Bearer {stack.token('admin')}"}
    return httpx.Client(base_url=stack.url, headers=headers, timeout=30, trust_env=False)


def score(stack: Stack) -> tuple[str, list[str], float]:
    """Which version a score names, what was missing for it, and the expected CTR of a bid."""
    bid = {"id": "b", "brand_id": "b3", "partner_id": "p1", "slot_id": "s0", "device_type": "mobile"}
    bid |= {"pricing_model": "CPC", "amount": "1", "currency": "USD"}
    with client(stack) as admin:
        answer = ok(admin.post("/api/score", json={"id": "r", "dry_run": True, "bids": [bid]}))
    [result] = answer["results"]
    return answer["model_version"], answer["degraded"], result["predicted_ctr"]


def said(*command: str, code: int = 0) -> str:
    """What a command prints."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        assert main(command) == code, lines
    return "\n".join(lines)


@pytest.mark.usefixtures("stack")
def test_nothing_was_trained_yet() -> None:
    assert said("rollback") == "no model was trained yet"
    assert "nothing has changed" in said("rollback", "never", code=1)


def test_what_is_learned_serves_until_one_goes_back(stack: Stack) -> None:
    assert score(stack)[0] == "packaged-1"
    first = said("retrain").split()[1]
    assert score(stack)[0] == first
    second = said("retrain").split()[1]
    assert score(stack)[0] == second != first
    assert said("rollback", first) == f"model {first} serves"
    assert score(stack)[0] == first
    assert {line.split()[0] for line in said("rollback").splitlines()} == {first, second}


def test_too_early_a_month_is_refused_in_words(stack: Stack) -> None:
    before = score(stack)[0]
    assert "no new model" in said("retrain", "--until", "2020-01-01T00:00:00+00:00", code=1)
    assert "nothing has changed" in said("retrain", "--until", "yesterday", code=1)
    assert score(stack)[0] == before


def test_what_redis_has_lost_is_rebuilt(stack: Stack) -> None:
    version, _, ctr = score(stack)
    there = occupant(home())
    assert there is not None
    with redis.Redis.from_url(there.settings["REDIS_URL"]) as held:
        held.flushall()
        assert said("rebuild").endswith(f"model {version} serves")
        assert held.keys("cell:*")
    assert score(stack) == (version, [], pytest.approx(ctr, rel=1e-6))  # time passes meanwhile


def test_whether_the_money_adds_up_is_told(stack: Stack) -> None:
    bid = {"id": "b", "brand_id": "limited", "partner_id": "p1", "slot_id": "s0"}
    terms = {"pricing_model": "CPM", "currency": "USD"}
    happened = {"event_id": "paid", "type": "impression", "event_time": datetime.now(UTC).isoformat()}
    assert said("ledger", "check").endswith("no differences")  # and it is there, whoever has lost it before
    with client(stack) as admin:
        limited = {**MARKET["brands"][0], "id": "limited", "name": "limited", "daily_budget": "5"}
        ok(admin.post("/api/brands", json=limited), 201)
        bids = [{**bid, **terms, "amount": "2"}, {**bid, **terms, "id": "c", "slot_id": "s1", "amount": "2"}]
        decided = ok(admin.post("/api/score", json={"id": "ledger", "bids": bids}))
        assert [one["reasons"] for one in decided["results"]] == [[], []]
        happened |= {"brand_id": "limited", "partner_id": "p1", "slot_id": "s0", **terms, "bid_id": "b"}
        event = {**happened, "decision_id": decided["decision_id"], "cost": "0.003"}
        [counted] = ok(admin.post("/api/performance", json={"events": [event]}))["results"]
        assert counted["status"] == "accepted"
    assert said("ledger", "check").endswith("no differences")
    there = occupant(home())
    assert there is not None
    with redis.Redis.from_url(there.settings["REDIS_URL"]) as held:
        [key] = held.keys("*:day:limited*")
        held.hincrby(key, "reserved", 1)
        held.hincrby(key, "spent", 10)
        today = key.decode()[-10:]
        assert said("ledger", "check", code=1).splitlines()[:2] == [
            f"limited {today}: reserved 0.002001, open 0.002",
            f"limited {today}: spent in Redis 0.00301, in brand_day 0.003",
        ]
        held.flushall()
        assert said("ledger", "check").endswith("no differences")  # as restored
        assert held.hget(key, "spent") == b"3000"
