"""`python -m local run` in a process of its own, as a user starts it."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.product import ROOT, settings

SECONDS = 60
"""How long a start or a stop may take on a busy machine."""


class Run:
    """A `python -m local run` of its own, and what it has printed so far."""

    def __init__(self, home: Path, *options: str, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in settings()}
        self.home = home
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local", "run", *(options or ("--port", "0"))],
            cwd=ROOT,
            env={**kept, "ADBID_HOME": str(home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while part := self._process.stdout.read(1):
            self.output += part

    def wait_for(self, pattern: str) -> str:
        """What the first group of `pattern` matches in the output, once it does."""
        deadline = time.monotonic() + SECONDS
        while (found := re.search(pattern, self.output)) is None:
            assert self._process.poll() is None, f"it stopped: {self.output}"
            assert time.monotonic() < deadline, f"no {pattern} in {self.output}"
            time.sleep(0.02)
        return found[1] if found.groups() else found[0]

    @property
    def url(self) -> str:
        return self.wait_for(r"(http://127\.0\.0\.1:\d+)/docs\s")

    @property
    def request(self) -> list[str]:
        """The printed curl, as the words of a shell's command."""
        return shlex.split(self.wait_for(r"(?s)(curl .*?\]\}')\s").replace("\\\n", " "))

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        code = self._process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    def end(self) -> int:
        """Its exit code, once everything it started has ended too."""
        code = self.wait()
        deadline = time.monotonic() + SECONDS
        while any(is_alive(pid) for pid in self.servers()):
            assert time.monotonic() < deadline, "its Valkey is still there"
            time.sleep(0.05)
        return code

    def servers(self) -> list[int]:
        """The process ids of every Valkey it ever started."""
        log = self.home / "valkey" / "valkey.log"
        return [int(pid) for pid in re.findall(r"\bpid=(\d+)", log.read_text() if log.exists() else "")]

    def kill(self) -> None:
        """Leave nothing behind, whatever the test found."""
        self._process.kill()
        self._process.wait()
        for server in filter(is_alive, self.servers()):
            os.kill(server, signal.SIGKILL)
        self._reader.join(SECONDS)
        assert self._process.stdout is not None
        self._process.stdout.close()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and only waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # no Linux, or gone by now
        return not Path("/proc/self").exists()


@contextmanager
def run(home: Path, *options: str, **environment: str) -> Iterator[Run]:
    started = Run(home, *options, **environment)
    try:
        yield started
    finally:
        started.kill()
