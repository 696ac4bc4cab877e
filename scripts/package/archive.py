"""Files that are the same bytes every time: fixed modes and times, sorted entries."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

_TIME = (2020, 1, 1, 0, 0, 0)
_SECONDS = 1_577_836_800
_LEFT_OUT = ("__pycache__", ".*", "*.pyc", "tests", "README*", "requirements.txt")


def copy_source(source: Path, destination: Path) -> None:
    """Copy a Python package of ours with its data files, and without caches, tests and lock files."""
    shutil.copytree(source, destination, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)


def normalise(folder: Path) -> None:
    """Give every file and folder the same mode and time."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_SECONDS, _SECONDS))


def write_zip(folder: Path, file: Path, start: Path | None = None) -> None:
    """Everything under `folder` as one zip, sorted, after what the zip `start` holds of it already."""
    if start is not None:
        shutil.copyfile(start, file)
    with zipfile.ZipFile(file, "a" if start else "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        there = set(archive.namelist())
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.relative_to(folder).as_posix() not in there:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3  # Unix, so that the mode below counts
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, path.read_bytes())


def size(folder: Path) -> int:
    """Bytes of all files under `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
