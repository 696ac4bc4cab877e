"""Third-party packages for Lambda's platform, whatever machine this is: wheels alone, locked and hashed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.package.errors import BuildError, Unreachable

MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's name of an architecture, and the wheels' and ELF's."""

GLIBC = (2, 34)
"""Of Amazon Linux 2023, which python3.13 runs on."""

_OFFLINE = "connection broken by"  # in pip's warnings


def pins(lock: str) -> dict[str, str]:
    """Name and version of each requirement of a lock file's text."""
    return dict(re.findall(r"(?m)^([a-z0-9._-]+)==([^\s;\\]+)", lock))


def only(lock: str, name: str) -> str:
    """The one requirement of a lock's text that has this name."""
    [requirement] = (one for one in _requirements(lock) if one.startswith(f"{name}=="))
    return requirement


def without(lock: str, shipped: Mapping[str, str]) -> str:
    """The lock's text less what a layer has `shipped` already. Raises BuildError where versions differ."""
    kept = []
    for requirement in _requirements(lock):
        for name, version in pins(requirement).items():
            if shipped.get(name, version) != version:
                raise BuildError(f"{name} {version} would hide the layer's {shipped[name]}: run `make lock`")
        if not pins(requirement).keys() & shipped.keys():
            kept.append(requirement)
    return "".join(kept)


def install(lock: str, folder: Path, architecture: str) -> None:
    """Unpack the lock's wheels into `folder`. Raises BuildError when one doesn't exist or doesn't fit, and
    Unreachable when they can't be fetched right now.
    """
    if not pins(lock):
        return
    machine = MACHINES[architecture]
    tags = [f"manylinux_{GLIBC[0]}_{minor}_{machine}" for minor in range(GLIBC[1], 16, -1)]
    platforms = [word for tag in (*tags, f"manylinux2014_{machine}") for word in ("--platform", tag)]
    with TemporaryDirectory() as temporary:
        file = Path(temporary, "requirements.txt")
        file.write_text(lock)
        command = (
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"),
            *("--disable-pip-version-check", "--only-binary", ":all:", "--no-deps", "--require-hashes"),
            *("--python-version", "3.13", "--implementation", "cp", *platforms),
            *("--target", str(folder), "--requirement", str(file)),
        )
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
    if pip.returncode != 0:
        kind = Unreachable if _OFFLINE in pip.stderr else BuildError
        lines = [line for line in pip.stderr.splitlines() if not line.startswith("WARNING")]
        raise kind(f"pip couldn't get the wheels for {machine}:\n" + "\n".join(lines[-5:]))
    for wheel in sorted(folder.glob("*.dist-info/WHEEL")):
        built_for = HeaderParser().parsestr(wheel.read_text()).get_all("Tag", [])
        if not any(_fits(tag, machine) for tag in built_for):
            raise BuildError(f"{wheel.parent.name} is built for {', '.join(built_for)}, not for {machine}")


def _requirements(lock: str) -> list[str]:
    return re.split(r"(?m)^(?=[a-z0-9])", lock)


def _fits(tag: str, machine: str) -> bool:
    python, abi, platform = tag.split("-")
    pure = platform == "any" and abi == "none" and "py3" in python
    return pure or (platform.startswith("manylinux") and platform.endswith(f"_{machine}"))
