"""HTTP to API Gateway's events (payload format 2.0) and a function's answer back to HTTP."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

Headers = list[tuple[bytes, bytes]]

API_ID = "local"
ACCOUNT_ID = "000000000000"
REGION = "local"
LARGEST_ANSWER = 6 * 1024 * 1024
"""Bytes that Lambda takes as the answer of a synchronous call."""

# API Gateway hands these over as text and everything else, a missing content type included, in base64.
TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})


class BadAnswer(ValueError):
    """What the function returned is no answer that API Gateway could send."""


@dataclass(frozen=True)
class Request:
    """An HTTP request: `path` decoded, `query` as it was sent, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    client: str


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Headers
    body: bytes


def message(status: int, text: str) -> Answer:
    """An answer in API Gateway's own words: `{"message": "Not Found"}`."""
    return Answer(status, [(b"content-type", b"application/json")], json.dumps({"message": text}).encode())


def request_event(
    request: Request, route_key: str, parameters: Mapping[str, str], request_id: str, now: float
) -> dict[str, Any]:
    """The event that a function gets. What is absent is left out, as API Gateway does."""
    headers, cookies = _headers(request.headers)
    host = headers.get("host", "localhost")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": host,
            "domainPrefix": host.split(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.client,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route_key,
            "stage": "$default",
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(now * 1000),
        },
        "isBase64Encoded": False,
    }
    if cookies:
        event["cookies"] = cookies
    if request.query:
        event["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    if parameters:
        event["pathParameters"] = dict(parameters)
    if request.body:
        event["body"], event["isBase64Encoded"] = _body(request.body, headers.get("content-type", ""))
    return event


def authorizer_event(event: dict[str, Any], identity: tuple[str, ...]) -> dict[str, Any]:
    """The event that a Lambda authorizer gets for a request: everything but its body."""
    route = event["routeKey"].replace(" ", "", 1)
    return {
        **{name: value for name, value in event.items() if name not in ("body", "isBase64Encoded")},
        "type": "REQUEST",
        "routeArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{API_ID}/$default/{route}",
        "identitySource": list(identity),
    }


def answer(result: object) -> Answer:
    """The response for what a function returned. Raises `BadAnswer`."""
    if not isinstance(result, dict) or "statusCode" not in result:
        # API Gateway takes anything else for the body of a 200.
        body = result if isinstance(result, str) else json.dumps(result)
        return Answer(200, [(b"content-type", b"application/json")], body.encode())
    try:
        status = int(result["statusCode"])
        text = result.get("body") or ""
        encoded = result.get("isBase64Encoded", False)
        content = base64.b64decode(text, validate=True) if encoded else text.encode()
        headers = [
            (str(name).lower().encode("latin-1"), str(value).encode("latin-1"))
            for name, value in (result.get("headers") or {}).items()
        ]
        cookies = [(b"set-cookie", str(cookie).encode("latin-1")) for cookie in result.get("cookies") or ()]
    except (AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise BadAnswer(f"not an answer: {error}") from error
    if not 100 <= status <= 599:
        raise BadAnswer(f"not a status: {status}")
    if len(content) > LARGEST_ANSWER:
        raise BadAnswer(f"the answer has {len(content)} bytes, more than Lambda's {LARGEST_ANSWER}")
    kept = [(name, value) for name, value in headers if name not in (b"content-length", b"connection")]
    if not any(name == b"content-type" for name, _ in kept):
        kept.append((b"content-type", b"text/plain;charset=UTF-8"))
    return Answer(status, kept + cookies, content)


def _headers(sent: Headers) -> tuple[dict[str, str], list[str]]:
    """Headers with repeated ones joined by commas, and the cookies, which API Gateway takes out of them."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent]
    cookies = [part.strip() for name, value in pairs if name == "cookie" for part in value.split(";")]
    return _joined(pair for pair in pairs if pair[0] != "cookie"), [cookie for cookie in cookies if cookie]


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _body(body: bytes, content_type: str) -> tuple[str, bool]:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("text/") or media_type in TEXT_TYPES:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # An event is JSON and cannot hold these bytes; base64 keeps them as they are.
    return base64.b64encode(body).decode(), True
