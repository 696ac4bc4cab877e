"""One call of a function, as logs, metrics and traces see it: wrapped around every handler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from adbid.eyes import logs, metrics, traces

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from adbid.eyes.tracing import Call

Event = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")

Handler = Callable[Concatenate[Event, Any, P], R]

_NO_HEADERS: Mapping[str, str] = {}


class observed:
    """For the length of a call: its id is in every line logged, it is a trace, and its metrics leave with it.

    `event` is API Gateway's where it comes from there.
    """

    def __init__(self, service: str, event: Event, request_id: str = "") -> None:
        self._service = service
        http: Event = event.get("requestContext", {})
        self._id = request_id or http.get("requestId", "")
        self._method: str = http.get("http", {}).get("method", "")
        route: str = event.get("routeKey", "")
        self._route = route if " " in route else ""
        self._headers: Mapping[str, str] = event.get("headers") or _NO_HEADERS
        self._call: Call | None = None
        self._span: AbstractContextManager[Call | None]
        self._token: Token[dict[str, str]]

    def __enter__(self) -> observed:
        about: dict[str, str] = {"request_id": self._id}
        if self._method:
            name = self._route or self._method
            said = {"http.request.method": self._method}
            if self._route:
                said["http.route"] = self._route.partition(" ")[2]
        else:
            name, said = self._service, {}
        self._span = traces.call(self._service, name, self._headers, {**said, "adbid.request_id": self._id})
        self._call = self._span.__enter__()
        if self._call is not None:
            about["trace_id"] = self._call.trace_id
        self._token = logs.about.set(about)
        return self

    def answered(self, status: int) -> None:
        """What the caller of an HTTP operation is told."""
        metrics.count("http_responses_total", service=self._service, status=f"{status // 100}xx")
        if self._call is not None:
            self._call.root.attributes["http.response.status_code"] = status
            if status >= 500:
                self._call.root.error = str(status)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            metrics.flush()
            self._span.__exit__(kind, error, trace)
        finally:
            logs.about.reset(self._token)


@contextmanager
def logged(event: Event) -> Iterator[None]:
    """For the length of a call of API Gateway's: its id is in every line logged, and that is all."""
    token = logs.about.set({"request_id": event.get("requestContext", {}).get("requestId", "")})
    try:
        yield
    finally:
        logs.about.reset(token)


def observe(service: str) -> Callable[[Handler[P, R]], Handler[P, R]]:
    """Wraps the handler of a function that nobody calls over HTTP."""

    def wrap(handler: Handler[P, R]) -> Handler[P, R]:
        @wraps(handler)
        def wrapped(event: Event, context: Any, /, *more: P.args, **named: P.kwargs) -> R:
            with observed(service, {}, getattr(context, "aws_request_id", "")):
                return handler(event, context, *more, **named)

        return wrapped

    return wrap
