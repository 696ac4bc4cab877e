"""One FastAPI application and one Lambda handler per function, all alike."""

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from mangum import Mangum
from pydantic import TypeAdapter, ValidationError

from adbid.eyes.calls import observed
from adbid.web.problems import MEDIA_TYPE, Problem, add_problem_handlers, invalid, problem_body

BODY_LIMIT = 1024 * 1024

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own would show request bodies to whatever listens; `adbid.eyes` says what may be seen."""

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]
T = TypeVar("T")

PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}}
    for status in (401, 403, 413, 422, 503)
}


def create_app(title: str) -> FastAPI:
    """A FastAPI application that answers problem+json and serves no documentation of its own."""
    app = FastAPI(
        title=title,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        responses=PROBLEMS,
        telemetry=_NO_TELEMETRY,
    )
    add_problem_handlers(app)
    return app


async def read_body(request: Request, schema: TypeAdapter[T]) -> T:
    """The JSON body as `schema` describes it. Raises Invalid, naming every property at fault."""
    try:
        return schema.validate_json(await request.body())
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_input=False, include_context=False)) from None


def documented(schema: TypeAdapter[Any]) -> dict[str, Any]:
    """The request body as OpenAPI describes it, for an endpoint that reads its body itself."""
    document = schema.json_schema()
    definitions = document.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return inline(definitions[node["$ref"].rpartition("/")[2]])
            return {key: inline(value) for key, value in node.items()}
        return [inline(item) for item in node] if isinstance(node, list) else node

    content = {"application/json": {"schema": inline(document)}}
    return {"requestBody": {"required": True, "content": content}}


def lambda_handler(app: FastAPI) -> Handler:
    """The Lambda handler of `app` for API Gateway HTTP API events (payload format 2.0)."""
    mangum = Mangum(app, lifespan="off", text_mime_types=["text/", "application/json", MEDIA_TYPE])

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        with observed(app.title, event) as call:
            result = respond(event, context)
            call.answered(result["statusCode"])
        return result

    def respond(event: dict[str, Any], context: Any) -> dict[str, Any]:
        if _body_size(event) <= BODY_LIMIT:
            return mangum(_with_plain_path(event), context)
        return {
            "statusCode": 413,
            "headers": {"content-type": MEDIA_TYPE},
            "body": problem_body(413, "body_too_large", f"the body is over {BODY_LIMIT} bytes").decode(),
            "isBase64Encoded": False,
        }

    return handler


def _with_plain_path(event: dict[str, Any]) -> dict[str, Any]:
    """API Gateway has decoded the path, and Mangum would once more: `50%20` is an id, not `50 `."""
    about = event["requestContext"]
    path = about["http"]["path"]
    if "%" not in path:
        return event
    http = {**about["http"], "path": path.replace("%", "%25")}
    return {**event, "requestContext": {**about, "http": http}}


def _body_size(event: dict[str, Any]) -> int:
    body: str = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return len(body) * 3 // 4 - body[-2:].count("=")
    return len(body) if body.isascii() else len(body.encode())
