"""Calls of API Gateway's HTTP API (payload format 2.0), as every function takes them."""

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from adbid.eyes.calls import observed
from adbid.web.problems import problem

BODY_LIMIT = 1024 * 1024

Event = dict[str, Any]
Handler = Callable[[Event, Any], Event]


def handler_of(service: str, respond: Handler) -> Handler:
    """The Lambda handler of `service`: each call is observed, and a body over the limit goes no further."""

    def handler(event: Event, context: Any) -> Event:
        with observed(service, event) as call:
            result = respond(event, context) if _body_size(event) <= BODY_LIMIT else _too_large()
            call.answered(result["statusCode"])
        return result

    return handler


def body_of(event: Mapping[str, Any]) -> bytes:
    """The body as it was sent. Raises ValueError where it isn't the base64 that it should be."""
    body: str = event.get("body") or ""
    return b64decode(body) if event.get("isBase64Encoded") else body.encode()


def _too_large() -> Event:
    return problem(413, "body_too_large", f"the body is over {BODY_LIMIT} bytes").event()


def _body_size(event: Mapping[str, Any]) -> int:
    body: str = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return len(body) * 3 // 4 - body[-2:].count("=")
    return len(body) if body.isascii() else len(body.encode())
