"""Bytecode of the Lambda's Python, made here because Lambda can't keep what it compiles.

It is never checked against the source (`unchecked-hash`): times don't survive zipping, and a check that fails
compiles everything again at every cold start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from scripts.package.errors import BuildError

VERSION = "3.13"
_FIND_PYTHON = Path(__file__).resolve().parents[1] / "find-python"


@cache
def interpreter() -> str:
    """A CPython whose bytecode the Lambda runs: this one, or the one on PATH. Raises BuildError."""
    if sys.implementation.name == "cpython" and f"{sys.version_info[0]}.{sys.version_info[1]}" == VERSION:
        return sys.executable
    found = subprocess.run(
        ["sh", str(_FIND_PYTHON), f"python{VERSION}"], capture_output=True, text=True, check=False
    )
    if found.returncode != 0:
        raise BuildError(f"python{VERSION} must be on PATH: Lambda runs its bytecode and no other's")
    return found.stdout.strip()


def compile_tree(folder: Path, prefix: str, *, keep_source: bool) -> None:
    """Compile every module under `folder`, whose tracebacks will name files under `prefix`.

    Without its source a module is its bytecode in the source's place, which halves what ships: right for what
    nobody edits. One process, in sorted order: what marshal writes depends on what was compiled before.
    """
    modules = sorted(folder.rglob("*.py"))
    command = (
        *(interpreter(), "-I", "-m", "compileall", "-q", "-f", "-j", "1"),
        *("--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", prefix),
        *(() if keep_source else ("-b",)),
        str(folder),
    )
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode != 0:
        raise BuildError(f"a module doesn't compile:\n{run.stdout}{run.stderr}")
    if not keep_source:
        for module in modules:
            module.unlink()
