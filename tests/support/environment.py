"""Which environment variables a program reads: found in its source, and in all of ours that it imports."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import adbid.settings
from functions.authorizer.settings import AuthorizerSettings

ROOT = Path(__file__).resolve().parents[2]
_ROOTS = {"adbid": ROOT / "layers/common", "functions": ROOT, "migrations": ROOT}
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def needed_by(module: str) -> set[str]:
    """The variables of all settings that a module, or what it imports, asks for."""
    found = set()
    for path in _closure(module):
        if path.is_relative_to(ROOT / "functions/authorizer"):
            found |= _authorizers()
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and _called(node) == "read_settings" and node.args:
                kind = node.args[0]
                if isinstance(kind, ast.Name):  # and not `read_settings` itself
                    fields = dataclasses.fields(getattr(adbid.settings, kind.id))
                    found |= {field.name.upper() for field in fields}
    return found


def read_by(module: str) -> set[str]:
    """Those, and every other text in the source that looks like a variable's name."""
    found = needed_by(module)
    for path in _closure(module):
        found.update(_texts(ast.walk(_tree(path))))
    return found


def looked_up_by(module: str) -> set[str]:
    """Those that it looks up by name: the texts in those of its files that handle the environment."""
    found = needed_by(module)
    for path in _closure(module):
        nodes = list(ast.walk(_tree(path)))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        if names & {"environ", "environment", "getenv"}:
            found.update(_texts(nodes))
    return found


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Every text that looks like a variable's name."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value


@cache
def _authorizers() -> frozenset[str]:
    """What the authorizer's settings look up."""
    looked_up = set()

    class Spy(dict[str, str]):
        def get(self, name: str, default: object = None) -> None:  # type: ignore[override]
            looked_up.add(name)

    spy: Mapping[str, str] = Spy()
    with suppress(ValueError):  # nothing is set
        AuthorizerSettings.from_environment(spy)
    return frozenset(looked_up)


@cache
def _closure(module: str) -> frozenset[Path]:
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _path(waiting.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        waiting.extend(_imports(path))
    return frozenset(seen)


def _imports(path: Path) -> Iterator[str]:
    """Ours alone, those inside functions too, which keep a start short."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _path(module: str) -> Path | None:
    root = _ROOTS.get(module.split(".")[0])
    if root is None:
        return None
    base = root / module.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
