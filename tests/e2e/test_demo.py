"""`python -m local run` as a user has it: the demo month, the request to paste, Ctrl-C, starting again."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import pytest

from adbid import wiring
from functions.roas.monitor import handler as monitor
from local import demo, live
from local.cli import main
from local.client import Client
from local.stack import running
from tests.support.processes import free_port
from tests.support.product import Product, ok
from tests.support.runs import SECONDS, is_alive, run


def pasted(words: list[str]) -> Any:
    """The answer to the printed curl; by curl itself through a shell where there is one."""
    headers = dict(words[place + 1].split(": ", 1) for place, word in enumerate(words) if word == "-H")
    sent = words[words.index("-d") + 1].encode()
    answer = ok(httpx.post(words[2], content=sent, headers=headers, trust_env=False))
    if shutil.which("curl"):
        line = " ".join(shlex.quote(word) for word in (*words, "--noproxy", "*"))
        by_curl = subprocess.run(
            ["sh", "-c", line], capture_output=True, check=True, text=True, timeout=SECONDS
        )
        assert '"results"' in by_curl.stdout
    return answer


def test_a_user_starts_it_again_and_again(tmp_path: Path) -> None:
    """The first time its terminal is closed on the way; the second time all is there, until Ctrl-C.

    In surroundings that could get in between: a proxy that leads nowhere, an issuer of another name.
    """
    nowhere = f"http://127.0.0.1:{free_port()}"
    around = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), nowhere)
    around |= {"NO_PROXY": "", "no_proxy": "", "JWT_ISSUER": "acme", "JWT_AUDIENCE": "shop"}
    with run(tmp_path, **around) as first:
        first.wait_for(r"demo month: +[1-9]\d*%")
        first.signal(signal.SIGHUP)
        assert first.end() == 0
        assert "Traceback" not in first.output
    with run(tmp_path, **around) as second:
        answer = pasted(second.request)
        assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
        assert [result["status"] for result in answer["results"]] == ["won", "ranked", "ranked"]
        assert answer["degraded"] == []
        assert httpx.get(f"{second.url}/docs", trust_env=False).is_success
        assert len(second.servers()) == 2
        assert is_alive(second.servers()[-1])
        second.signal(signal.SIGINT)
        assert second.end() == 0
        assert "Traceback" not in second.output
    with running(tmp_path, 0) as stack, Client(stack.url, stack.token("admin")) as client:
        assert_month_is_counted_once(client, tmp_path)
        again = ok(client.call("POST", "/api/score", json.loads(demo.example_request())))
    for before, after in zip(answer["results"], again["results"], strict=True):
        assert after["bid_id"] == before["bid_id"]
        assert after["predicted_ctr"] == pytest.approx(
            before["predicted_ctr"], rel=0.02
        )  # the market went on


def assert_month_is_counted_once(client: Client, home: Path) -> None:
    """What was observed in every cell is what the month's events add up to."""
    marker = re.search(r'"until": "(.*?)"', (home / "demo.json").read_text())
    assert marker is not None
    until = datetime.fromisoformat(marker[1])
    names = ("brand_id", "partner_id", "slot_id")

    def cell(event: dict[str, Any]) -> list[str]:
        return [event[name] for name in names]

    for place, of_place in groupby(sorted(demo.events(until), key=cell), cell):
        month = list(of_place)
        query = "&".join(f"{name}={value}" for name, value in zip(names, place, strict=True))
        since = min(event["event_time"] for event in month).replace("+00:00", "Z")
        end = marker[1].replace("+00:00", "Z")  # the market goes on after it
        observed = ok(client.call("GET", f"/api/roas?{query}&from={since}&to={end}"))["observed"]
        for kind in ("impression", "click", "conversion"):
            assert observed[f"{kind}s"] == sum(event["count"] for event in month if event["type"] == kind)
        for money in ("cost", "revenue"):
            assert Decimal(observed[money]) == sum(Decimal(event[money]) for event in month)


@pytest.fixture
def _handlers() -> Iterator[None]:
    """`run` takes the signals of the process it is called in; they are given back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
class TestWhatCanNotStart:
    @pytest.mark.parametrize(
        ("name", "value", "said", "code"),
        [
            ("PORT", "abc", "--port", 2),
            ("PORT", "70000", "--port", 2),
            ("PORT", "-1", "--port", 2),
            ("DATABASE_URL", "oracle://scott:secret@127.0.0.1/x", "DATABASE_URL", 1),
            ("DATABASE_URL", "mysql+pymysql://u:secret@127.0.0.1:1/x", "127.0.0.1", 1),
            ("REDIS_URL", "http://:secret@127.0.0.1", "REDIS_URL", 1),
            ("ADBID_HOME", "/dev/null", "/dev/null", 1),
        ],
    )
    def test_says_why(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        name: str,
        value: str,
        said: str,
        code: int,
    ) -> None:
        for setting, its_value in {"ADBID_HOME": str(tmp_path), "PORT": "0", name: value}.items():
            monkeypatch.setenv(setting, its_value)
        assert exit_code("run", "--no-demo") == code
        error = capsys.readouterr().err
        assert said in error
        assert "secret" not in error

    def test_says_that_the_port_is_taken(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("ADBID_HOME", str(tmp_path))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
            assert exit_code("run", "--no-demo") == 1
        assert "in use" in capsys.readouterr().err


def exit_code(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return int(str(end.code))


@pytest.fixture(scope="module")
def loaded(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """The month in a product of this process, where its load can be stopped at a chosen batch."""
    home = tmp_path_factory.mktemp("demo")
    stop = threading.Event()
    stop.set()
    with Client(product.url, product.token("admin")) as client:
        demo.load_once(client, home, stop)  # ends after its first batch, as Ctrl-C would have it
        assert '"complete": false' in (home / "demo.json").read_text()
        stop.clear()
        demo.load_once(client, home, stop)
        assert '"complete": true' in (home / "demo.json").read_text()
        yield client, home


class TestTheMonth:
    def test_is_counted_once_though_it_was_interrupted(self, loaded: tuple[Client, Path]) -> None:
        assert_month_is_counted_once(*loaded)

    def test_is_not_loaded_into_a_database_with_data_of_its_own(
        self, loaded: tuple[Client, Path], tmp_path: Path
    ) -> None:
        demo.load_once(loaded[0], tmp_path, threading.Event())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("brand", demo.BRANDS, ids=lambda brand: brand.name)
    def test_is_learned_from(self, loaded: tuple[Client, Path], brand: demo.DemoBrand) -> None:
        """The CTR of each cell of the busiest slots comes near the truth that the month was drawn from."""
        slots = [slot for slot in demo.SLOTS if slot.daily >= 6000]
        bids = [
            {
                "id": f"{slot.id}-{device}",
                "brand_id": brand.id,
                "partner_id": slot.partner,
                "slot_id": slot.id,
                "device_type": device,
                "creative_type": "banner",
                "pricing_model": brand.pricing_model,
                "amount": brand.amount,
                "currency": "USD",
            }
            for slot in slots
            for device in demo.DEVICES
        ]
        answer = ok(loaded[0].call("POST", "/api/score", {"id": "r", "dry_run": True, "bids": bids}))
        predicted = {result["bid_id"]: result["predicted_ctr"] for result in answer["results"]}
        errors = {
            f"{slot.id}-{device}": predicted[f"{slot.id}-{device}"] / demo.true_ctr(brand, slot, device) - 1
            for slot in slots
            for device in demo.DEVICES
        }
        # Some 300 clicks still count in a cell: a standard error of 6 %.
        assert all(abs(error) < 0.25 for error in errors.values()), errors
        assert sum(map(abs, errors.values())) / len(errors) < 0.1, errors


class Onlooker:
    """Watches the market go on: looks into the portfolio, and calls the monitor minute by minute."""

    def __init__(self, client: Client, patch: pytest.MonkeyPatch) -> None:
        self.client = client
        self._patch = patch
        real = datetime.now(UTC)
        late_in_the_day = real.hour == 23 and real.minute >= 40
        self._clock = real + timedelta(minutes=25 if late_in_the_day else 0)  # one budget day all along

    def minute(self) -> None:
        self._clock += timedelta(minutes=1)
        self._patch.setattr(wiring, "now", lambda: self._clock)
        assert monitor({"action": "monitor"}, None)["degraded"] == []

    def brand(self, brand: demo.DemoBrand) -> Any:
        (found,) = ok(self.client.call("GET", f"/api/portfolio?brand_id={brand.id}"))["items"]
        return found


@pytest.fixture(scope="module")
def onlooker(loaded: tuple[Client, Path]) -> Iterator[Onlooker]:
    with pytest.MonkeyPatch.context() as patch:
        found = Onlooker(loaded[0], patch)
        found.minute()
        wiring.nightly_prices().solve(wiring.now())  # as `run` does, with a model
        live.begin(loaded[0])
        found.minute()
        yield found


def going_on(loaded: tuple[Client, Path], name: str) -> live.Market:
    until = demo.month_loaded(loaded[1])
    assert until is not None
    return live.Market(loaded[0], until, name)


def of(brand: demo.DemoBrand, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [result for result in results if result["bid_id"].startswith(brand.id)]


class TestItGoesOn:
    def test_a_brand_runs_out_of_budget(self, loaded: tuple[Client, Path], onlooker: Onlooker) -> None:
        market, brand = going_on(loaded, "budget"), demo.OUT_OF_BUDGET
        first = market.bundle(0)
        assert "won" in {one["status"] for one in of(brand, first)}
        assert onlooker.brand(brand)["status"] != "limited_by_budget"
        for number in range(1, 200):
            results = market.bundle(number)
            if "won" not in {one["status"] for one in of(brand, results)}:
                break
        assert "budget_exhausted" in {reason for one in of(brand, results) for reason in one["reasons"]}
        assert len([one for one in results if one["status"] == "won"]) == len(
            demo.SLOTS
        )  # by the next in line
        item = onlooker.brand(brand)
        assert item["status"] == "limited_by_budget"
        assert item["reason"].endswith("The day's budget is used up.")
        promised = Decimal(item["spent"]) + Decimal(item["reserved"])
        assert Decimal("5.991") < promised <= Decimal(item["daily_budget"]) == 6

    def test_a_brand_held_back_for_its_roas_recovers(
        self, loaded: tuple[Client, Path], onlooker: Onlooker
    ) -> None:
        market, brand = going_on(loaded, "roas"), demo.HELD_BACK
        before = onlooker.brand(brand)
        assert before["status"] == "limited_by_roas"
        assert before["roas"]["probability_below_target"] >= 0.9
        assert before["reason"].startswith(f"ROAS {before['roas']['current']:.2f} is under its target 2.50")
        assert before["lambda"] > 1.0
        held = [one for number in range(10) for one in of(brand, market.bundle(number))]
        throttled = [one for one in held if "roas_throttled" in one["reasons"]]
        assert len(throttled) >= 0.8 * len(held)  # the others are its probe share, or explore

        reported = sum(market.portion(number) for number in range(live.PORTIONS))
        assert reported == len(list(demo.late_events(demo.month_loaded(loaded[1]) or wiring.now())))
        onlooker.minute()
        after = onlooker.brand(brand)
        assert after["roas"]["current"] > after["roas"]["target"]
        assert after["roas"]["probability_below_target"] < 0.5
        assert "certain to be at or above it" in after["reason"]
        free = [one for number in range(10, 20) for one in of(brand, market.bundle(number))]
        assert not [one for one in free if "roas_throttled" in one["reasons"]]

    def test_what_another_target_would_have_done_can_be_asked(
        self, loaded: tuple[Client, Path], onlooker: Onlooker
    ) -> None:
        asked = {"brand_id": demo.BRANDS[2].id, "days": 14}
        answer = ok(loaded[0].call("POST", "/api/simulate", asked))
        assert answer["days"] == 14
        spends = [Decimal(point["spend"]) for point in answer["curve"]]
        assert len(set(spends)) > 3
        assert spends == sorted(spends, reverse=True)
        assert Decimal(answer["current"]["simulated"]["spend"]) <= Decimal(answer["current"]["spend"])

    def test_it_begins_only_where_a_month_is(self, tmp_path: Path) -> None:
        with live.market("http://127.0.0.1:1", "", tmp_path):
            assert "demo market" not in [thread.name for thread in threading.enumerate()]

    def test_its_thread_ends_with_the_product(
        self, product: Product, loaded: tuple[Client, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(live, "HELD", 0.0)
        monkeypatch.setattr(live, "PORTION_EVERY", 0.0)
        monkeypatch.setattr(live, "EVERY", 0.01)
        with live.market(product.url, product.token("admin"), loaded[1]):
            assert "demo market" in [thread.name for thread in threading.enumerate()]
            deadline = time.monotonic() + 20
            query = f"/api/portfolio?brand_id={demo.HELD_BACK.id}"
            while ok(loaded[0].call("GET", query))["items"][0]["roas"]["current"] < 2.5:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert "demo market" not in [thread.name for thread in threading.enumerate()]
