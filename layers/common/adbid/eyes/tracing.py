"""Spans of the call that is under way, and their way out at its end.

Times are epoch nanoseconds. A span is recorded when it ends; at most `MOST_SPANS` a call, of a night's
thousands of statements the first ones.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from adbid.eyes.otlp import Exporter

MOST_SPANS = 500

INTERNAL, SERVER, CLIENT = 1, 2, 3  # SpanKind

Value = str | int

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass
class Span:
    """One piece of work. `parent_id` is "" for the first of a trace; `error` the kind of what it raised."""

    name: str
    kind: int
    span_id: str
    parent_id: str
    start: int
    end: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str = ""


@dataclass
class Call:
    """A call under way, and the spans of it that have ended. `current`: which one the next is part of."""

    service: str
    trace_id: str
    root: Span
    sampled: bool
    spans: list[Span] = field(default_factory=list)
    dropped: int = 0

    def begin(self, name: str, kind: int, attributes: Mapping[str, Value]) -> Span:
        """A span that isn't recorded before `finish`."""
        parent = _current.get(self.root)
        return Span(name, kind, _hex(8), parent.span_id, time.time_ns(), attributes=dict(attributes))

    def finish(self, span: Span, error: BaseException | None = None) -> None:
        """Records a span as ended now, by `error` where there is one."""
        span.end = max(time.time_ns(), span.start)
        span.error = "" if error is None else type(error).__name__
        if len(self.spans) < MOST_SPANS:
            self.spans.append(span)
        else:
            self.dropped += 1


_call: ContextVar[Call | None] = ContextVar("call", default=None)
_current: ContextVar[Span] = ContextVar("span")


def current_call() -> Call | None:
    """The call under way, where it is traced."""
    call = _call.get()
    return call if call is not None and call.sampled else None


class Tracer:
    """Records calls and sends them. `environment`: OpenTelemetry's own variables.

    OTEL_TRACES_SAMPLER_ARG is the share of calls that are traced, unless the caller has decided.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._exporter = Exporter(environment)
        self._share = min(max(_float(environment.get("OTEL_TRACES_SAMPLER_ARG"), 1.0), 0.0), 1.0)

    def close(self) -> None:
        self._exporter.close()

    @contextmanager
    def call(
        self, service: str, name: str, headers: Mapping[str, str], attributes: Mapping[str, Value]
    ) -> Iterator[Call]:
        """The root of this system's part of a trace."""
        trace_id, parent_id, sampled = self._begun(headers.get("traceparent", ""))
        kind = SERVER if headers else INTERNAL
        root = Span(name, kind, _hex(8), parent_id, time.time_ns(), attributes=dict(attributes))
        call = Call(service, trace_id, root, sampled)
        before_call, before_span = _call.set(call), _current.set(root)
        error: BaseException | None = None
        try:
            yield call
        except BaseException as raised:
            error = raised
            raise
        finally:
            _call.reset(before_call)
            _current.reset(before_span)
            if sampled:
                self._send(call, error)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Value]) -> Iterator[None]:
        call = current_call()
        if call is None:
            yield
            return
        span = call.begin(name, INTERNAL, attributes)
        before = _current.set(span)
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            _current.reset(before)
            call.finish(span, error)

    def _begun(self, traceparent: str) -> tuple[str, str, bool]:
        """Trace, parent and whether it is recorded: the caller's where it says so in W3C's form."""
        found = _TRACEPARENT.fullmatch(traceparent.strip())
        if found is not None:
            version, trace_id, parent_id, flags, more = found.groups()
            known = version != "ff" and not (version == "00" and more)
            if known and trace_id != _NO_TRACE and parent_id != _NO_SPAN:
                return trace_id, parent_id, bool(int(flags, 16) & 1)
        trace_id = _hex(16)
        return trace_id, "", int(trace_id[16:], 16) < self._share * 2**64

    def _send(self, call: Call, error: BaseException | None) -> None:
        if call.dropped:
            call.root.attributes["adbid.dropped_spans"] = call.dropped
        root = call.root
        root.end = max(time.time_ns(), root.start)
        root.error = root.error or ("" if error is None else type(error).__name__)
        self._exporter.send(call.service, call.trace_id, [root, *call.spans])


def _hex(size: int) -> str:
    return os.urandom(size).hex()  # as good after a snapshot of the process as before


def _float(text: str | None, otherwise: float) -> float:
    try:
        return float(text) if text else otherwise
    except ValueError:
        return otherwise
