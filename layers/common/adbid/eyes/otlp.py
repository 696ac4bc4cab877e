"""Spans to a collector by OTLP over HTTP, in its JSON encoding (opentelemetry.io/docs/specs/otlp).

Sent before the call ends, because Lambda runs nothing between calls. A collector that doesn't answer within
its time is left alone for a while; those spans are lost, and the call goes on as if nothing were.
"""

import http.client
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from adbid.eyes.tracing import Span

TIMEOUT = 1.0  # seconds
LEFT_ALONE_SECONDS = 30.0

_ERROR = 2  # StatusCode

_logger = logging.getLogger(__name__)


class Exporter:
    """One collector, at OTEL_EXPORTER_OTLP_ENDPOINT, with OTEL_EXPORTER_OTLP_HEADERS (`name=value,…`)."""

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        address = urlsplit(environment["OTEL_EXPORTER_OTLP_ENDPOINT"])
        secure = address.scheme == "https"
        self._connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._port = address.hostname or "", address.port
        self._path = address.path.rstrip("/") + "/v1/traces"
        self._headers = {"content-type": "application/json"}
        for one in environment.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(","):
            name, equals, value = one.partition("=")
            if equals:
                self._headers[name.strip().lower()] = unquote(value.strip())
        self._clock = clock
        self._left_alone_until = float("-inf")
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()  # for a process that serves several calls at once: the local run

    def send(self, service: str, trace_id: str, spans: Sequence["Span"]) -> bool:
        """Whether the collector has taken the spans. Never raises."""
        if self._clock() < self._left_alone_until:
            return False
        body = json.dumps(document(service, trace_id, spans)).encode()
        with self._lock:
            problem = self._attempt(body)
            if problem:
                self.close()
                self._left_alone_until = self._clock() + LEFT_ALONE_SECONDS
                _logger.warning("traces are lost, the collector can't be reached: %s", problem)
        return not problem

    def _attempt(self, body: bytes) -> str:
        """What went wrong, if anything."""
        reused = self._connection is not None
        try:
            try:
                status = self._post(body)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                if not reused:  # else the collector has only closed what was idle
                    raise
                self.close()
                status = self._post(body)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        return "" if 200 <= status < 300 else f"status {status}"

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes) -> int:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect(self._host, self._port, timeout=TIMEOUT)
        connection.request("POST", self._path, body, self._headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def document(service: str, trace_id: str, spans: Sequence["Span"]) -> dict[str, Any]:
    """An ExportTraceServiceRequest: ids in hexadecimal, 64-bit numbers as text."""
    resource = {"service.namespace": "adbid", "service.name": service, "telemetry.sdk.language": "python"}
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeSpans": [{"scope": {"name": "adbid"}, "spans": [_span(trace_id, s) for s in spans]}],
            }
        ]
    }


def _span(trace_id: str, span: "Span") -> dict[str, Any]:
    attributes = {**span.attributes, **({"error.type": span.error} if span.error else {})}
    written = {
        "traceId": trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": _attributes(attributes),
        "status": {"code": _ERROR} if span.error else {},
    }
    return written | ({"parentSpanId": span.parent_id} if span.parent_id else {})


def _attributes(values: Mapping[str, str | int]) -> list[dict[str, Any]]:
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in values.items()
    ]
