"""What of a wheel doesn't ship: whatever no function reads."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from scripts.package import elf

_FOLDERS = {"tests", "__pycache__", "include"}
_SUFFIXES = {".pyi", ".pyx", ".pxd", ".c", ".cpp", ".h", ".a", ".lib", ".f", ".f90", ".in", ".build", ".toml"}
_METADATA = {"METADATA", "entry_points.txt"}  # versions, and the plug-ins that OpenTelemetry looks for
_LICENCES = ("licen", "copying", "notice", "authors")
_TESTED_ONLY = ("_tests.", "_simd.")  # numpy's extension modules for its own tests
_UNUSED = (
    "bin",
    "alembic/templates",
    "alembic/testing",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
    "numpy/_pyinstaller",
    "numpy/random/_examples",
    "numpy/random/lib",
    "pydantic/v1",
    "sqlalchemy/dialects/mssql",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/testing",
)


def ships(path: PurePosixPath) -> bool:
    """Whether a wheel's file belongs into a package."""
    text = str(path)
    if any(text == unused or text.startswith(f"{unused}/") for unused in _UNUSED):
        return False
    if path.parts[0].endswith(".dist-info"):
        licence = "licenses" in path.parts or path.name.lower().startswith(_LICENCES)
        return licence or path.name in _METADATA
    if path.suffix == ".so" and any(part in path.name for part in _TESTED_ONLY):
        return False
    return (
        not _FOLDERS.intersection(path.parts[:-1])
        and path.suffix not in _SUFFIXES
        and path.name != "py.typed"
    )


def prune(folder: Path) -> None:
    """Remove what doesn't ship, and what only debuggers read in the libraries."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before the folder
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not ships(PurePosixPath(path.relative_to(folder).as_posix())):
            path.unlink()
        elif ".so" in path.suffixes and path.read_bytes()[:4] == elf.MAGIC:
            path.write_bytes(elf.stripped(path.read_bytes()))


def clear(folder: Path) -> Path:
    """`folder`, made and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
