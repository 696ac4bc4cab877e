"""Nights: what is learned serves at once; whatever is worse, broken, late or too little changes nothing."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import orjson
import pytest
import redis
from sqlalchemy import update

from adbid import wiring
from adbid.data.model_versions import model_version
from adbid.data.models import RetrainLock
from adbid.data.tables import brand
from adbid.domain.errors import Invalid, NotFound, Unavailable
from adbid.ml.model import Model
from functions.retrain import app, fit
from functions.retrain.fit import FitSettings
from functions.retrain.night import STAGES
from functions.retrain.samples import History
from functions.score import app as score_app
from local.learning import first_time, retrain
from tests.support.market import BRANDS, month, open_market, scrambled, store
from tests.support.s3 import BUCKET, s3  # noqa: F401  # a fixture
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

QUICK = FitSettings(trees=60, learning_rate=0.1, folds=1, threads=1)
NIGHT = timedelta(days=1)


def train(history: History, about: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    """The product's own training, with fewer trees."""
    fitted = fit.fit(history, QUICK)
    learned = {"parameters": fitted.parameters.to_json(), "report": fitted.report}
    return fit.artefact(fitted, dict(about)), learned


@pytest.fixture
def market(world: World, s3: Any, monkeypatch: pytest.MonkeyPatch) -> World:  # noqa: F811
    """A month of events, models in S3, nothing learned yet."""
    monkeypatch.setenv("MODELS_BUCKET", BUCKET)
    monkeypatch.setattr(app, "train", train)
    wiring.close()
    open_market(world)
    return world


class Context:
    """What Lambda says of the time that is left: little of it from the stage `hurry` on."""

    def __init__(self, hurry: str) -> None:
        self._hurry = hurry
        self._seconds = 900

    def get_remaining_time_in_millis(self) -> int:
        return 1000 * self._seconds

    def progress(self, stage: str, _: str) -> None:
        if stage == self._hurry:
            self._seconds = 5


def night(**event: Any) -> dict[str, Any]:
    """The retrain function called, as the schedule does."""
    return app.handler(event, None)


def next_night(market: World, *, poisoned: bool = False) -> dict[str, Any]:
    """A day later, with a day more of events."""
    market.clock += NIGHT
    rows = month(market.clock)
    store(wiring.database(), scrambled(rows) if poisoned else rows)
    return night()


def score(**bid: Any) -> dict[str, Any]:
    """The score function's answer for one bid."""
    offer = {"id": "1", "pricing_model": "CPC", "amount": "0.2", "currency": "USD", "device_type": "mobile"}
    place = {"brand_id": "b3", "partner_id": "p1", "slot_id": "s0"}
    body = {"id": "r1", "dry_run": True, "bids": [{**offer, **place, **bid}]}
    answer = score_app.handler(http_event("POST", "/api/score", body), None)
    assert answer["statusCode"] == 200, answer["body"]
    found: dict[str, Any] = orjson.loads(answer["body"])
    return found


def served() -> str:
    """The version that a score's answer names."""
    version: str = score()["model_version"]
    return version


def health() -> dict[str, Any]:
    answer = score_app.handler(http_event("GET", "/healthz"), None)
    found: dict[str, Any] = orjson.loads(answer["body"])
    return found


def versions() -> dict[str, Any]:
    with wiring.database().read() as connection:
        return {row.version: row for row in connection.execute(model_version.select())}


class TestANight:
    def test_a_warm_instance_scores_with_what_was_learned(self, market: World) -> None:
        assert served() == "packaged-1"
        result = night(action="retrain")
        assert result["status"] == "published", result
        assert served() == result["version"]
        assert health()["model_version"] == result["version"]
        assert score()["degraded"] == []

    def test_scores_come_from_the_model(self, market: World) -> None:
        """Evenings earn six times as much, which no decayed sum knows."""
        before = score()["results"][0]["predicted_revenue"]
        assert night()["status"] == "published"
        morning = score()["results"][0]["predicted_revenue"]
        market.clock += timedelta(hours=11)
        evening = score()["results"][0]["predicted_revenue"]
        assert morning < before < evening
        assert 2 < evening / morning < 8

    def test_it_learns_from_two_currencies_at_once(self, market: World) -> None:
        """Half of the brands count in yen, 150 of which are worth as much as one dollar was."""
        in_yen = BRANDS[3:]
        change = update(brand).where(brand.c.id.in_(in_yen)).values(currency="JPY")
        wiring.database().transaction(lambda connection: connection.execute(change))
        rows = month(market.clock)
        for row in rows:
            if row["brand_id"] in in_yen:
                row |= {"cost": 150 * row["cost"], "revenue": 150 * row["revenue"]}
        store(wiring.database(), rows)
        result = night()
        assert result["status"] == "published", result
        assert result["metrics"]["validation"]["skill"]["revenue"]["d2"] > 0.5
        places = {"USD": {"brand_id": "b2"}, "JPY": {"brand_id": "b3", "currency": "JPY"}}
        mornings = {one: score(**place)["results"][0]["predicted_revenue"] for one, place in places.items()}
        market.clock += timedelta(hours=11)
        for one, place in places.items():
            evening = score(**place)["results"][0]["predicted_revenue"]
            assert 2 < evening / mornings[one] < 8
        # b2 earns 2.5 a click at 3.3 %, b3 150 · 3.5 at 4 %.
        assert mornings["JPY"] / mornings["USD"] == pytest.approx(150 * 3.5 * 0.04 / (2.5 * 0.1 / 3), rel=0.2)

    def test_it_is_kept_with_what_it_learned_from_and_how_well_it_did(self, market: World, s3: Any) -> None:  # noqa: F811
        version = night()["version"]
        row = versions()[version]
        assert row.status == "published"
        assert (row.training_from, row.training_to) == (market.clock - timedelta(days=30), market.clock)
        assert row.parameters["response"]["half_lives"]
        validation = row.metrics["validation"]
        assert validation["champion"] == "packaged-1"
        assert validation["skill"]["revenue"]["d2"] > validation["champion_skill"]["revenue"]["d2"] + 0.1
        assert 0.9 < validation["skill"]["revenue"]["calibration"] < 1.1
        stored = s3.get_object(Bucket=BUCKET, Key=f"models/{version}/metadata.json")["Body"].read()
        assert orjson.loads(stored)["metrics"] == row.metrics

    def test_the_next_night_replaces_it(self, market: World) -> None:
        first = night()["version"]
        result = next_night(market)
        assert result["status"] == "published", result
        assert served() == result["version"] != first
        assert result["metrics"]["validation"]["champion"] == first
        assert versions()[first].status == "retired"

    def test_twice_on_one_day(self, market: World) -> None:
        assert night()["status"] == "published"
        market.clock += timedelta(minutes=5)
        assert night()["status"] == "published"

    def test_up_to_an_earlier_day(self, market: World) -> None:
        until = market.clock - timedelta(days=7)
        version = night(until=until.isoformat())["version"]
        assert versions()[version].training_to == until

    def test_bytes_corrupted_in_redis_come_from_s3(self, market: World, redis_client: redis.Redis) -> None:
        version = night()["version"]
        redis_client.set(f"model:{version}", b"ADBIDMDL and nothing more")
        wiring.model_loader.cache_clear()
        wiring.scoring.cache_clear()
        answer = score()
        assert (answer["model_version"], answer["degraded"]) == (version, [])


def broken(change: str) -> Any:
    """Training that goes wrong in one way."""

    def trained(history: History, about: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
        if change == "scrambled":
            order = np.random.default_rng(3).permutation(len(history.log))
            measures = history.log.measures.copy()
            measures[:, -1] = measures[order, -1]
            history = replace(history, log=replace(history.log, measures=measures))
        elif change == "too large":
            blob, learned = train(history, about)
            return blob.replace(b'"bias":', b'"bias":1'), learned
        fitted = fit.fit(history, QUICK)
        if change == "biased":
            fitted = replace(fitted, bias=fitted.bias + 2.0)
        elif change == "nan":
            fitted = replace(fitted, weight=float("1e308"))
        learned = {"parameters": fitted.parameters.to_json(), "report": fitted.report}
        return fit.artefact(fitted, dict(about)), learned

    return trained


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ("scrambled", "worse"),
            ("biased", "worse"),
            ("nan", "worse"),
            ("too large", "not_servable"),
        ],
    )
    def test_a_worse_model(
        self, market: World, change: str, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = night()["version"]
        monkeypatch.setattr(app, "train", broken(change))
        result = next_night(market)
        assert (result["status"], result["reason"]) == ("refused", reason), result
        assert served() == first
        [rejected] = [row for row in versions().values() if row.version != first]
        assert rejected.status == "rejected"
        assert (rejected.metrics["reason"], rejected.metrics["detail"]) == (reason, result["detail"])

    def test_a_poisoned_night(self, market: World) -> None:
        """Half of the revenue dealt out anew, before and after: the new model fits the poison best."""
        first = night()["version"]
        result = next_night(market, poisoned=True)
        assert (result["status"], result["reason"]) == ("refused", "suspect_data"), result
        assert served() == first

    def test_a_market_that_stays_changed_is_learned_in_the_end(self, market: World) -> None:
        night()
        market.clock += timedelta(days=8)
        assert next_night(market, poisoned=True)["status"] == "published"

    def test_a_model_of_other_features(self, market: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fit, "SCHEMA_HASH", "of yesterday")
        result = night()
        assert (result["status"], result["reason"]) == ("refused", "not_servable"), result
        assert "model_schema" in result["detail"]
        assert served() == "packaged-1"

    def test_a_model_that_raises_in_the_dry_run(self, market: World, monkeypatch: pytest.MonkeyPatch) -> None:
        engine = wiring.scoring()
        answer = engine.score

        def raising(*bids: Any, model: Model | None = None, **rest: Any) -> Any:
            if model is not None and model.version != "packaged-1":
                raise ZeroDivisionError("in the score path alone")
            return answer(*bids, model=model, **rest)

        monkeypatch.setattr(engine, "score", raising)
        result = night()
        assert (result["status"], result["reason"]) == ("refused", "raised"), result
        assert served() == "packaged-1"
        assert [row.status for row in versions().values()] == ["rejected"]

    def test_a_store_that_fails_in_the_dry_run_is_not_the_models_fault(
        self, market: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def down(*_: Any, **__: Any) -> None:
            raise Unavailable("database_unavailable", "down")

        monkeypatch.setattr(wiring.scoring(), "score", down)
        with pytest.raises(Unavailable):
            night()
        assert versions() == {}

    @pytest.mark.parametrize("days", [0, 1, 6])
    def test_too_little_data(self, market: World, days: int) -> None:
        store(wiring.database(), month(market.clock, days))
        result = night()
        assert (result["status"], result["reason"]) == ("refused", "too_little_data"), result
        assert served() == "packaged-1"
        assert versions() == {}

    def test_brands_that_are_gone(self, market: World) -> None:
        rows = [{**row, "brand_id": f"gone-{row['brand_id']}"} for row in month(market.clock)]
        store(wiring.database(), rows)
        assert night()["reason"] == "nothing_to_rehearse"

    @pytest.mark.parametrize("hurry", STAGES[:-1])
    def test_too_little_time(self, market: World, hurry: str) -> None:
        context = Context(hurry)
        result = app.handler({}, context, context.progress)
        assert (result["status"], result["reason"]) == ("refused", "timeout"), result
        assert served() == "packaged-1"

    def test_a_rollback_meanwhile_wins(self, market: World, monkeypatch: pytest.MonkeyPatch) -> None:
        first = night()["version"]
        second = next_night(market)["version"]

        def slow(history: History, about: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
            night(action="rollback", version=first)
            return train(history, about)

        monkeypatch.setattr(app, "train", slow)
        result = next_night(market)
        assert (result["status"], result["reason"]) == ("refused", "model_moved"), result
        assert served() == first
        assert [versions()[version].status for version in (first, second)] == ["published", "retired"]


class TestOneAtATime:
    def test_a_second_one_is_skipped(self, market: World, redis_client: redis.Redis) -> None:
        assert RetrainLock(redis_client, 60).acquire()
        assert night() == {"status": "skipped", "reason": "running"}
        assert versions() == {}

    def test_two_at_once(self, market: World) -> None:
        results: list[dict[str, Any]] = []
        threads = [threading.Thread(target=lambda: results.append(night())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(result["status"] for result in results) == ["published", "skipped"]

    def test_a_refusal_lets_go(self, market: World) -> None:
        store(wiring.database(), [])
        assert night()["status"] == night()["status"] == "refused"


class TestRollback:
    def test_one_call_goes_back(self, market: World) -> None:
        first = night()["version"]
        next_night(market)
        assert night(action="rollback", version=first) == {"status": "published", "version": first}
        assert served() == first

    def test_to_what_never_was(self, market: World) -> None:
        with pytest.raises(NotFound):
            night(action="rollback", version="never-was")

    @pytest.mark.parametrize(
        "event", [{"action": "delete"}, {"action": "rollback"}, {"action": "retrain", "until": "yesterday"}]
    )
    def test_an_event_that_is_none(self, market: World, event: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            night(**event)


class TestOnALaptop:
    def test_the_first_run_learns_and_the_next_ones_need_not(
        self, market: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        first_time(threading.Event())
        [version] = versions()
        assert f"model {version} serves" in capsys.readouterr().out
        wiring.model_loader.cache_clear()
        first_time(threading.Event())
        assert list(versions()) == [version]
        assert capsys.readouterr().out == ""

    def test_too_little_data_is_said_in_words(
        self, market: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store(wiring.database(), [])
        first_time(threading.Event())
        assert "no new model (too_little_data)" in capsys.readouterr().out

    def test_ctrl_c_ends_it_between_two_stages(self, market: World) -> None:
        stop = threading.Event()
        stop.set()
        assert retrain(stop=stop)["reason"] == "timeout"


def test_redis_down_is_an_error_and_changes_nothing(market: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    wiring.close()
    with pytest.raises(Unavailable):
        night()
    assert versions() == {}
