"""Where the database servers come from: this machine's own, or fetched into the user's cache."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from tests.support.availability import CannotBeHad
from tests.support.packages import unpacked

_FOLDERS = (
    "/usr/sbin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/local/mysql/bin",
    "/opt/homebrew/opt/{name}*/bin",
    "/usr/local/opt/{name}*/bin",
    "/home/linuxbrew/.linuxbrew/opt/{name}*/bin",
)
MYSQL_OLDEST = (8, 0)
MARIADB_OLDEST = (10, 6)


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a server: its command, with options for where its own files are, and its share folder."""

    command: tuple[str, ...]
    share: Path


def installed_mysql() -> Program:
    """A real MySQL 8.0 or newer on this machine; MariaDB's `mysqld` alias isn't one. Raises CannotBeHad."""
    for path in _candidates("mysqld", "mysql"):
        version = _version(path)
        if "MariaDB" not in version and _number(version) >= MYSQL_OLDEST:
            return Program((str(path), "--no-defaults"), path.resolve().parents[1] / "share")
    raise CannotBeHad("no mysqld (MySQL 8.0 or newer) on PATH or in the usual places")


def installed_mariadb() -> Program:
    """A MariaDB 10.6 or newer on this machine. Raises CannotBeHad."""
    for path in _candidates("mariadbd", "mariadb"):
        version = _version(path)
        share = _share(path.resolve().parents[1])
        if "MariaDB" in version and _number(version) >= MARIADB_OLDEST and share is not None:
            return Program((str(path), "--no-defaults"), share)
    raise CannotBeHad("no mariadbd (MariaDB 10.6 or newer) on PATH or in the usual places")


def fetched_mysql() -> Program:
    """MySQL from Debian's sid (stable has none) or from Ubuntu's own suite. Raises CannotBeHad."""
    return _unpacked_program("mysql-server-core", "mysqld", suite="sid")


def fetched_mariadb() -> Program:
    """MariaDB from the machine's own suite. Raises CannotBeHad."""
    return _unpacked_program("mariadb-server-core", "mariadbd", suite=None)


def _unpacked_program(package: str, binary: str, *, suite: str | None) -> Program:
    usr = unpacked(package, suite=suite) / "usr"
    share = _share(usr) or usr / "share" / "mysql"
    # Its own loader and libraries: the machine's may be older than what the server was built for.
    loaders = [path for path in usr.parent.rglob("ld-linux*.so.*") if not path.is_symlink()]
    if not loaders:
        raise CannotBeHad(f"{package} came without a Linux loader")
    libraries = usr / "lib" / loaders[0].parent.name
    places = (loaders[0].parent, libraries, libraries / "systemd", usr / "lib" / "mysql" / "private")
    command = (
        *(str(loaders[0]), "--library-path", ":".join(str(place) for place in places)),
        *(str(usr / "sbin" / binary), "--no-defaults", f"--basedir={usr}", f"--lc-messages-dir={share}"),
        *(f"--character-sets-dir={share / 'charsets'}", f"--plugin-dir={usr / 'lib' / 'mysql' / 'plugin'}"),
    )
    return Program(command, share)


def _share(prefix: Path) -> Path | None:
    """The folder with MariaDB's system table scripts (or MySQL's messages) under an installation prefix."""
    for folder in (prefix / "share" / "mariadb", prefix / "share" / "mysql", prefix / "share"):
        if any(folder.glob("m*_system_tables.sql")) or (folder / "english").is_dir():
            return folder
    return None


def _candidates(binary: str, name: str) -> list[Path]:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    for pattern in _FOLDERS:
        folders += sorted(glob(pattern.format(name=name)), reverse=True)
    paths = (shutil.which(binary, path=folder) for folder in dict.fromkeys(folders) if folder)
    return [Path(path) for path in paths if path]


def _version(path: Path) -> str:
    command = [str(path), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def _number(version: str) -> tuple[int, int]:
    match = re.search(r"Ver (\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
