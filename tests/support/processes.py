"""Child processes that never outlive the tests, and the ports they listen on."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.availability import CannotBeHad

_GUARD = Path(__file__).with_name("guard.py")


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """A new folder only this user can read; deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"adbid-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_to_end(name: str, command: Sequence[str], folder: Path, *, timeout: float = 120.0) -> None:
    """Run a command inside `folder` to its end; error messages call it `name`.

    Raises CannotBeHad, with the end of its output, when it fails or takes over `timeout` seconds.
    """
    with _guarded(command, folder) as guard:
        try:
            code = guard.wait(timeout)
        except subprocess.TimeoutExpired:
            raise CannotBeHad(f"{name} took over {timeout:.0f} s: {_last_lines(folder)}") from None
        if code != 0:
            raise CannotBeHad(f"{name} ended with {code}: {_last_lines(folder)}")


@contextmanager
def running(
    name: str, command: Sequence[str], folder: Path, ready: Callable[[], bool], *, timeout: float = 60.0
) -> Iterator[None]:
    """Run a server inside `folder`; enter once `ready()`, kill it and delete `folder` at the end.

    Raises CannotBeHad, with the end of the server's log, when it isn't ready within `timeout` seconds.
    """
    with _guarded(command, folder) as guard:
        deadline = time.monotonic() + timeout
        while not ready():
            if guard.poll() is not None:
                raise CannotBeHad(f"{name} stopped by itself: {_last_lines(folder)}")
            if time.monotonic() > deadline:
                raise CannotBeHad(f"{name} not ready in {timeout:.0f} s: {_last_lines(folder)}")
            time.sleep(0.02)
        yield


@contextmanager
def _guarded(command: Sequence[str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD), str(folder), *command],
        stdin=subprocess.PIPE,  # never written to: closing it is the signal to stop
        start_new_session=True,  # Ctrl-C is for pytest, which then stops the server in its own order
    )
    assert guard.stdin is not None
    try:
        yield guard
    finally:
        guard.stdin.close()
        try:
            guard.wait(15)
        except subprocess.TimeoutExpired:
            guard.terminate()
            guard.wait()


def _last_lines(folder: Path, count: int = 3) -> str:
    log = folder / "log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return " | ".join(lines[-count:]) or "no output"
