"""A command's way to the product's data: what a running `make run` uses, or parts started for the command."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.exceptions import RedisError

import migrations
from adbid import wiring
from local.embedded import sqlite_url
from local.stack import running


@contextmanager
def attached(folder: Path) -> Iterator[None]:
    """The environment the functions read, for the length of a `with` block.

    `DATABASE_URL` and `REDIS_URL` name real servers; otherwise it is the embedded ones under `folder`, those
    of a running `make run` where there is one.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    redis_url = os.environ.get("REDIS_URL") or _embedded_redis(folder)
    if redis_url is None:
        with running(folder, 0):
            yield
        return
    defaults = {
        "DATABASE_URL": sqlite_url(folder),
        "REDIS_URL": redis_url,
        "MODELS_DIR": str(folder / "models"),
        "POWERTOOLS_METRICS_DISABLED": "true",
        "POWERTOOLS_LOG_LEVEL": os.environ.get("LOG_LEVEL") or "WARNING",
    }
    os.environ.update({name: os.environ.get(name) or value for name, value in defaults.items()})
    wiring.reset()
    try:
        migrations.upgrade(wiring.database())
        yield
    finally:
        wiring.close()


def _embedded_redis(folder: Path) -> str | None:
    """The address of the server that a running `make run` has started under `folder`."""
    place = (folder / "valkey").resolve()
    try:
        lines = (place / "valkey.conf").read_text().splitlines()
        port = next(int(line.split()[1]) for line in lines if line.startswith("port "))
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
            directory = client.config_get("dir")
    except (OSError, RedisError, StopIteration, ValueError, IndexError):
        return None
    # A port is given to somebody else once its server has gone.
    return url if dict(directory).get("dir") == str(place) else None
