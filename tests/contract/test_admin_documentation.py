"""The one OpenAPI document, and the page that shows it."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from functions.admin.app import RESOURCES, handler
from local.openapi import DOCUMENT, applications, merged, text_of
from tests.support.world import http_event

API = json.loads(DOCUMENT.read_text())
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method.upper()} {path}")
    for path, methods in API["paths"].items()
    for method, operation in methods.items()
]


def get(path: str) -> dict[str, Any]:
    event = http_event("GET", path)
    del event["requestContext"]["authorizer"]  # these need no token
    answer = handler(event, None)
    assert answer["statusCode"] == 200
    return answer


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from nodes(item)


def test_the_document_is_up_to_date() -> None:
    """Fails after a change of any endpoint or model: run `python -m local.openapi`."""
    assert DOCUMENT.read_text(encoding="utf-8") == text_of(merged(applications()))


def test_the_document_is_served() -> None:
    answer = get("/openapi.json")
    assert answer["headers"]["content-type"] == "application/json"
    assert json.loads(answer["body"]) == API


def test_every_reference_leads_somewhere() -> None:
    references = {node["$ref"] for node in nodes(API) if isinstance(node.get("$ref"), str)}
    assert references
    for reference in references:
        at = API
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_operation_ids_differ() -> None:
    ids = [operation["operationId"] for methods in API["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_says_who_may_call_and_what_comes_back(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    statuses = set(operation["responses"])
    if path == "/healthz":
        assert operation["security"] == []
        return
    (scheme,) = operation["security"]
    assert set(scheme["bearer"]) <= {"brand", "partner", "admin", "metrics"}
    assert scheme["bearer"]
    assert {"401", "403", "422", "503"} <= statuses
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            assert answer == {"$ref": f"#/components/responses/problem{status}"}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_what_is_sent_comes_with_an_example(path: str, method: str, operation: dict[str, Any]) -> None:
    if method not in ("post", "put") or path.endswith("/rollback"):  # that takes no body
        return
    content = operation["requestBody"]["content"]["application/json"]
    assert content.get("example") or content["schema"].get("example")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind.name)
def test_the_examples_of_admin_objects_are_valid(resource: Any) -> None:
    content = API["paths"][resource.path]["post"]["requestBody"]["content"]["application/json"]
    resource.body.validate_json(json.dumps(content["schema"]["example"]))


def test_the_page_loads_nothing_from_elsewhere_and_runs_its_own_script_only() -> None:
    answer = get("/docs")
    page, policy = answer["body"], answer["headers"]["content-security-policy"]
    assert answer["headers"]["content-type"].startswith("text/html")
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    assert not re.findall(r"\son\w+=", page.partition("<script>")[0])
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_policy_lets_the_page_s_own_script_run() -> None:
    answer = get("/docs")
    script = answer["body"].split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in answer["headers"]["content-security-policy"]
