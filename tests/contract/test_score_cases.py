"""Golden cases of POST /api/score: a world, a request and its exact answer, as JSON files to read.

`about` says why the answer is what it is: a changed answer needs a changed reason.
"""

import json
from pathlib import Path

import pytest

from functions.score.app import handler
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

CASES = sorted((Path(__file__).parent / "cases" / "score").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, world: World) -> None:  # noqa: F811
    case = json.loads(path.read_text())
    world.set(case["catalog"])
    world.past(case.get("past", ()))
    answer = handler(http_event("POST", "/api/score", case["request"], claims=case.get("claims")), None)
    assert answer["statusCode"] == case.get("status", 200)
    assert json.loads(answer["body"]) == case["answer"]
