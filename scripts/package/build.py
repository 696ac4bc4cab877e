"""Builds the packages of a plan: each into a folder, or all of them with their zips and figures."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.package import wheels
from scripts.package.archive import copy_source, normalise, size, write_zip
from scripts.package.bytecode import compile_tree
from scripts.package.checks import check_packages, check_size
from scripts.package.dependencies import Dependencies, builder_hash, dependencies
from scripts.package.errors import BuildError
from scripts.package.licences import licences, listing
from scripts.package.plan import ROOT, Function, Layer, Plan, read_plan
from scripts.package.prune import clear

STAMP = "build.json"
"""In every function's package: so that it changes, and a new version is published, when a layer or its own
configuration does."""


@dataclass(frozen=True)
class Size:
    """A function with its layers, in millions of bytes."""

    unzipped_mb: float
    zip_mb: float


def build_all(output: Path, architecture: str, plan: Plan | None = None) -> dict[str, Size]:
    """Everything in the plan: `RESOURCE/`, `RESOURCE.zip`, sizes.json and licences.txt under `output`.

    Answers the sizes by function. Raises BuildError, for a package that is too large as well.
    """
    plan = plan or read_plan()
    clear(output)
    resources: tuple[Layer | Function, ...] = (*plan.layers, *plan.functions)
    for one in resources:
        shipped = _build(one, output / one.resource, architecture)
        write_zip(output / one.resource, output / f"{one.resource}.zip", shipped.zip if shipped else None)
    sizes = {}
    for function in plan.functions:
        folders = [output / function.resource, *(output / layer.resource for layer in function.layers)]
        check_packages(folders, architecture)
        zipped = sum(folder.with_name(f"{folder.name}.zip").stat().st_size for folder in folders)
        sizes[function.name] = Size(round(sum(map(size, folders)) / 1e6, 2), round(zipped / 1e6, 2))
    found = {part.resource: licences(output / part.resource) for part in resources}
    (output / "licences.txt").write_text(listing(found), encoding="utf-8")
    figures = {name: asdict(figure) for name, figure in sizes.items()}
    (output / "sizes.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, figure in sizes.items():
        check_size(name, figure.unzipped_mb)
    return sizes


def build_one(resource: str, folder: Path, architecture: str, plan: Plan | None = None) -> None:
    """The package of one resource of the template, into `folder`. Raises BuildError."""
    plan = plan or read_plan()
    resources: tuple[Layer | Function, ...] = (*plan.layers, *plan.functions)
    for one in resources:
        if one.resource == resource:
            _build(one, folder, architecture)
            return
    raise BuildError(f"template.yaml has no layer or function {resource}")


def layer_hash(layer: Layer, architecture: str) -> str:
    """Changes with anything that changes the layer."""
    digest = hashlib.sha256(f"{architecture} {builder_hash()}".encode())
    with TemporaryDirectory() as temporary:
        source = Path(temporary, "source")
        copy_source(layer.source, source)
        shutil.copy(layer.source / "requirements.txt", source)
        for path in sorted(source.rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(source).as_posix()} {path.stat().st_size}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _build(one: Layer | Function, folder: Path, architecture: str) -> Dependencies | None:
    shipped = _dependencies(one, architecture)
    if shipped:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(shipped.folder, folder)
    else:
        clear(folder)
    with TemporaryDirectory() as temporary:  # since only what is ours keeps its source
        own = Path(temporary, "own")
        if isinstance(one, Layer):
            copy_source(one.source, own)
            compile_tree(own, one.prefix, keep_source=True)
            shutil.copytree(own, folder / "python", dirs_exist_ok=True)
        else:
            _copy_package(one, own)
            compile_tree(own, one.prefix, keep_source=True)
            (own / STAMP).write_text(_stamp(one, architecture))
            shutil.copytree(own, folder, dirs_exist_ok=True)
    normalise(folder)
    return shipped


def _dependencies(one: Layer | Function, architecture: str) -> Dependencies | None:
    """What its requirements.txt names, less what its layers have."""
    requirements = one.source / "requirements.txt"
    if not requirements.is_file():
        return None
    lock = requirements.read_text()
    if isinstance(one, Function):
        locks = [(layer.source / "requirements.txt").read_text() for layer in one.layers]
        lock = wheels.without(
            lock, {name: version for text in locks for name, version in wheels.pins(text).items()}
        )
    if not wheels.pins(lock):
        return None
    return dependencies(lock, "python" if isinstance(one, Layer) else "", one.prefix, architecture)


def _copy_package(function: Function, folder: Path) -> None:
    """The package the handler is in, below its parents' own `__init__.py`."""
    place = Path(function.package.replace(".", "/"))
    copy_source(function.source, folder / place)
    for parent in place.parents[:-1]:
        shutil.copy(ROOT / parent / "__init__.py", folder / parent)


def _stamp(function: Function, architecture: str) -> str:
    layers = {layer.resource: layer_hash(layer, architecture) for layer in function.layers}
    return json.dumps({"configuration": function.configuration, "layers": layers}, indent=2) + "\n"
