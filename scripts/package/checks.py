"""What must hold of a package before anything is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.package import elf
from scripts.package.errors import BuildError
from scripts.package.wheels import GLIBC, MACHINES

LIBGOMP = "libgomp.so.1"
LIMITS_MB = {"score": 70.0, "retrain": 240.0}
"""Unzipped, with layers, in millions of bytes; for any other function Lambda's own limit, 250 MiB."""

_LAMBDA_MB = 262.144
_SYSTEM = {
    *("ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libm.so.6"),
    *("libpthread.so.0", "librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libstdc++.so.6", "libz.so.1"),
}
_RUNTIMES_OWN = ("boto3", "botocore", "s3transfer")


def libraries(folder: Path) -> Iterator[tuple[Path, elf.Library]]:
    """Every shared library under `folder`."""
    for path in sorted(folder.rglob("*.so*")):
        if path.is_file() and path.read_bytes()[:4] == elf.MAGIC:
            yield path, elf.read(path.read_bytes())


def needs_openmp(folder: Path) -> bool:
    """Whether a library under `folder` asks the system for libgomp."""
    return any(LIBGOMP in library.needed for _, library in libraries(folder))


def check_packages(folders: Sequence[Path], architecture: str) -> None:
    """Raises BuildError unless what lies under `folders`, a function with its layers, can run on Lambda."""
    found = [one for folder in folders for one in libraries(folder)]
    shipped = {path.name for path, _ in found}
    for path, library in found:
        if library.machine != MACHINES[architecture]:
            raise BuildError(f"{path.name} is for {library.machine}, not for {MACHINES[architecture]}")
        if library.glibc > GLIBC:
            raise BuildError(f"{path.name} needs glibc {library.glibc}: Lambda has {GLIBC}")
        missing = set(library.needed) - shipped - _SYSTEM
        if missing:
            raise BuildError(f"{path.name} needs {sorted(missing)}, which neither ships nor is on Lambda")
    names = [path.name for folder in folders for path in _top_level(folder)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise BuildError(f"ship twice, in a layer and in a function: {sorted(twice)}")
    unwanted = set(_RUNTIMES_OWN).intersection(names)
    if unwanted:
        raise BuildError(f"the runtime brings these itself: {sorted(unwanted)}")


def check_size(name: str, unzipped_mb: float) -> None:
    """Raises BuildError for a function that is too large."""
    limit = LIMITS_MB.get(name, _LAMBDA_MB)
    if unzipped_mb > limit:
        raise BuildError(f"{name} with its layers is {unzipped_mb:.1f} MB unzipped, and may be {limit:.1f}")


def _top_level(folder: Path) -> list[Path]:
    python = folder / "python"
    return [path for path in (python if python.is_dir() else folder).iterdir() if path.name != "build.json"]
