"""Plays the scenarios of scenarios/*.mjs in Node, and does for them what only this side can."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.chromium import Chromium

HERE = Path(__file__).parent
SECONDS = 120.0
"""How long one scenario may take on a busy machine."""

Help = Mapping[str, Callable[..., Any]]


class Player:
    """Node with one Chromium, for as many scenarios as come, one at a time."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._process: subprocess.Popen[str] | None = None
        self._complaints: list[str] = []

    def play(self, scenario: str, given: Mapping[str, Any], help_with: Help) -> Any:
        """What the scenario returns. It fails the test with its own error, which names the line.

        The scenario writes one JSON document a line: {"ask": name, "with": {...}}, answered by `help_with`,
        and at the end {"done": result} or {"failed": text}.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        clock = threading.Timer(SECONDS, process.kill)
        clock.start()
        try:
            print(json.dumps({"scenario": scenario, "given": given}), file=process.stdin, flush=True)
            for line in process.stdout:
                said = json.loads(line)
                if "ask" in said:
                    answer = help_with[said["ask"]](**said["with"])
                    print(json.dumps(answer), file=process.stdin, flush=True)
                elif "done" in said:
                    return said["done"]
                else:
                    raise AssertionError(said["failed"])
        except BaseException as error:
            if not isinstance(error, AssertionError):
                self.close()  # it may still be in the midst of the scenario
            raise
        finally:
            clock.cancel()
        self.close()
        raise AssertionError(
            f"{scenario} ended without a word within {SECONDS:.0f} s: {''.join(self._complaints)[-2000:]}"
        )

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                ["node", str(HERE / "run.mjs"), self._chromium.program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | self._chromium.environment,
            )
            self._complaints = []
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        return self._process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            self._complaints.extend(process.stderr)

    def close(self) -> None:
        """End it; the next scenario starts another one."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # which it takes for the end
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def player(chromium: Chromium) -> Iterator[Player]:
    """A player for the length of a `with` block."""
    one = Player(chromium)
    try:
        yield one
    finally:
        one.close()
