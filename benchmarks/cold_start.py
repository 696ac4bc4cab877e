"""How long each function takes to start, from the built packages, in a process of its own.

    .venv/bin/python -m benchmarks.cold_start [--json OUT] [--rounds 15] [--function score] [--first]

Python starts with nothing but the standard library and what AWS unpacks, and imports the handler; everything
has been read from disk before. A bare interpreter takes turns with it. `without_bytecode_ms` is the same from
source, as if the .pyc files couldn't be used. `init_ms` and `bare_ms` are of whole processes.

With `--first`, `first_score_ms` is of a process that goes on to score ten bids in the market of
`benchmarks.score`, on real MySQL and Redis: what is only put off until the first call shows there.
"""

import argparse
import json
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from shutil import copytree
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from scripts.package import wheels
from scripts.package.plan import ROOT, Function
from tests.support.lambda_runtime import Package, built, host_architecture, lambda_python, runtime_packages
from tests.support.lambda_story import packages

VALUES = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_REGION": "eu-west-1",
    "DATABASE_URL": "mysql+pymysql://127.0.0.1:1/adbid",
    "JWKS_SECRET_ID": "keys",
    "MODELS_BUCKET": "models",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
_PROGRAM = """
import sys
sys.path[:] = [*{path!r}, *sys.path, {runtime!r}]
import importlib
module, _, name = {handler!r}.rpartition(".")
getattr(importlib.import_module(module), name)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
_SCORE = """
import json
answer = getattr(sys.modules[module], name)(json.loads({event!r}), None)
assert answer["statusCode"] == 200 and json.loads(answer["body"])["degraded"] == [], answer
"""
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")
_SHOWN = 12


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the results here as well")
    parser.add_argument("--rounds", type=int, default=15, help="processes per figure (default: 15)")
    parser.add_argument("--function", help="this one only")
    parser.add_argument("--first", action="store_true", help="time a first score, too")
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        build = built(place / "build", host_architecture())
        shipped = packages(build, place / "unpacked", VALUES)
        results = {
            name: measure(package, place / "source" / name, options.rounds)
            for name, package in sorted(shipped.items())
            if options.function in (None, name)
        }
        if options.first and "score" in results:
            results["score"]["first_score_ms"] = first_score(shipped["score"], options.rounds)
    print_tables(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(package: Package, source: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds and millions of bytes of one function."""
    path = [str(package.task), f"{package.opt}/python"]
    program = program_of(package.function, path)
    from_source = program_of(package.function, unpacked_source(package.function, source))
    no_bytecode = ("-X", f"pycache_prefix={source / 'nothing'}")
    taken: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds + 1):
        for name, options, code in (
            ("bare", (), "print(0)"),
            ("init", (), program),
            *([("without_bytecode", no_bytecode, from_source)] if turn < 4 else []),
        ):
            seconds, said = run(options, code, package.environment)
            if turn:  # the first reads from disk
                taken[name].append(1e3 * seconds)
                if name == "init":
                    peak = int(said) * 1024 / 1e6
    figures = {f"{name}_ms": round(median(each), 1) for name, each in taken.items()}
    over = round(figures["init_ms"] - figures["bare_ms"], 1)
    imports = imports_of(program, package.environment)
    return {**figures, "over_bare_ms": over, "peak_mb": round(peak, 1), "imports_ms": imports}


def first_score(package: Package, rounds: int) -> float:
    """Milliseconds of a process that starts the score function and scores once."""
    from benchmarks.score_market import bundle, http_event, open_market

    program = program_of(package.function, [str(package.task), f"{package.opt}/python"])
    taken = []
    with open_market() as market:
        urls = {"DATABASE_URL": market.database_url, "REDIS_URL": market.redis_url}
        for turn in range(rounds + 2):
            event = json.dumps(http_event(bundle(10, f"first-{turn}")))
            seconds, _ = run((), program + _SCORE.format(event=event), {**package.environment, **urls})
            if turn > 1:  # the first two restore what Redis lacks, and read from disk
                taken.append(1e3 * seconds)
    return round(median(taken), 1)


def program_of(function: Function, path: Sequence[str]) -> str:
    """A Python program that does what an environment does before the first call."""
    return _PROGRAM.format(path=path, runtime=str(runtime_packages()), handler=function.handler)


def unpacked_source(function: Function, place: Path) -> list[str]:
    """The same packages with their source, and where they are."""
    layers = [(layer.source, place / "opt") for layer in function.layers]
    for source, target in ((function.source, place / "task" / function.package.replace(".", "/")), *layers):
        lock = source / "requirements.txt"
        root = place / ("opt" if target == place / "opt" else "task")
        if lock.exists():
            shipped = wheels.pins((ROOT / "layers/common/requirements.txt").read_text())
            text = lock.read_text()
            wheels.install(
                text if root.name == "opt" else wheels.without(text, shipped), root, host_architecture()
            )
        copytree(source, target, dirs_exist_ok=True)
    return [str(place / "task"), str(place / "opt")]


def run(options: Sequence[str], program: str, environment: dict[str, str]) -> tuple[float, str]:
    """Seconds that a fresh interpreter takes for a program, and what it prints last."""
    command = (lambda_python(), "-I", "-S", "-B", *options, "-c", program)
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(done.stderr)
    return seconds, done.stdout.split()[-1]


def imports_of(program: str, environment: dict[str, str]) -> dict[str, float]:
    """Milliseconds of each top-level package's own modules, the slowest first; -X importtime costs some."""
    command = (lambda_python(), "-I", "-S", "-B", "-X", "importtime", "-c", program)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    spent: dict[str, float] = defaultdict(float)
    for own, name in _IMPORT.findall(done.stderr):
        spent[name.partition(".")[0]] += int(own) / 1e3
    slowest = sorted(spent.items(), key=lambda pair: -pair[1])
    shown = {name: round(own, 1) for name, own in slowest[:_SHOWN]}
    return {**shown, "all others": round(sum(own for _, own in slowest[_SHOWN:]), 1)}


def print_tables(results: dict[str, dict[str, Any]]) -> None:
    named = (name for figures in results.values() for name in figures)
    columns = [name for name in dict.fromkeys(named) if name != "imports_ms"]
    print(f"{'function':<12}" + "".join(f"{name:>21}" for name in columns))
    for function, figures in results.items():
        print(f"{function:<12}" + "".join(f"{figures.get(name, '-'):>21}" for name in columns))
    for function, figures in results.items():
        print(f"\n{function}, ms by package")
        print("  " + ", ".join(f"{name} {own}" for name, own in figures["imports_ms"].items()))


if __name__ == "__main__":
    main()
