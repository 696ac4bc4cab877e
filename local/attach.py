"""A command's way to the product's data: what a running `make run` uses, or parts started for the command."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import migrations
from adbid import wiring
from local.embedded import sqlite_url
from local.occupancy import occupant
from local.stack import environment, quiet, running


@contextmanager
def attached(folder: Path) -> Iterator[None]:
    """The environment the functions read, for the length of a `with` block.

    `DATABASE_URL` and `REDIS_URL` name real servers; what they leave out is as the product that runs under
    `folder` has it, and where none runs, one is started. Raises what `stack.CANNOT_START` says.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    there = occupant(folder)
    if there is None and not os.environ.get("REDIS_URL"):
        with running(folder, 0):
            yield
        return
    defaults: Mapping[str, str] = {
        "DATABASE_URL": sqlite_url(folder),
        "MODELS_DIR": str(folder / "models"),
        **(there.settings if there else {}),
    }
    settings = {name: os.environ.get(name) or value for name, value in defaults.items()}
    with environment(settings | quiet()):
        migrations.upgrade(wiring.database())
        yield
