"""An HTTP API on this machine: routes and authorizer out of template.yaml, handlers called in process.

Answers what API Gateway answers by itself in its own words, and leaves the rest to the functions. What it has
that API Gateway has not: documents of the local run, such as the local issuer's key set, and the dashboard.
"""

from __future__ import annotations

import base64
import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import uvicorn

from local.events import Answer, Request, answer, authorizer_event, message, request_event
from local.routing import Router
from local.runtime import LocalFunction
from local.template import Authorizer, load_template, read_api

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"
HOST = "127.0.0.1"
LARGEST_BODY = 10 * 1000 * 1000
LARGEST_HEAD = 10_240
CACHED_CALLERS = 1024

logger = logging.getLogger("local.gateway")

Scope = Mapping[str, Any]
Receive = Callable[[], Any]
Send = Callable[[dict[str, Any]], Any]

LOOPBACK = ("127.0.0.1", "::1")
OPEN_HERE = {"GET /metrics": {"sub": "this machine", "scope": "metrics", "exp": "4102444800"}}
"""Routes that callers of this machine may use without a token, and whom the function then sees."""

NOT_FOUND = message(404, "Not Found")
UNAUTHORIZED = message(401, "Unauthorized")
FORBIDDEN = message(403, "Forbidden")
BODY_TOO_LARGE = message(413, "Request Entity Too Large")
HEAD_TOO_LARGE = message(431, "Request Header Fields Too Large")
FAILED = message(500, "Internal Server Error")


class ClientGone(Exception):
    """The client hung up before its request was whole."""


class Gateway:
    """The ASGI application. Call `load` before the first request.

    `documents` are JSON bodies and `pages` whole answers by path, served without a route; pages may be added
    while it serves. `concurrency` is how many calls of one function run at the same time.
    """

    def __init__(
        self,
        template: Path = TEMPLATE,
        *,
        documents: Mapping[str, bytes] | None = None,
        pages: Mapping[str, Answer] | None = None,
        concurrency: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        api = read_api(load_template(template))
        self._router = Router(api.routes)
        self._functions = {function: LocalFunction(function, concurrency) for function in api.functions}
        self._decisions = DecisionCache(CACHED_CALLERS)
        self._documents = dict(documents or {})
        self._pages = {} if pages is None else pages
        self._clock = clock

    def load(self) -> None:
        """Import every function, so that what is wrong shows at the start. Raises what an import raises."""
        for function in self._functions.values():
            function.load()

    def close(self) -> None:
        """End the functions' threads."""
        for function in self._functions.values():
            function.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request (ASGI 3)."""
        request_id = base64.b64encode(os.urandom(11)).decode()
        try:
            body = await _read(receive)
        except ClientGone:
            return
        try:
            response = await self._respond(scope, body, request_id)
        except Exception:
            logger.exception("request %s failed", request_id)
            response = FAILED
        headers = [*response.headers, (b"apigw-requestid", request_id.encode())]
        if response.status >= 200 and response.status not in (204, 304):
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        content = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": content})

    async def _respond(self, scope: Scope, body: bytes | None, request_id: str) -> Answer:
        if _head_size(scope) > LARGEST_HEAD:
            return HEAD_TOO_LARGE
        if body is None:
            return BODY_TOO_LARGE
        # API Gateway decodes the path, escaped slashes included, before it chooses a route.
        path = unquote_to_bytes(scope["raw_path"]).decode("utf-8", "replace")
        document = self._documents.get(path)
        if document is not None and scope["method"] in ("GET", "HEAD"):
            return Answer(200, [(b"content-type", b"application/json")], document)
        page = self._pages.get(path)
        if page is not None and scope["method"] in ("GET", "HEAD"):
            return page
        found = self._router.match(scope["method"], path)
        if found is None:
            return NOT_FOUND
        route, parameters = found
        client = (scope.get("client") or (HOST, 0))[0]
        query = scope["query_string"].decode("latin-1")
        request = Request(scope["method"], path, query, scope["headers"], body, client)
        event = request_event(request, route.key, parameters, request_id, self._clock())
        if route.authorizer is not None:
            caller = OPEN_HERE.get(route.key)
            if caller and client in LOOPBACK and "authorization" not in event["headers"]:
                event["requestContext"]["authorizer"] = {"lambda": dict(caller)}
            elif (refusal := await self._authorize(route.authorizer, event)) is not None:
                return refusal
        return answer(await self._functions[route.function].invoke(event))

    async def _authorize(self, authorizer: Authorizer, event: dict[str, Any]) -> Answer | None:
        """Put the caller's context into the event, or answer for the authorizer."""
        identity = tuple(event["headers"].get(header, "") for header in authorizer.headers)
        if not all(identity):
            return UNAUTHORIZED
        key, now = (authorizer.function.name, *identity), self._clock()
        decision = self._decisions.get(key, now)
        if decision is None:
            result = await self._functions[authorizer.function].invoke(authorizer_event(event, identity))
            if not isinstance(result, dict) or not isinstance(result.get("isAuthorized"), bool):
                raise TypeError("the authorizer must answer isAuthorized as true or false")
            decision = result
            self._decisions.put(key, decision, now + authorizer.ttl)
        if not decision["isAuthorized"]:
            return FORBIDDEN
        event["requestContext"]["authorizer"] = {"lambda": decision.get("context") or {}}
        return None


class DecisionCache:
    """The authorizer's answers by identity, as API Gateway keeps them: for all routes alike."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[tuple[str, ...], tuple[float, dict[str, Any]]] = OrderedDict()

    def get(self, identity: tuple[str, ...], now: float) -> dict[str, Any] | None:
        """The answer that still holds at `now`, or None."""
        entry = self._entries.get(identity)
        if entry is None or now >= entry[0]:
            return None
        self._entries.move_to_end(identity)
        return entry[1]

    def put(self, identity: tuple[str, ...], decision: dict[str, Any], until: float) -> None:
        """Keep an answer up to the time `until`."""
        self._entries[identity] = until, decision
        self._entries.move_to_end(identity)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)


class LocalServer:
    """The gateway on a port of 127.0.0.1, 0 for a free one. Raises `OSError` when the port is taken.

    It has the port from its making on, until it has served or is closed; leaving `with` closes it.
    """

    def __init__(self, gateway: Gateway, port: int = 0) -> None:
        self._gateway = gateway
        # Named as TCP, so that asyncio turns Nagle's algorithm off: it would cost 40 ms an answer.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        config = uvicorn.Config(
            gateway,
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(config)

    def close(self) -> None:
        """Give the port back, and end the functions' threads."""
        self._socket.close()
        self._gateway.close()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Serve in this thread until SIGINT or SIGTERM."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.close()

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve in another thread for the length of a `with` block, which gets the URL."""
        thread = threading.Thread(target=self.serve, name="gateway", daemon=True)
        thread.start()
        try:
            while not self._server.started:
                if not thread.is_alive():
                    raise RuntimeError("the gateway did not start")
                time.sleep(0.005)
            yield self.url
        finally:
            self._server.should_exit = True
            thread.join(timeout=10)


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None when it is too large, and then it is read to its end all the same.

    Otherwise a client that is still sending would see a broken connection and never the answer.
    """
    chunks, size, more = [], 0, True
    while more:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise ClientGone
        chunk = part.get("body", b"")
        size += len(chunk)
        if size <= LARGEST_BODY:
            chunks.append(chunk)
        more = part.get("more_body", False)
    return b"".join(chunks) if size <= LARGEST_BODY else None


def _head_size(scope: Scope) -> int:
    size = len(scope["method"]) + len(scope["raw_path"]) + len(scope["query_string"])
    return size + sum(len(name) + len(value) for name, value in scope["headers"])
