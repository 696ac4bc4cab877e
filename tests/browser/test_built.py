"""The dashboard's build: small, the same each time, and true to the API."""

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local import dashboard
from local.dashboard import DIST, FOLDER

LIMIT = 130 * 1024
"""Bytes of all files together, gzipped."""


@pytest.fixture(scope="module")
def dist(node: None) -> Path:
    """The built files."""
    return dashboard.built()


@pytest.fixture
def copy(node: None, tmp_path: Path) -> Path:
    """A copy of the sources in a tree of their own, the API's document included."""
    folder = tmp_path / "dashboard"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "generated", ".*"))
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    document = tmp_path / "functions" / "admin" / "openapi.json"
    document.parent.mkdir(parents=True)
    shutil.copy(FOLDER.parent / "functions" / "admin" / "openapi.json", document)
    return folder


def test_the_pieces_work(node: None) -> None:
    dashboard.run_script("test")


def test_it_is_small(dist: Path) -> None:
    sizes = [len(gzip.compress(path.read_bytes())) for path in dist.rglob("*") if path.is_file()]
    assert len(sizes) == 4  # the page, its script, its style and its sign
    assert sum(sizes) <= LIMIT


def test_the_build_fails_over_the_limit(copy: Path) -> None:
    (copy / "dist").mkdir()
    (copy / "dist" / "large.js").write_bytes(os.urandom(LIMIT))
    done = subprocess.run(
        ["node", "scripts/size.mjs"], cwd=copy, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert " KB  gzipped in all, of 130 allowed" in done.stdout
    assert "over its limit" in done.stderr


def test_the_same_sources_make_the_same_files(dist: Path, copy: Path) -> None:
    for command in (["node", "scripts/generate.mjs"], ["npx", "vite", "build", "--logLevel", "error"]):
        subprocess.run(command, cwd=copy, check=True, timeout=120)
    again = {path.relative_to(copy / "dist"): path.read_bytes() for path in (copy / "dist").rglob("*.*")}
    assert again == {path.relative_to(DIST): path.read_bytes() for path in DIST.rglob("*.*")}


def test_a_change_of_the_api_breaks_the_build(copy: Path) -> None:
    document = copy.parent / "functions" / "admin" / "openapi.json"
    api = json.loads(document.read_text())
    item = api["components"]["schemas"]["PortfolioItem"]
    item["properties"]["pace"] = item["properties"].pop("pacing_index")
    item["required"].remove("pacing_index")
    document.write_text(json.dumps(api))
    subprocess.run(["node", "scripts/generate.mjs"], cwd=copy, check=True, timeout=60)
    of_one_file = {"extends": "./tsconfig.json", "include": ["src/views/portfolio/order.ts"]}
    (copy / "tsconfig.one.json").write_text(json.dumps(of_one_file))
    command = ["npx", "tsc", "--noEmit", "-p", "tsconfig.one.json"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "Property 'pacing_index' does not exist" in done.stdout


def test_the_lock_names_no_address(node: None) -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text())["packages"]
    assert len(packages) > 200
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert all("integrity" in package for name, package in packages.items() if name)
