"""Lambda's Runtime API for one execution environment, as the runtime's client speaks it."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PREFIX = "/2018-06-01/runtime/"


class FunctionError(Exception):
    """The function raised; the message is what Lambda would show."""


@dataclass
class _Call:
    """One invocation: its event, and the answer once it is there."""

    event: bytes
    seconds: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = 0.0
    ended: float = 0.0
    answer: Any = None
    error: str | None = None
    done: threading.Event = field(default_factory=threading.Event)


class RuntimeApi:
    """`address` for the client; `ready` is when it first asked for an event, by the monotonic clock."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.address = f"127.0.0.1:{server.server_address[1]}"
        self.ready: float | None = None
        self.failure: str | None = None
        self._waiting: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._calls: dict[str, _Call] = {}

    def invoke(self, event: Any, timeout: float, alive: Callable[[], bool]) -> tuple[Any, float]:
        """The function's answer and how many seconds it took. Raises FunctionError, also if it dies."""
        call = _Call(json.dumps(event).encode(), timeout)
        self._calls[call.id] = call
        self._waiting.put(call)
        latest = time.monotonic() + timeout
        while not call.done.wait(0.2):
            if not alive():
                raise FunctionError("the runtime has died")
            if time.monotonic() > latest:
                raise FunctionError(f"no answer within {timeout:.0f} s")
        if call.error is not None:
            raise FunctionError(call.error)
        return call.answer, call.ended - call.started

    def next_call(self) -> _Call:
        """What the client is to do next; waits for it."""
        if self.ready is None:
            self.ready = time.monotonic()
        call = self._waiting.get()
        call.started = time.monotonic()
        return call

    def end(self, path: str, body: bytes) -> None:
        """Take what the client posts: an answer, an error, or that it couldn't even start."""
        now = time.monotonic()
        if path == "init/error":
            self.failure = body.decode()
            return
        _, name, kind = path.split("/")
        call = self._calls.pop(name)
        call.ended = now
        if kind == "response":
            call.answer = json.loads(body)
        else:
            call.error = body.decode()
        call.done.set()


@contextmanager
def runtime_api() -> Iterator[RuntimeApi]:
    """A Runtime API on a free port of 127.0.0.1."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False  # the client hangs in `next` to the end

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            call = api.next_call()
            deadline = str(int((time.time() + call.seconds) * 1000))
            self._answer(
                200,
                call.event,
                {
                    "Content-Type": "application/json",
                    "Lambda-Runtime-Aws-Request-Id": call.id,
                    "Lambda-Runtime-Deadline-Ms": deadline,
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-west-1:000000000000:function:f",
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            api.end(self.path.removeprefix(PREFIX), body)
            self._answer(202, b"{}", {})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        api = RuntimeApi(server)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
