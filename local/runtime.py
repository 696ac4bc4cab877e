"""Lambda's execution environments, as threads of this process."""

from __future__ import annotations

import asyncio
import importlib
import queue
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.events import ACCOUNT_ID, REGION
from local.template import Function

STOP_SECONDS = 5.0

Handler = Callable[[dict[str, Any], Any], object]


class FunctionTimeout(Exception):
    """The function took longer than the template allows it."""


@dataclass(frozen=True)
class LambdaContext:
    """What Lambda passes to a handler beside the event; `deadline` in seconds of the monotonic clock."""

    function_name: str
    memory_limit_in_mb: int
    invoked_function_arn: str
    deadline: float
    function_version: str = "$LATEST"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    log_group_name: str = ""
    log_stream_name: str = ""
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        """How long the handler may still run."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class Environment:
    """A thread with an event loop of its own (Mangum asks for one) that runs one call at a time."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        # A handler that hangs must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Any]) -> Future[Any]:
        """Run `job` in this environment."""
        future: Future[Any] = Future()
        self._jobs.put((future, job))
        return future

    def stop(self) -> None:
        """End the thread after its present job."""
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait until its thread has ended, so long at most."""
        self._thread.join(max(seconds, 0.0))

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        while (item := self._jobs.get()) is not None:
            future, job = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)
            except SystemExit as error:
                # Ends an environment in Lambda, and must not end the gateway here.
                future.set_exception(RuntimeError(f"the handler called exit({error.code})"))
        loop.close()


class LocalFunction:
    """A function of the template with its environments: as many calls at once as `concurrency` says.

    Each environment has a call for itself, as in Lambda; a call beyond their number waits. They share the
    process's memory, which Lambda's do not.
    """

    def __init__(self, function: Function, concurrency: int) -> None:
        self._function = function
        self._arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function.name}"
        self._idle = [Environment(f"{function.name}-{number}") for number in range(concurrency)]
        self._busy: list[Environment] = []  # also those left to a call that nobody waits for any more
        self._slots = asyncio.Semaphore(concurrency)
        self._handler: Handler | None = None

    def load(self) -> None:
        """Import the handler, in an environment as Lambda does. Raises whatever the import raises."""
        self._handler = self._idle[-1].submit(self._import).result()

    def _import(self) -> Handler:
        module, _, attribute = self._function.handler.rpartition(".")
        handler: Handler = getattr(importlib.import_module(module), attribute)
        return handler

    async def invoke(self, event: dict[str, Any]) -> object:
        """Call the handler. Raises `FunctionTimeout`, or whatever the handler raises."""
        if self._handler is None:
            raise RuntimeError(f"{self._function.name} is not loaded")
        async with self._slots:
            environment = self._idle.pop()
            self._busy.append(environment)
            call = environment.submit(partial(self._handler, event, self._context()))
            try:
                async with asyncio.timeout(self._function.timeout):
                    result: object = await asyncio.wrap_future(call)
                    return result
            except TimeoutError:
                if call.done():
                    raise  # the handler's own
                raise FunctionTimeout(f"{self._function.name} took over {self._function.timeout} s") from None
            finally:
                if not call.done():
                    # A thread cannot be ended: leave it to its hung call and take a new one.
                    environment.stop()
                    environment = Environment(f"{self._function.name}-again")
                else:
                    self._busy.remove(environment)
                self._idle.append(environment)

    def close(self) -> None:
        """End the environments; a call that has begun may end, within STOP_SECONDS.

        What it uses may be taken away then.
        """
        ending = [*self._idle, *self._busy]
        for environment in ending:
            environment.stop()
        end = time.monotonic() + STOP_SECONDS
        for environment in ending:
            environment.join(end - time.monotonic())

    def _context(self) -> LambdaContext:
        return LambdaContext(
            function_name=self._function.name,
            memory_limit_in_mb=self._function.memory,
            invoked_function_arn=self._arn,
            deadline=time.monotonic() + self._function.timeout,
        )
