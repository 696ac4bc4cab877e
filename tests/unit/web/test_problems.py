"""Problems: every error of the product as RFC 9457 says, whatever goes wrong behind the endpoint."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import Request
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException

from adbid.domain import errors
from adbid.web.app import create_app, lambda_handler, read_body
from adbid.web.gateway import BODY_LIMIT, Handler
from adbid.web.problems import MEDIA_TYPE, STATUS, field_errors, property_path
from tests.support.world import http_event

CODED = [
    (errors.Invalid("bad", "no good", property="bids[3].amount"), 422, "Unprocessable Content"),
    (errors.Unauthorized("unauthorized", "who?"), 401, "Unauthorized"),
    (errors.Forbidden("insufficient_scope", "no"), 403, "Forbidden"),
    (errors.NotFound("not_found", "nowhere"), 404, "Not Found"),
    (errors.Conflict("id_exists", "again"), 409, "Conflict"),
    (errors.PreconditionFailed("version_mismatch", "changed"), 412, "Precondition Failed"),
    (errors.TooLarge("body_too_large", "much"), 413, "Content Too Large"),
    (errors.PreconditionRequired("if_match_required", "which?"), 428, "Precondition Required"),
    (errors.Unavailable("database_busy", "later", retry_after=7), 503, "Service Unavailable"),
]


def function(raised: Exception | None = None) -> Handler:
    """A function with one endpoint, which echoes its body or raises."""
    app = create_app("test")

    @app.post("/echo")
    async def echo(request: Request, number: int = 0) -> Any:
        if raised is not None:
            raise raised
        return await read_body(request, TypeAdapter(Any))

    return lambda_handler(app)


def answer(event: dict[str, Any], raised: Exception | None = None) -> dict[str, Any]:
    """What it answers."""
    return function(raised)(event, None)


def problem(event: dict[str, Any], raised: Exception | None = None) -> dict[str, Any]:
    """The problem it answers with, its form checked."""
    found = answer(event, raised)
    assert found["headers"]["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = json.loads(found["body"])
    assert list(body) == ["type", "title", "status", "detail", "errors"]
    assert body["status"] == found["statusCode"]
    assert body["type"].startswith("urn:adbid:problem:")
    assert not found["isBase64Encoded"]
    return {**body, "headers": found["headers"]}


POST = http_event("POST", "/echo", {})


def test_any_thread_may_call() -> None:
    """Also one without an event loop, though another was there before."""
    handler = function()

    def call() -> int:
        status: int = handler(POST, None)["statusCode"]
        asyncio.get_event_loop().close()
        return status

    assert handler(POST, None)["statusCode"] == 200
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(call).result() == 200


def test_every_coded_error_has_a_status() -> None:
    assert (
        {type(error) for error, _, _ in CODED}
        == set(STATUS)
        == set(errors.AdBidError.__subclasses__()) & set(STATUS)
    )


@pytest.mark.parametrize(("error", "status", "title"), CODED, ids=lambda value: str(value)[:20])
def test_coded_errors(error: errors.AdBidError, status: int, title: str) -> None:
    said = problem(POST, error)
    assert (said["status"], said["title"], said["detail"]) == (status, title, error.message)
    assert said["type"] == f"urn:adbid:problem:{error.code}"
    listed = [{"property": f.property, "code": f.code, "message": f.message} for f in error.fields]
    assert said["errors"] == listed


def test_when_to_try_again_and_how_to_sign_in() -> None:
    assert problem(POST, CODED[-1][0])["headers"]["retry-after"] == "7"
    assert "invalid_token" in problem(POST, CODED[1][0])["headers"]["www-authenticate"]


@pytest.mark.parametrize(
    "error", [RuntimeError("password=hunter2"), KeyError("x"), HTTPException(418, "tea")]
)
def test_what_nobody_foresaw_is_a_problem_too(error: Exception) -> None:
    said = problem(POST, error)
    assert said["status"] == (418 if isinstance(error, HTTPException) else 500)
    assert "hunter2" not in json.dumps(said)


def test_what_the_framework_refuses() -> None:
    assert problem(http_event("POST", "/nowhere", {}))["type"] == "urn:adbid:problem:not_found"
    wrong = problem(http_event("GET", "/echo"))
    assert (wrong["status"], wrong["headers"]["allow"]) == (405, "POST")
    query = problem(http_event("POST", "/echo", {}, query="number=many"))
    assert (query["status"], query["errors"][0]["property"]) == (422, "number")


@pytest.mark.parametrize(
    "body",
    ["", "{", "nul", '{"a": 1,}', "[" * 100_000, '"\\ud800"', "9" * 5000, b"\xff\xfe", b'"\xc3('],
    ids=lambda body: repr(body[:8]),
)
def test_what_is_no_json(body: str | bytes) -> None:
    event = http_event("POST", "/echo", "")
    if isinstance(body, bytes):
        import base64

        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    else:
        event |= {"body": body}
    said = problem(event)
    assert (said["status"], said["errors"][0]["property"]) == (422, "")


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("letter", ["x", "ü", "€", "😀"])
def test_the_limit_is_one_mebibyte_to_the_byte(encoded: bool, letter: str) -> None:
    import base64

    def sent(size: int) -> dict[str, Any]:
        width = len(letter.encode())
        inner = size - 2
        text = '"' + letter * (inner // width) + "x" * (inner % width) + '"'
        assert len(text.encode()) == size
        body = base64.b64encode(text.encode()).decode() if encoded else text
        return http_event("POST", "/echo", "") | {"body": body, "isBase64Encoded": encoded}

    for size in (BODY_LIMIT - 1, BODY_LIMIT):
        assert answer(sent(size))["statusCode"] == 200
    for size in (BODY_LIMIT + 1, BODY_LIMIT + 2, BODY_LIMIT + 3):
        assert problem(sent(size))["status"] == 413


@pytest.mark.parametrize(
    ("location", "path"),
    [(("bids", 3, "amount"), "bids[3].amount"), ((), ""), (("id",), "id"), ((0, 1), "[0][1]")],
)
def test_property_paths(location: tuple[int | str, ...], path: str) -> None:
    assert property_path(location) == path


def test_one_entry_per_property() -> None:
    union = [
        {"loc": ("amount", "constrained-float"), "type": "float_type", "msg": "no number"},
        {"loc": ("amount", "str"), "type": "string_type", "msg": "no string"},
    ]
    assert [(f.property, f.code) for f in field_errors(union)] == [("amount", "float_type")]


@pytest.mark.parametrize("name", ["str", "float", "constrained-x", "function-after", "a.b"])
def test_a_property_nobody_knows_is_named_as_it_was_sent(name: str) -> None:
    unknown = [{"loc": ("bids", 0, name), "type": "extra_forbidden", "msg": "unknown"}]
    assert [f.property for f in field_errors(unknown)] == [f"bids[0].{name}"]
