"""A Chromium to test with: this machine's own, or Debian's headless one, fetched into the user's cache."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.availability import CannotBeHad
from tests.support.packages import unpacked
from tests.support.processes import private_folder

_NAMES = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome", "google-chrome-stable")
_MACOS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_GLIBC = (
    "ld-linux",
    "libc.so",
    "libdl.so",
    "libm.so",
    "libpthread.so",
    "libresolv.so",
    "librt.so",
    "libnss_",
)


@dataclass(frozen=True)
class Chromium:
    """Its program, and the environment it needs besides."""

    program: str
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def chromium() -> Iterator[Chromium]:
    """ADBID_TEST_CHROMIUM, else what is installed, else what can be fetched. Raises CannotBeHad."""
    given = os.environ.get("ADBID_TEST_CHROMIUM")
    found = given or installed()
    if found:
        yield checked(Chromium(found))
        return
    with private_folder("chromium") as folder:
        yield checked(fetched(folder))


def installed() -> str | None:
    """The program on PATH or in macOS's usual places."""
    on_path = (shutil.which(name) for name in _NAMES)
    on_mac = (path for path in _MACOS if platform.system() == "Darwin" and Path(path).exists())
    return next((path for path in (*on_path, *on_mac) if path), None)


def fetched(folder: Path) -> Chromium:
    """Debian's, with its libraries and fonts, run by this machine's own C library. Raises CannotBeHad."""
    tree = unpacked("chromium-headless-shell")
    program = tree / "usr" / "lib" / "chromium" / "chromium-headless-shell"
    if not program.exists():
        raise CannotBeHad(f"the package holds no {program.name}")
    libraries = folder / "libraries"
    libraries.mkdir()
    for library in tree.rglob("*.so*"):
        apart = library.name.startswith(_GLIBC) or "chromium" in library.parts
        if not apart and not (libraries / library.name).exists():
            (libraries / library.name).symlink_to(library)
    environment = {"LD_LIBRARY_PATH": str(libraries), "FONTCONFIG_SYSROOT": str(tree)}
    return Chromium(str(program), environment)


def checked(found: Chromium) -> Chromium:
    """`found`, once it has told its version. Raises CannotBeHad."""
    command = [found.program, "--version", "--no-sandbox"]
    environment = os.environ | found.environment
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBeHad(f"{found.program} doesn't start: {error}") from error
    if done.returncode != 0:
        end = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise CannotBeHad(f"{found.program} doesn't start: {' '.join(end)}")
    return found
