"""Debian and Ubuntu packages unpacked into a private folder: no root, nothing on the system touched.

A private apt root (own lists, and an empty dpkg status so that every dependency down to libc comes along)
downloads from the mirrors that the machine itself uses, with its keys and proxies; `dpkg-deb -x` unpacks.
The result is kept in the user's cache, so that every checkout shares it.
"""

import fcntl
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.availability import CannotBeHad

Source = dict[str, str]
"""One deb822 stanza of apt's sources, by field name in lower case."""

_ALIASES = {"stable", "oldstable", "testing", "unstable", "sid"}
_CHECKOUT = Path(__file__).resolve().parents[2]
_KEPT_FIELDS = {"uris", "suites", "components", "signed-by", "trusted", "check-valid-until", "by-hash"}
_CONFIG = """
Dir::State "{root}";
Dir::State::lists "{root}/lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}";
Dir::Cache::archives "{root}/archives";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{root}/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Default-Release "";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def unpacked(package: str, *, suite: str | None = None, alone: bool = False) -> Path:
    """The folder that holds `package` and all it depends on, fetched the first time.

    `package` is a name without version: the newest of NAME and NAME-1.2 is taken. `suite` replaces the
    machine's own suites on Debian (its mirror carries them all); Ubuntu keeps its own. `alone`: without what
    it depends on, but with its commands. Raises CannotBeHad.
    """
    for tool in ("apt-get", "apt-cache", "apt-config", "dpkg", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise CannotBeHad(f"can't fetch {package}: no {tool} on this machine")
    release = platform.freedesktop_os_release()
    ubuntu = "ubuntu" in (release.get("ID", ""), *release.get("ID_LIKE", "").split())
    codename = release.get("UBUNTU_CODENAME") or release.get("VERSION_CODENAME", "")
    architecture = _output("dpkg", "--print-architecture")
    wanted = codename if ubuntu or suite is None else suite
    with _locked(_cache_folder()) as cache:
        tree = cache / f"{package}-{wanted}-{architecture}"
        if not tree.exists():
            sources = _sources_of(wanted, codename)
            root = cache / f"{tree.name}.new"
            shutil.rmtree(root, ignore_errors=True)  # what an interrupted run left: the lock is ours now
            try:
                _download(package, sources, architecture, root, alone)
                _unpack(root / "archives", root / "tree", alone)
                (root / "tree").rename(tree)
            finally:
                shutil.rmtree(root, ignore_errors=True)
        return tree


def machine_sources() -> list[Source]:
    """Every enabled binary source of the machine's apt, from one-line (.list) and deb822 (.sources) files."""
    names = ("list", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d")
    places = dict(word.split("=", 1) for word in shlex.split(_output("apt-config", "shell", *names)))
    files = [Path(places["list"]), *sorted(Path(places["parts"]).glob("*"))]
    sources: list[Source] = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".list":
            sources += parse_one_line(file.read_text())
        elif file.suffix == ".sources":
            sources += parse_deb822(file.read_text())
    return sources


def parse_one_line(text: str) -> list[Source]:
    """`deb [option=value ...] uri suite component...`, one source a line."""
    pattern = re.compile(
        r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>[^#]*)"
    )
    sources = []
    for line in text.splitlines():
        match = pattern.match(line)
        if match and not match["uri"].startswith("cdrom:"):
            options = dict(pair.split("=", 1) for pair in (match["options"] or "").split() if "=" in pair)
            named = {"uris": match["uri"], "suites": match["suite"], "components": match["rest"].strip()}
            sources.append({name.lower(): value for name, value in options.items()} | named)
    return sources


def parse_deb822(text: str) -> list[Source]:
    """Stanzas of `Field: value`, with continuation lines (an inline key, say) kept as they are."""
    sources = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        source = {name.lower(): value.strip() for name, value in fields}
        enabled = source.get("enabled", "yes").lower() not in ("no", "false", "0")
        if "deb" in source.get("types", "").split() and enabled:
            sources.append(source)
    return sources


def _sources_of(wanted: str, codename: str) -> list[Source]:
    """The machine's sources of its own release, or the same mirrors' `wanted` suite."""
    own = _ALIASES | {codename}
    if wanted == codename:
        own |= {f"{name}-{part}" for name in own for part in ("updates", "security")}
    found = [source for source in machine_sources() if own & set(source.get("suites", "").split())]
    if not found:
        raise CannotBeHad(f"apt's sources on this machine name no mirror of {codename or 'a known release'}")
    if wanted == codename:
        return found
    return [source | {"suites": wanted, "components": "main"} for source in found]


def _download(package: str, sources: list[Source], architecture: str, root: Path, alone: bool) -> None:
    for folder in ("lists/partial", "archives/partial", "sources"):
        (root / folder).mkdir(parents=True)
    (root / "status").touch()
    (root / "apt.conf").write_text(_CONFIG.format(root=root))
    (root / "sources" / "machine.sources").write_text(_deb822(sources, architecture))

    config = ("-c", str(root / "apt.conf"))
    update = _run("apt-get", *config, "-q", "update")
    names = _output("apt-cache", *config, "pkgnames", package).splitlines()
    versions = [name for name in names if re.fullmatch(re.escape(package) + r"(-[\d.]+)?", name)]
    if not versions:
        trouble = _last_line(update.stderr) or "their lists could be read"
        raise CannotBeHad(f"this machine's mirrors offer no {package}: {trouble}")
    newest = max(versions, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    what = ("download",) if alone else ("-y", "--download-only", "install")
    install = _run("apt-get", *config, "-q", *what, newest, folder=root / "archives")
    if install.returncode != 0:
        raise CannotBeHad(f"apt couldn't download {newest}: {_last_line(install.stderr)}")


def _deb822(sources: list[Source], architecture: str) -> str:
    """The sources as one file that asks for package lists alone."""
    least = {"types": "deb", "architectures": architecture, "targets": "Packages", "languages": "none"}
    text = ""
    for source in sources:
        kept = {name: value for name, value in source.items() if name in _KEPT_FIELDS}
        text += "".join(f"{name}: {value}\n" for name, value in (kept | least).items()) + "\n"
    return text


def _unpack(archives: Path, tree: Path, alone: bool) -> None:
    for archive in sorted(archives.glob("*.deb")):
        if "perl" not in archive.name:  # only the servers' maintenance scripts want it
            subprocess.run(["dpkg-deb", "-x", str(archive), str(tree)], check=True)
    if not alone:
        shutil.rmtree(tree / "usr" / "bin", ignore_errors=True)  # 90 MB of tools that no test calls


def _cache_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "adbid", "servers")
    with suppress(OSError):  # a user without a home falls back to the checkout
        cache.mkdir(parents=True, exist_ok=True)
    if not os.access(cache, os.W_OK):
        cache = Path(os.environ.get("ADBID_HOME") or _CHECKOUT / ".local", "servers").resolve()
        cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _run(*command: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, timeout=600, cwd=folder
    )


def _output(*command: str) -> str:
    return _run(*command).stdout.strip()


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
