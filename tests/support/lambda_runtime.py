"""Built packages in execution environments like Lambda's: its Python, its runtime client, and nothing else.

Two ways to call them: `client_environment` speaks the Runtime API itself, and so can time what happens;
`emulator_environment` puts the real Runtime Interface Emulator in between, which is called over HTTP.
"""

from __future__ import annotations

import json
import platform
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.package import wheels
from scripts.package.build import build_all
from scripts.package.bytecode import compile_tree, interpreter
from scripts.package.cache import kept
from scripts.package.checks import LIBGOMP
from scripts.package.errors import BuildError, Unreachable
from scripts.package.plan import ROOT, Function
from tests.support.availability import CannotBeHad
from tests.support.lambda_api import FunctionError, runtime_api
from tests.support.processes import free_port, private_folder, running

Invoke = Callable[[Any], Any]
"""An event in, the function's answer out. Raises FunctionError."""

_BOOTSTRAP = Path(__file__).with_name("lambda_bootstrap.py")
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Package:
    """A function as AWS unpacks it: `task` is /var/task, `opt` is /opt."""

    function: Function
    task: Path
    opt: Path
    environment: dict[str, str]
    timeout: float
    memory: int


@dataclass
class Measured:
    """What an environment took: milliseconds until it was ready, per call in order, and its memory's peak."""

    init_ms: float
    calls_ms: list[float]
    peak_mb: float


def host_architecture() -> str:
    """This machine's, in Lambda's words. Raises CannotBeHad where Lambda's Linux packages can't run."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        raise CannotBeHad(f"Lambda's packages run on Linux, and not on {sys.platform} {platform.machine()}")
    return _ARCHITECTURES[platform.machine()]


def lambda_python() -> str:
    """The interpreter itself, never a virtual environment's. Raises CannotBeHad."""
    try:
        return str(Path(interpreter()).resolve())
    except BuildError as error:
        raise CannotBeHad(str(error)) from None


def built(folder: Path, architecture: str) -> Path:
    """Everything in template.yaml, built for an architecture. Raises CannotBeHad without Python 3.13, and
    where wheels that nobody has fetched yet can't be."""
    lambda_python()
    try:
        build_all(folder, architecture)
    except Unreachable as error:
        raise CannotBeHad(str(error)) from None
    return folder


def unzipped(build: Path, resource: str, place: Path) -> Path:
    """A package's zip unpacked to `place`, with the times of today, as Lambda does."""
    with zipfile.ZipFile(build / f"{resource}.zip") as archive:
        archive.extractall(place)
    return place


@cache
def runtime_packages() -> Path:
    """What the runtime itself brings: its client and boto3. Raises CannotBeHad."""
    lock = (ROOT / "requirements-lambda.txt").read_text()

    def make(place: Path) -> None:
        wheels.install(lock, place, host_architecture())
        compile_tree(place, "/var/lang/lib/python3.13/site-packages", keep_source=True)

    return _fetched("runtime", (lock, host_architecture()), make)


@cache
def emulator() -> Path:
    """The emulator's program, from the SAM CLI's wheel. Raises CannotBeHad."""
    wheel = wheels.only((ROOT / "requirements-sam.txt").read_text(), "aws-sam-cli")
    name = f"aws-lambda-rie-{host_architecture()}"

    def make(place: Path) -> None:
        with TemporaryDirectory() as temporary:
            wheels.install(wheel, Path(temporary), host_architecture())
            shutil.copy(Path(temporary, "samcli/local/rapid", name), place / name)
        (place / name).chmod(0o755)

    return _fetched("emulator", (wheel, name), make) / name


def _fetched(name: str, parts: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    try:
        return kept(name, parts, make)
    except Unreachable as error:
        raise CannotBeHad(str(error)) from None


@contextmanager
def client_environment(package: Package, measured: Callable[[Measured], None]) -> Iterator[Invoke]:
    """One execution environment under the real runtime client; what it took is told at the end."""
    with runtime_api() as api, private_folder("lambda") as folder:
        spec = _specify(package, folder, {"AWS_LAMBDA_RUNTIME_API": api.address})
        seconds: list[float] = []

        def invoke(event: Any) -> Any:
            answer, took = api.invoke(event, package.timeout, Path(f"/proc/{pid}").exists)
            seconds.append(took)
            return answer

        def ready() -> bool:
            return api.ready is not None or api.failure is not None

        with running(package.function.resource, _command(spec), folder, ready):
            if api.ready is None:
                raise FunctionError(f"{package.function.resource} doesn't start: {api.failure}")
            pid, started = json.loads(spec.with_suffix(".started").read_text())
            yield invoke
            _check_files(pid, package)
            measured(Measured(1e3 * (api.ready - started), [1e3 * one for one in seconds], _peak_mb(pid)))


@contextmanager
def emulator_environment(package: Package) -> Iterator[Invoke]:
    """One execution environment under the real emulator, which is asked over HTTP."""
    port, api_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

    def invoke(event: Any) -> Any:
        request = urllib.request.Request(url, json.dumps(event).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=package.timeout + 30) as response:
            answer = json.load(response)
        if isinstance(answer, dict) and "errorMessage" in answer:
            raise FunctionError(json.dumps(answer))
        return answer

    def listening() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    with private_folder("emulator") as folder:
        spec = _specify(package, folder, {})
        addresses = (
            *("--runtime-api-address", f"127.0.0.1:{api_port}"),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        )
        # Its own limits: the emulator reads them from its environment, which is this process's.
        limits = (
            f"AWS_LAMBDA_FUNCTION_TIMEOUT={package.timeout:.0f}",
            f"AWS_LAMBDA_FUNCTION_MEMORY_SIZE={package.memory}",
        )
        program = ("/usr/bin/env", "-i", *limits, str(emulator()), *addresses)
        with running("emulator", (*program, *_command(spec)), folder, listening):
            yield invoke


def _command(spec: Path) -> tuple[str, ...]:
    return (lambda_python(), "-I", "-S", "-B", str(_BOOTSTRAP), str(spec))


def _specify(package: Package, folder: Path, more: dict[str, str]) -> Path:
    task, opt = str(package.task), str(package.opt)
    environment = {
        **package.environment,
        **more,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(package.memory),
        "AWS_LAMBDA_FUNCTION_NAME": package.function.resource,
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{package.function.resource}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "proof",
        "LAMBDA_TASK_ROOT": task,
        "LANG": "en_US.UTF-8",
        "LD_LIBRARY_PATH": f"{task}:{task}/lib:{opt}/lib",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
        "_HANDLER": package.function.handler,
    }
    about = {
        "environment": environment,
        "handler": package.function.handler,
        "path": [task, f"{opt}/python"],
        "runtime": str(runtime_packages()),
    }
    spec = folder / "spec.json"
    spec.write_text(json.dumps(about))
    return spec


def _peak_mb(pid: int) -> float:
    [line] = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
    ]
    return int(line.split()[1]) * 1024 / 1e6


def _check_files(pid: int, package: Package) -> None:
    """Every library in the process's memory is the package's, the runtime's, Python's or the system's."""
    mapped = {
        line.split(maxsplit=5)[5]
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
        if "/" in line
    }
    libraries = {path.removesuffix(" (deleted)") for path in mapped if ".so" in path}
    python = Path(lambda_python()).parents[1]
    places = (
        package.task,
        package.opt,
        runtime_packages(),
        python,
        Path("/lib"),
        Path("/lib64"),
        Path("/usr"),
    )
    foreign = {path for path in libraries if not any(Path(path).is_relative_to(place) for place in places)}
    inside = {path for path in libraries if Path(path).is_relative_to(python) and "site-packages" in path}
    inside |= {path for path in libraries if LIBGOMP in path and not Path(path).is_relative_to(package.task)}
    if foreign or inside:
        raise AssertionError(f"not from the package: {sorted(foreign | inside)}")
