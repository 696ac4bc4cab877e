"""template.yaml as CloudFormation sees it: translated by AWS's own code, which lives in .venv-sam.

Run by that environment's Python, it prints {"template": …, "findings": […]}: the translation, and what
cfn-lint has to say of it. Imported by the tests, it runs itself there.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAM_PYTHON = ROOT / ".venv-sam/bin/python"
REGION = "us-east-1"
Resource = dict[str, Any]
INSTALL_SECONDS, RUN_SECONDS = 300, 120


@cache
def sam_python() -> Path:
    """The Python that has the SAM CLI, made where it is missing. Raises CannotBeHad."""
    from tests.support.availability import CannotBeHad

    command = ["make", "--silent", str(SAM_PYTHON.parents[1].relative_to(ROOT) / ".installed")]
    try:
        with open(ROOT / ".gitignore") as lock:  # tests that run side by side would install it at once
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        trouble = "" if made.returncode == 0 else (made.stderr or made.stdout)[-500:]
    except (OSError, subprocess.TimeoutExpired) as error:
        trouble = str(error)
    if trouble and not (SAM_PYTHON.parents[1] / ".installed").is_file():
        raise CannotBeHad(f"the SAM CLI can't be installed: {trouble}")
    return SAM_PYTHON


@cache
def translated() -> tuple[dict[str, Any], list[str]]:
    """The translation, and the lint's findings in it. Raises CannotBeHad."""
    done = run(sam_python(), str(Path(__file__)))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return answer["template"], answer["findings"]


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of .venv-sam, which must not ask AWS anything."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAM_CLI_TELEMETRY": "0",
    }
    return subprocess.run(
        [str(python), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )


def of(resources: dict[str, Resource], kind: str) -> dict[str, Resource]:
    """The resources of a kind, their properties by name."""
    found = {name: one["Properties"] for name, one in resources.items() if one["Type"] == f"AWS::{kind}"}
    assert found, kind
    return found


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a value, those behind conditions included."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


def texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value]


def main() -> None:
    import boto3
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator
    from samtranslator.yaml_helper import yaml_parse

    template = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    for resource in template["Resources"].values():  # what `sam deploy` puts there
        uri = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
        if resource["Type"] in uri:
            resource["Properties"][uri[resource["Type"]]] = "s3://bucket/key"
    session = boto3.Session(region_name=REGION)
    result = Translator({}, Parser(), boto_session=session).translate(template, {})
    text = json.dumps(result, default=str)
    ignored = template["Metadata"]["cfn-lint"]["config"]["ignore_checks"]
    found = lint(text, config=ManualArgs(regions=[REGION], ignore_checks=ignored))
    findings = [f"{one.rule.id} {one.message} {one.path}" for one in found]
    json.dump({"template": json.loads(text), "findings": findings}, sys.stdout)


if __name__ == "__main__":
    main()
