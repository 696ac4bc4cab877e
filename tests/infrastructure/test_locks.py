"""The lock files: what is installed or shipped is pinned, hashed, from no named host, and was tested."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DEV = ROOT / "requirements.txt"
LAYER = ROOT / "layers/common/requirements.txt"
FUNCTIONS = [*sorted(ROOT.glob("functions/*/requirements.txt")), ROOT / "migrations/requirements.txt"]
OF_A_GROUP = {
    "sam": ROOT / "requirements-sam.txt",
    "lambda": ROOT / "requirements-lambda.txt",
    "openmp": ROOT / "scripts/package/openmp.txt",
}
"""Locks of what .venv doesn't have, by the group of pyproject.toml that they are made from."""
LOCKS = [DEV, LAYER, *FUNCTIONS, *OF_A_GROUP.values()]
LAMBDA = {
    "implementation_name": "cpython",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}

every_lock = pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))


def requirements(lock: Path) -> list[str]:
    """One line per requirement, its hashes included, without comments."""
    lines = (line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#"))
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def pins(lock: Path) -> dict[str, str]:
    """Name to version, as they are installed on the Lambda's platform."""
    parsed = (Requirement(re.split(r"\s--hash=", line, maxsplit=1)[0]) for line in requirements(lock))
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in parsed
        if one.marker is None or one.marker.evaluate({**LAMBDA})
    }


@every_lock
def test_names_no_host_and_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.findall(r"(?m)^\s*(?:--(?:index|extra|find).*|-[if]\b.*)", text)


@every_lock
def test_pins_and_hashes_every_requirement(lock: Path) -> None:
    for line in requirements(lock):
        assert re.match(r"[a-z0-9._-]+==[^\s;]+ ", line), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), line


@pytest.mark.parametrize("lock", [LAYER, *FUNCTIONS], ids=lambda lock: str(lock.relative_to(ROOT)))
def test_what_ships_is_what_was_tested(lock: Path) -> None:
    assert pins(lock).items() <= pins(DEV).items()


def test_the_locks_follow_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    def names(entries: list[str | dict[str, str]]) -> set[str]:
        return {canonicalize_name(Requirement(entry).name) for entry in entries if isinstance(entry, str)}

    groups = {name: names(entries) for name, entries in project["dependency-groups"].items()}
    shipped = names(project["project"]["dependencies"])
    assert shipped <= pins(LAYER).keys()
    assert shipped.union(*(groups[name] for name in groups.keys() - OF_A_GROUP)) <= pins(DEV).keys()
    for name, lock in OF_A_GROUP.items():
        assert groups[name] <= pins(lock).keys()
    for name in ("authorizer", "retrain", "migrations"):
        [lock] = (lock for lock in FUNCTIONS if lock.parent.name == name)
        assert groups[name] <= pins(lock).keys()


def test_the_layer_leaves_out_what_the_runtime_brings() -> None:
    assert not {"boto3", "botocore"} & pins(LAYER).keys()
