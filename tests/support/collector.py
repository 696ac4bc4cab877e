"""A small OpenTelemetry collector: takes traces by OTLP over HTTP in JSON, and keeps them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Collector:
    """What was received. `status`: what it answers from now on."""

    url: str = ""
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def spans(self) -> list[dict[str, Any]]:
        """Every span, its attributes as a dict and its resource's under `resource`."""
        return [
            {
                **span,
                "attributes": _attributes(span["attributes"]),
                "resource": _attributes(resource["resource"]["attributes"]),
            }
            for body in self.bodies
            for resource in json.loads(body)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]


@contextmanager
def collector() -> Iterator[Collector]:
    """One on a free port of 127.0.0.1, for the length of a `with` block."""
    received = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one packet: the second would wait for the first to be acknowledged

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.bodies.append(body)
            received.headers.append({name.lower(): value for name, value in self.headers.items()})
            received.paths.append(self.path)
            self.send_response(received.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def _attributes(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in listed}
