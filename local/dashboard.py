"""The dashboard on a laptop: built with Node when its sources have changed, and served beside the API.

As a program, `python -m local.dashboard build|lint|test`: what `make` runs.
"""

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.events import Answer

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "dashboard"
DIST = FOLDER / "dist"
OLDEST_NODE = (20, 19)
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""With every file, here and behind CloudFront: nothing from elsewhere, nothing in place, no frames."""

_SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.js")
_SOURCE_FOLDERS = ("public", "scripts", "src")
_GENERATED = "generated"
_OPENAPI = ROOT / "functions" / "admin" / "openapi.json"


class NoDashboard(Exception):
    """The dashboard can't be built here; the message says why, and how it can."""


class Building:
    """The dashboard being built, in a thread of its own so that the API need not wait for it.

    `pages` are its answers by path, empty until it is there; `trouble` says why it can't be.
    """

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dashboard")

    def _run(self) -> None:
        try:
            self.pages.update(pages(built(self._stop)))
        except (NoDashboard, OSError) as reason:
            self.trouble = f"not here: {reason}"
            text = f"The dashboard is {self.trouble}\nThe API works all the same: see /docs.\n"
            self.pages["/"] = Answer(404, [(b"content-type", b"text/plain; charset=utf-8")], text.encode())

    def is_over(self) -> bool:
        """Whether the dashboard is served by now, or never will be."""
        return not self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for it, at most so long."""
        self._thread.join(seconds)

    def close(self) -> None:
        """End it, finished or not."""
        self._stop.set()
        self._thread.join()


@contextmanager
def building() -> Iterator[Building]:
    """The dashboard, built and served for the length of a `with` block."""
    one = Building()
    one.start()
    try:
        yield one
    finally:
        one.close()


def built(stop: threading.Event | None = None) -> Path:
    """The folder of the built dashboard, built anew if its sources have changed. Raises NoDashboard."""
    with _locked():
        wanted = fingerprint()
        stamp = FOLDER / ".built"
        if (DIST / "index.html").exists() and stamp.exists() and stamp.read_text() == wanted:
            return DIST
        require_node()
        install(stop)
        stamp.unlink(missing_ok=True)
        npm("run", "build", stop=stop)
        stamp.write_text(wanted)
    return DIST


def install(stop: threading.Event | None = None) -> None:
    """The packages of the lock, in dashboard/node_modules. Raises NoDashboard."""
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    stamp = FOLDER / "node_modules" / ".lock-sha256"
    if not stamp.exists() or stamp.read_text() != lock:
        npm("ci", "--include=dev", stop=stop)  # even where NODE_ENV says production: they build it
        stamp.write_text(lock)


def run_script(name: str) -> str:
    """What a script of package.json printed. Raises NoDashboard when it fails."""
    with _locked():
        install()
        return npm("run", "--silent", name)


def npm(*arguments: str, timeout: float = 600.0, stop: threading.Event | None = None) -> str:
    """What `npm` printed, run in dashboard/. Raises NoDashboard with the end of it when it fails.

    `stop`, once set, ends it, and all that it started.
    """
    what = f"npm {' '.join(arguments)}"
    process = subprocess.Popen(
        ["npm", "--loglevel=error", *arguments],
        cwd=FOLDER,
        env={**os.environ, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + timeout
    while True:
        try:
            printed, _ = process.communicate(timeout=0.2)
        except subprocess.TimeoutExpired:
            stopped = stop is not None and stop.is_set()
            if not stopped and time.monotonic() < deadline:
                continue
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            why = "was stopped" if stopped else f"took over {timeout:.0f} s"
            raise NoDashboard(f"{what} {why}") from None
        if process.returncode != 0:
            end = "\n".join(printed.strip().splitlines()[-20:])
            raise NoDashboard(f"{what} failed:\n{end}")
        return printed


def require_node() -> None:
    """Raises NoDashboard where there is no Node that will do."""
    advice = "install Node.js 20.19 or newer with npm, then start again"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NoDashboard(f"Node.js isn't here: {advice}")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", told)[:2])
    if version < OLDEST_NODE:
        raise NoDashboard(f"Node.js {told.strip()} is too old: {advice}")


def fingerprint() -> str:
    """Of all that the built files depend on; what is generated from the OpenAPI document is left out."""
    files = [FOLDER / name for name in _SOURCES]
    for folder in _SOURCE_FOLDERS:
        files += sorted(path for path in (FOLDER / folder).rglob("*") if path.is_file())
    files = [path for path in files if _GENERATED not in path.relative_to(FOLDER).parts]
    digest = hashlib.sha256()
    for path in [*files, _OPENAPI]:
        digest.update(f"{os.path.relpath(path, ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def pages(dist: Path) -> dict[str, Answer]:
    """The answer to each path, `/` among them; names with a hash in them may be kept for good."""
    found: dict[str, Answer] = {}
    for file in sorted(path for path in dist.rglob("*") if path.is_file()):
        path = f"/{file.relative_to(dist).as_posix()}"
        kept = "public, max-age=31536000, immutable" if path.startswith("/assets/") else "no-cache"
        headers = {**HEADERS, "content-type": TYPES[file.suffix], "cache-control": kept}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        found[path] = Answer(200, encoded, file.read_bytes())
    found["/"] = found["/index.html"]
    return found


@contextmanager
def _locked() -> Iterator[None]:
    """One build at a time."""
    with (FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str] | None = None) -> int:
    """Runs one of the scripts of package.json. Where there is no Node that is said aloud, and in CI fails."""
    parser = argparse.ArgumentParser(prog="python -m local.dashboard", description=__doc__)
    parser.add_argument("script", choices=("build", "lint", "test"))
    script = parser.parse_args(arguments).script
    try:
        require_node()
    except NoDashboard as reason:
        print(f"not run: {script} of the dashboard: {reason}", file=sys.stderr)
        return int(os.environ.get("CI", "").lower() not in ("", "0", "false"))
    try:
        print(run_script(script).strip())
    except NoDashboard as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
