"""The template as AWS sees it, and the packages it would get: made once per session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.package.plan import read_plan
from tests.support import translation
from tests.support.availability import CannotBeHad, not_run
from tests.support.lambda_runtime import built
from tests.support.translation import Resource


@pytest.fixture(scope="session")
def answer() -> tuple[dict[str, Any], list[str]]:
    try:
        return translation.translated()
    except CannotBeHad as reason:
        not_run(f"translation of template.yaml: {reason}")


@pytest.fixture(scope="session")
def template(answer: tuple[dict[str, Any], list[str]]) -> dict[str, Any]:
    return answer[0]


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Resource]:
    found: dict[str, Resource] = template["Resources"]
    return found


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything for the architecture that the template deploys."""
    try:
        return built(tmp_path_factory.mktemp("packages") / "out", read_plan().architecture)
    except CannotBeHad as reason:
        not_run(f"packages: {reason}")
