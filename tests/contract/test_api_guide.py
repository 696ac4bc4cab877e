"""The examples of docs/api.md, run in order against the real functions."""

import json
import re
from pathlib import Path
from typing import Any

from functions.admin import app as admin
from functions.ingest import app as ingest
from functions.roas import app as roas
from functions.score import app as score
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLE = re.compile(r"```http\n(\w+) (\S+)\n(?:\n(.+?)\n)?```\n\n→ (\d+)\n\n```json\n(.+?)\n```", re.DOTALL)
ANYTHING = "…"
FUNCTIONS = {
    "/api/score": score,
    "/api/performance": ingest,
    "/api/roas": roas,
    "/api/metrics": roas,
    "/api/portfolio": roas,
    "/api/simulate": roas,
    "/api/": admin,
}


def matches(expected: Any, actual: Any) -> bool:
    """Whether `actual` is `expected`, with `…` standing for any value."""
    if expected == ANYTHING:
        return True
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(
            matches(value, actual[k]) for k, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(matches, expected, actual))
    return bool(expected == actual) and type(expected) is type(actual)


def test_every_example_of_the_guide(world: World) -> None:  # noqa: F811

    world.set({"strategies": [{"id": "balanced", "vpi_multiplier": 1}]})
    examples = EXAMPLE.findall(GUIDE.read_text())
    assert len(examples) == GUIDE.read_text().count("```http")
    for method, target, body, status, answer in examples:
        path, _, query = target.partition("?")
        function = next(function for prefix, function in FUNCTIONS.items() if path.startswith(prefix))
        response = function.handler(http_event(method, path, body or None, query=query), None)
        assert response["statusCode"] == int(status), response["body"]
        expected = json.loads(re.sub(r'(?<!")…(?!")', '"…"', answer))
        actual = json.loads(response["body"])
        assert matches(expected, actual), f"{method} {target}\n{json.dumps(actual, indent=1)}"
