"""One FastAPI application and one Lambda handler per function, all alike."""

from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from mangum import Mangum
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException

from adbid.domain import errors
from adbid.web.gateway import Event, Handler, handler_of
from adbid.web.problems import MEDIA_TYPE, invalid, problem, problem_of
from adbid.web.reply import JSON, Reply
from adbid.web.schema import Problem

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}
"""FastAPI's own would show request bodies to whatever listens; `adbid.eyes` says what may be seen."""

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
    _add_problem_handlers(app)
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


def response(reply: Reply) -> Response:
    """A reply as FastAPI sends it."""
    return Response(reply.body, reply.status, dict(reply.headers), reply.media_type)


def responder(app: FastAPI) -> Handler:
    """What answers API Gateway's events with `app`."""

    def respond(event: Event, context: Any) -> Event:
        # Made for each call, in 2 µs, because it sees to the event loop of the thread that it is made in.
        mangum = Mangum(app, lifespan="off", text_mime_types=["text/", JSON, MEDIA_TYPE])
        return mangum(_with_plain_path(event), context)

    return respond


def lambda_handler(app: FastAPI) -> Handler:
    """The Lambda handler of `app`."""
    return handler_of(app.title, responder(app))


def _add_problem_handlers(app: FastAPI) -> None:
    """Turns everything an endpoint may raise into a problem."""

    @app.exception_handler(errors.AdBidError)
    @app.exception_handler(Exception)
    async def _any(_: Request, error: Exception) -> Response:
        return response(problem_of(error))

    @app.exception_handler(RequestValidationError)
    async def _schema(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # FastAPI prefixes where the value came from; the contract names the property alone.
        details = [{**detail, "loc": detail["loc"][1:]} for detail in error.errors()]
        return response(problem_of(invalid(details)))

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = HTTPStatus(error.status_code).name.lower()
        return response(problem(error.status_code, code, str(error.detail), headers=error.headers))


def _with_plain_path(event: Event) -> Event:
    """API Gateway has decoded the path, and Mangum would once more: `50%20` is an id, not `50 `."""
    about = event["requestContext"]
    path = about["http"]["path"]
    if "%" not in path:
        return event
    http = {**about["http"], "path": path.replace("%", "%25")}
    return {**event, "requestContext": {**about, "http": http}}
