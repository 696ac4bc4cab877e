"""Prometheus's own programs, `prometheus` and `promtool`: installed, or fetched into the user's cache."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.support.availability import CannotBeHad, not_run
from tests.support.packages import unpacked


@cache
def program(name: str) -> Path:
    """Where it is. Raises CannotBeHad."""
    installed = shutil.which(name)
    if installed is not None:
        return Path(installed)
    fetched = unpacked("prometheus", alone=True) / "usr" / "bin" / name
    if not fetched.is_file():
        raise CannotBeHad(f"the package prometheus came without {name}")
    return fetched


def promtool(
    *arguments: str | Path, text: str | None = None, folder: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """What `promtool` says, given `text` on its standard input. The test isn't run where it can't be had."""
    try:
        command: Sequence[str | Path] = (program("promtool"), *arguments)
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=60, cwd=folder
        )
    except (CannotBeHad, OSError) as reason:
        not_run(f"promtool: {reason}")
