"""What the builder leaves out of a package, and what it refuses to make."""

import os
import shutil
from pathlib import Path, PurePosixPath

import pytest

from scripts.package import elf, wheels
from scripts.package.checks import LIBGOMP, check_packages, check_size, libraries
from scripts.package.errors import BuildError, Unreachable
from scripts.package.licences import licences
from scripts.package.plan import ROOT, read_plan
from scripts.package.prune import ships

PLAN = read_plan()


class TestWhatIsRefused:
    def test_too_large(self) -> None:
        check_size("score", 70.0)
        check_size("admin", 262.1)
        with pytest.raises(BuildError, match=r"score .* 70\.1 MB"):
            check_size("score", 70.1)
        with pytest.raises(BuildError, match="retrain"):
            check_size("retrain", 240.1)
        with pytest.raises(BuildError, match="admin"):
            check_size("admin", 262.2)

    def test_another_machines_library(self, build: Path) -> None:
        other = next(name for name in wheels.MACHINES if name != PLAN.architecture)
        with pytest.raises(BuildError, match="is for"):
            check_packages([build / "CommonLayer"], other)

    def test_a_library_without_what_it_needs(self, build: Path, tmp_path: Path) -> None:
        trained = tmp_path / "RetrainFunction"
        shutil.copytree(build / "RetrainFunction" / "lightgbm", trained / "lightgbm")
        with pytest.raises(BuildError, match=LIBGOMP):
            check_packages([trained], PLAN.architecture)

    def test_a_package_in_layer_and_function(self, tmp_path: Path) -> None:
        for name in ("layer/python/numpy", "function/numpy"):
            (tmp_path / name).mkdir(parents=True)
        with pytest.raises(BuildError, match=r"twice.*numpy"):
            check_packages([tmp_path / "layer", tmp_path / "function"], "arm64")

    def test_a_version_beside_the_layers(self) -> None:
        lock = "numpy==1.0 \\\n    --hash=sha256:00\nscipy==2.0 \\\n    --hash=sha256:01\n"
        assert wheels.pins(wheels.without(lock, {"numpy": "1.0"})) == {"scipy": "2.0"}
        with pytest.raises(BuildError, match="numpy"):
            wheels.without(lock, {"numpy": "1.1"})

    def test_a_licence_that_nobody_looked_at(self, tmp_path: Path) -> None:
        (tmp_path / "x-1.dist-info").mkdir()
        metadata = tmp_path / "x-1.dist-info" / "METADATA"
        metadata.write_text("Name: x\nVersion: 1\nLicense-Expression: MIT\n")
        assert licences(tmp_path) == [("x", "1", "MIT")]
        metadata.write_text("Name: x\nVersion: 1\nLicense-Expression: MIT AND AGPL-3.0-only\n")
        with pytest.raises(BuildError, match="AGPL"):
            licences(tmp_path)

    def test_wheels_that_cannot_be_fetched_or_do_not_exist(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        lock = "no-such-package==1.0 --hash=sha256:" + "0" * 64 + "\n"
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_RETRIES", "1")
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
        with pytest.raises(Unreachable):
            wheels.install(lock, tmp_path, "arm64")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(BuildError, match="no-such-package") as error:
            wheels.install(lock, tmp_path, "arm64")
        assert not isinstance(error.value, Unreachable)

    def test_another_runtime(self, tmp_path: Path) -> None:
        text = (ROOT / "template.yaml").read_text()
        (tmp_path / "template.yaml").write_text(text.replace("Runtime: python3.13", "Runtime: python3.12"))
        with pytest.raises(BuildError, match=r"python3\.13"):
            read_plan(tmp_path / "template.yaml")


class TestPruning:
    @pytest.mark.parametrize(
        ("path", "kept"),
        [
            ("numpy/linalg/_linalg.py", True),
            ("numpy/linalg/tests/test_linalg.py", False),
            ("numpy/testing/__init__.py", True),
            ("numpy/__init__.pyi", False),
            ("numpy/_core/_multiarray_tests.cpython-313-x86_64-linux-gnu.so", False),
            ("numpy/_core/_multiarray_umath.cpython-313-x86_64-linux-gnu.so", True),
            ("sqlalchemy/dialects/mysql/base.py", True),
            ("sqlalchemy/dialects/oracle/base.py", False),
            ("x-1.dist-info/METADATA", True),
            ("x-1.dist-info/entry_points.txt", True),
            ("x-1.dist-info/licenses/LICENSE", True),
            ("x-1.dist-info/RECORD", False),
            ("bin/f2py", False),
        ],
    )
    def test_what_ships(self, path: str, kept: bool) -> None:
        assert ships(PurePosixPath(path)) is kept

    def test_a_stripped_library_says_the_same(self, build: Path) -> None:
        for path, library in libraries(build / "RetrainFunction"):
            padded = path.read_bytes() + b"debugging symbols"
            assert elf.stripped(padded) == path.read_bytes()
            assert elf.read(padded) == library

    def test_what_isnt_a_library(self) -> None:
        with pytest.raises(BuildError, match="ELF"):
            elf.read(b"\x7fELF\x01\x01")
