"""Third-party packages as they ship, made once per lock file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.package import elf, wheels
from scripts.package.archive import normalise, write_zip
from scripts.package.bytecode import compile_tree
from scripts.package.cache import kept
from scripts.package.checks import LIBGOMP, needs_openmp
from scripts.package.errors import BuildError
from scripts.package.prune import prune

OPENMP = Path(__file__).with_name("openmp.txt")
"""Locks a wheel that brings libgomp along: Lambda's system lacks it, and LightGBM's wheel too."""


@dataclass(frozen=True)
class Dependencies:
    """Packages as they lie in a layer or function, and the same as a zip. Shared: copy, don't change."""

    folder: Path
    zip: Path


def dependencies(lock: str, within: str, prefix: str, architecture: str) -> Dependencies:
    """What a lock names, in the subfolder `within`, which Lambda unpacks under `prefix`; and libgomp in `lib`
    when a library asks for it. Raises BuildError.
    """

    def make(place: Path) -> None:
        content = place / "content"
        packages = content / within
        packages.mkdir(parents=True)
        wheels.install(lock, packages, architecture)
        prune(packages)
        compile_tree(packages, prefix, keep_source=False)
        if needs_openmp(packages):
            _add_libgomp(content / "lib", architecture)
        normalise(content)
        write_zip(content, place / "content.zip")

    place = kept("wheels", (lock, within, prefix, architecture, builder_hash()), make)
    return Dependencies(place / "content", place / "content.zip")


def builder_hash() -> str:
    """Changes with the builder itself."""
    files = (*sorted(Path(__file__).parent.glob("*.py")), OPENMP)
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _add_libgomp(folder: Path, architecture: str) -> None:
    folder.mkdir()
    with TemporaryDirectory() as temporary:
        wheels.install(OPENMP.read_text(), Path(temporary), architecture)
        found = list(Path(temporary).glob("*.libs/libgomp*.so*"))
        if len(found) != 1:
            raise BuildError(f"{OPENMP.name} locks a wheel that doesn't bring libgomp along")
        (folder / LIBGOMP).write_bytes(elf.stripped(found[0].read_bytes()))
