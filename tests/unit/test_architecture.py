"""Dependencies point one way: domain, eyes ← data, ml ← engine ← web and wiring ← functions."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "common" / "adbid"
FUNCTIONS = ROOT / "functions"

ALLOWED = {
    "domain": {"domain"},
    "eyes": {"eyes"},
    "ml": {"domain", "ml"},
    "data": {"domain", "data"},
    "engine": {"domain", "eyes", "ml", "data", "engine"},
    "web": {"domain", "eyes", "web"},
    "settings": {"domain"},
    "wiring": {"domain", "eyes", "ml", "data", "engine", "settings"},
}
"""Which parts of the layer each part may import."""

PURE = {"numpy"}
"""Beside the standard library, what the domain may import."""

IMPURE = {
    "socket",
    "http",
    "urllib",
    "sqlite3",
    "subprocess",
    "random",
    "secrets",
    "time",
    "logging",
    "os",
    "threading",
}
"""Of the standard library, what the domain may not: I/O, clocks and randomness of its own."""

MODULES = sorted(LAYER.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module `path` imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "adbid")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LAYER)))
def test_the_layer_imports_downwards_only(path: Path) -> None:
    part = path.relative_to(LAYER).parts[0].removesuffix(".py")
    if part == "__init__":
        assert not imports(path)
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("adbid.")}
    assert used <= ALLOWED[part], f"{part} may not import {used - ALLOWED[part]}"
    assert not {
        name for name in imports(path) if name.split(".")[0] in ("functions", "local", "migrations", "tests")
    }


@pytest.mark.parametrize("path", sorted((LAYER / "domain").glob("*.py")), ids=lambda path: path.stem)
def test_the_domain_is_pure(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert roots <= sys.stdlib_module_names | PURE | {"adbid"}
    assert not roots & IMPURE


@pytest.mark.parametrize(
    "path", sorted(FUNCTIONS.rglob("*.py")), ids=lambda path: str(path.relative_to(FUNCTIONS))
)
def test_no_function_imports_another(path: Path) -> None:
    own = path.relative_to(FUNCTIONS).parts[0]
    others = {name.split(".")[1] for name in imports(path) if name.startswith("functions.")} - {own}
    assert not others


def test_only_the_learner_trains() -> None:
    users = {
        p for p in [*MODULES, *FUNCTIONS.rglob("*.py")] if "lightgbm" in {n.split(".")[0] for n in imports(p)}
    }
    assert {path.relative_to(FUNCTIONS).parts[0] for path in users} <= {"retrain"}
