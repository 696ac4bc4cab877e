"""What AWS would get: small enough, for the right machine, the same every time, and nothing twice.

Whether it runs is in test_runtime.py, which builds for this machine's architecture.
"""

import json
import os
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from scripts.package import wheels
from scripts.package.build import STAMP, build_all, layer_hash
from scripts.package.checks import LIBGOMP, libraries
from scripts.package.dependencies import dependencies
from scripts.package.errors import Unreachable
from scripts.package.plan import ROOT, Function, read_plan
from tests.support.availability import CannotBeHad, not_run
from tests.support.lambda_runtime import lambda_python

MAGIC_3_13 = struct.pack("<H2s", 3571, b"\r\n")
UNCHECKED_HASH = 0b01
"""PEP 552: the second word of a .pyc."""

PLAN = read_plan()
LAMBDA_LIMIT_MB = 262.1


@pytest.fixture(scope="module")
def python_3_13() -> None:
    """For tests that compile a little themselves."""
    try:
        lambda_python()
    except CannotBeHad as reason:
        not_run(f"packages: {reason}")


def names(archive: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(archive) as opened:
        return [PurePosixPath(name) for name in opened.namelist()]


def bytecode(folder: Path) -> Iterator[Path]:
    found = list(folder.rglob("*.pyc"))
    assert found
    yield from found


class TestWhatIsBuilt:
    def test_every_layer_and_function_of_the_template(self, build: Path) -> None:
        for one in (*PLAN.layers, *PLAN.functions):
            folder, archive = build / one.resource, build / f"{one.resource}.zip"
            on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
            assert on_disk == {str(name) for name in names(archive)}

    @pytest.mark.parametrize("function", PLAN.functions, ids=lambda function: function.name)
    def test_a_handler_is_where_the_template_says(self, build: Path, function: Function) -> None:
        module, _, attribute = function.handler.rpartition(".")
        source = build / function.resource / f"{module.replace('.', '/')}.py"
        assert f"def {attribute}(" in source.read_text() or f"\n{attribute} = " in source.read_text()

    def test_sizes(self, build: Path) -> None:
        sizes = json.loads((build / "sizes.json").read_text())
        assert sizes.keys() == {function.name for function in PLAN.functions}
        assert sizes["score"]["unzipped_mb"] <= 70
        assert sizes["retrain"]["unzipped_mb"] <= 240
        for size in sizes.values():
            assert 0 < size["zip_mb"] < size["unzipped_mb"] < LAMBDA_LIMIT_MB

    def test_sizes_are_what_lies_there(self, build: Path) -> None:
        sizes = json.loads((build / "sizes.json").read_text())
        folders = [build / "ScoreFunction", build / "CommonLayer"]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        assert sizes["score"]["unzipped_mb"] == pytest.approx(
            sum(f.stat().st_size for f in files) / 1e6, abs=0.01
        )
        zips = [folder.with_suffix(".zip") for folder in folders]
        assert sizes["score"]["zip_mb"] == pytest.approx(sum(z.stat().st_size for z in zips) / 1e6, abs=0.01)

    def test_numpy_ships_once_and_boto3_never(self, build: Path) -> None:
        where: dict[str, set[str]] = {}
        for one in (*PLAN.layers, *PLAN.functions):
            for name in names(build / f"{one.resource}.zip"):
                parts = name.parts[1:] if name.parts[0] == "python" else name.parts
                where.setdefault(parts[0], set()).add(one.resource)
        assert where["numpy"] == where["sqlalchemy"] == {"CommonLayer"}
        assert where["lightgbm"] == where["scipy"] == {"RetrainFunction"}
        assert where["alembic"] == {"MigrateFunction"}
        assert not where.keys() & {"boto3", "botocore", "tests", "local", "bin"}

    def test_libraries_are_for_the_lambdas_machine(self, build: Path) -> None:
        found = [
            one for resource in ("CommonLayer", "RetrainFunction") for one in libraries(build / resource)
        ]
        assert len(found) > 50
        assert {library.machine for _, library in found} == {wheels.MACHINES[PLAN.architecture]}
        assert max(library.glibc for _, library in found) <= (2, 34)

    def test_libgomp_is_only_where_lightgbm_trains(self, build: Path) -> None:
        found = {path.relative_to(build).as_posix() for path in build.rglob("libgomp*")}
        assert found == {f"RetrainFunction/lib/{LIBGOMP}"}

    def test_bytecode_survives_zipping(self, build: Path) -> None:
        for path in bytecode(build):
            magic, flags = struct.unpack("<4sI", path.read_bytes()[:8])
            assert (magic, flags) == (MAGIC_3_13, UNCHECKED_HASH), path

    def test_tracebacks_name_the_files_on_lambda(self, build: Path) -> None:
        scoring = next((build / "CommonLayer").rglob("scoring.cpython-313.pyc"))
        assert b"/opt/python/adbid/engine/scoring.py" in scoring.read_bytes()
        app = next((build / "ScoreFunction").rglob("app.cpython-313.pyc"))
        assert b"/var/task/functions/score/app.py" in app.read_bytes()

    def test_only_our_own_source_ships(self, build: Path) -> None:
        """Each module has its bytecode, and others' have nothing else: that halves the layer's Python."""
        for path in build.rglob("*.py"):
            assert {"adbid", "functions", "migrations"} & set(path.relative_to(build).parts), path
            assert (path.parent / "__pycache__" / f"{path.stem}.cpython-313.pyc").is_file(), path

    def test_no_metadata_of_tools(self, build: Path) -> None:
        left = [
            path.name for path in build.rglob("*") if path.suffix in (".pyi", ".pyx") or path.name == "RECORD"
        ]
        assert left == []

    def test_licences_are_listed(self, build: Path) -> None:
        text = (build / "licences.txt").read_text()
        listed = {line.split()[0].lower().replace("-", "_") for line in text.splitlines()[1:]}
        locks = [ROOT / "layers/common", *(function.source for function in PLAN.functions)]
        locked = {
            name.replace("-", "_")
            for folder in locks
            if (folder / "requirements.txt").is_file()
            for name in wheels.pins((folder / "requirements.txt").read_text())
        }
        assert listed == locked | {"libgomp"}


class TestTheSameBytes:
    def test_built_again(self, build: Path, tmp_path: Path) -> None:
        plan = replace(PLAN, functions=PLAN.functions[:3])
        build_all(tmp_path / "again", PLAN.architecture, plan)
        for one in (*plan.layers, *plan.functions):
            name = f"{one.resource}.zip"
            assert (tmp_path / "again" / name).read_bytes() == (build / name).read_bytes(), name

    @pytest.mark.usefixtures("python_3_13")
    def test_fetched_and_compiled_again(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        lock = wheels.only((ROOT / "layers/common/requirements.txt").read_text(), "redis")
        first = dependencies(lock, "python", "/opt/python", "arm64").zip.read_bytes()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        try:
            again = dependencies(lock, "python", "/opt/python", "arm64").zip
        except Unreachable as reason:
            not_run(f"packages fetched again: {reason}")
        assert again.is_relative_to(tmp_path)
        assert again.read_bytes() == first

    def test_sam_build_gets_them_too(self, build: Path, tmp_path: Path) -> None:
        """As its makefile workflow does: from a folder of its own, with ARTIFACTS_DIR set."""
        environment = {name: value for name, value in os.environ.items() if name not in ("ARCH", "MAKEFLAGS")}
        for resource in ("ScoreFunction", "CommonLayer"):
            artefacts = tmp_path / resource
            artefacts.mkdir()
            subprocess.run(
                ["make", "--makefile", str(ROOT / "scripts/package/Makefile"), f"build-{resource}"],
                cwd=tmp_path,
                env={**environment, "ARTIFACTS_DIR": str(artefacts)},
                check=True,
            )
            compared = subprocess.run(["diff", "-r", str(artefacts), str(build / resource)], check=False)
            assert compared.returncode == 0


class TestAChangeIsANewVersion:
    def test_every_function_carries_its_layers_and_its_configuration(self, build: Path) -> None:
        stamps = []
        for function in PLAN.functions:
            stamp = json.loads((build / function.resource / STAMP).read_text())
            layers = {layer.resource: layer_hash(layer, PLAN.architecture) for layer in function.layers}
            assert stamp == {"configuration": function.configuration, "layers": layers}
            stamps.append(stamp["configuration"])
        assert len(set(stamps)) == len(stamps)

    @pytest.mark.parametrize("changed", ["adbid/wiring.py", "requirements.txt", "adbid/new.py"])
    def test_of_the_layer(self, tmp_path: Path, changed: str) -> None:
        [layer] = PLAN.layers
        copy = replace(layer, source=tmp_path / "common")
        shutil.copytree(layer.source, copy.source)
        before = layer_hash(copy, "arm64")
        (copy.source / "adbid" / "__pycache__").mkdir(exist_ok=True)
        (copy.source / "adbid" / "__pycache__" / "x.pyc").touch()
        assert layer_hash(copy, "arm64") == before != layer_hash(copy, "x86_64")
        with (copy.source / changed).open("a") as file:
            file.write("#")
        assert layer_hash(copy, "arm64") != before

    def test_of_a_functions_configuration(self, tmp_path: Path) -> None:
        text = (ROOT / "template.yaml").read_text()
        (tmp_path / "template.yaml").write_text(text.replace("MemorySize: 1769", "MemorySize: 1770", 1))
        changed = read_plan(tmp_path / "template.yaml")
        assert [
            new.name
            for old, new in zip(PLAN.functions, changed.functions, strict=True)
            if old.configuration != new.configuration
        ] == ["score"]

    def test_of_a_deploys_parameters(self, tmp_path: Path) -> None:
        text = (ROOT / "samconfig.toml").read_text()
        (tmp_path / "samconfig.toml").write_text(text.replace("LogLevel=INFO", "LogLevel=ERROR"))
        changed = read_plan(settings=tmp_path / "samconfig.toml")
        for old, new in zip(PLAN.functions, changed.functions, strict=True):
            assert old.configuration != new.configuration
