"""At most one product runs under a folder, and whoever wants it finds it there.

A lock on `running.json` says whether one runs: the system lifts it when the process ends, however it ends.
What is written in the file says where, and is read only while somebody holds the lock.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

START_SECONDS = 60.0
"""How long others wait for the address of a product that is just starting."""

_LOOK_SECONDS = 0.5  # more than anybody takes who only looks


class AlreadyRunning(OSError):
    """Another product runs under the folder."""


@dataclass(frozen=True)
class Occupant:
    """A running product: its process, where it answers, and the settings that say where its data is."""

    pid: int
    url: str
    settings: Mapping[str, str]


@contextmanager
def occupied(folder: Path) -> Iterator[Callable[[str, Mapping[str, str]], None]]:
    """Keeps `folder` for the length of a `with` block, which is to say the product's URL and settings.

    Raises AlreadyRunning, and OSError where the folder can't be written.
    """
    # Nobody else may read it: an address may hold a password.
    file = os.open(_file(folder), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _LOOK_SECONDS
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                other = _read(file)
                where = (
                    f"{other.url} (process {other.pid})" if other else "another product, which is starting,"
                )
                raise AlreadyRunning(f"{where} runs on {folder} already")
            time.sleep(0.02)
        os.ftruncate(file, 0)

        def announce(url: str, settings: Mapping[str, str]) -> None:
            os.pwrite(file, json.dumps(asdict(Occupant(os.getpid(), url, dict(settings)))).encode(), 0)

        yield announce
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def occupant(folder: Path) -> Occupant | None:
    """The product that runs under `folder`, once it is up; None where there is none.

    Raises AlreadyRunning where one is starting, and takes longer than START_SECONDS.
    """
    try:
        file = os.open(_file(folder), os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _locked(file, fcntl.LOCK_SH):
            if (found := _read(file)) is not None:
                return found
            if time.monotonic() > deadline:
                raise AlreadyRunning(f"another product is starting on {folder}, and takes too long")
            time.sleep(0.05)
        return None
    finally:
        os.close(file)


def _file(folder: Path) -> Path:
    return folder / "running.json"


def _locked(file: int, kind: int) -> bool:
    """Takes the lock; False when somebody has it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: int) -> Occupant | None:
    """What the file says; None before it says anything."""
    try:
        return Occupant(**json.loads(os.pread(file, 1 << 20, 0)))
    except ValueError:
        return None
