"""What takes long to make, kept in the user's cache under a hash of all that it was made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scripts.package.plan import ROOT
from scripts.package.prune import clear

_KEPT_SECONDS = 30 * 86400.0


def kept(name: str, parts: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills the first time it is asked for with these parts; not to be changed.

    One process at a time, since `sam build` may run several. What nobody asked for in a month is forgotten.
    """
    key = f"{name}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}"
    cache = _folder()
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = cache / key
        if not folder.is_dir():
            new = clear(cache / f"{key}.new")
            make(new)
            new.rename(folder)
        os.utime(folder)
        oldest = time.time() - _KEPT_SECONDS
        for other in cache.iterdir():
            if other.is_dir() and other.stat().st_mtime < oldest:
                shutil.rmtree(other, ignore_errors=True)
    return folder


def _folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "adbid", "packages")
    with suppress(OSError):  # a user without a home falls back to the checkout
        cache.mkdir(parents=True, exist_ok=True)
    if not os.access(cache, os.W_OK):
        cache = ROOT / ".local" / "packages"
        cache.mkdir(parents=True, exist_ok=True)
    return cache
