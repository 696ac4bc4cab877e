"""Functions called on time, as EventBridge Scheduler calls them: those that run every so many minutes."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from local.runtime import STOP_SECONDS, LocalFunction
from local.template import Schedule

MINUTE = 60.0

logger = logging.getLogger("local.schedule")


class Scheduler:
    """Calls each schedule's function at once and then at its rate. Call `load` before `running`.

    The functions have environments of their own here, one a schedule, so that requests need not wait for
    them. A call that takes longer than its rate puts off the next one; AWS would start that beside it.
    `minute` is how many seconds a minute has.
    """

    def __init__(self, schedules: Sequence[Schedule], *, minute: float = MINUTE) -> None:
        self._calls = [(schedule, LocalFunction(schedule.function, 1)) for schedule in schedules]
        self._minute = minute

    def load(self) -> None:
        """Import every function. Raises what an import raises."""
        for _, function in self._calls:
            function.load()

    def close(self) -> None:
        """End the functions' threads."""
        for _, function in self._calls:
            function.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Call them from another thread for the length of a `with` block; a call that has begun may end."""
        if not self._calls:
            yield
            return
        loop, stop = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=self._serve, args=(loop, stop), name="scheduler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with suppress(RuntimeError):  # its thread has failed
                loop.call_soon_threadsafe(stop.set)
            thread.join(STOP_SECONDS)

    def _serve(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        async def serve() -> None:
            await asyncio.gather(*[self._repeat(schedule, call, stop) for schedule, call in self._calls])

        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    async def _repeat(self, schedule: Schedule, function: LocalFunction, stop: asyncio.Event) -> None:
        loop, rate = asyncio.get_running_loop(), schedule.minutes * self._minute
        due = loop.time()
        while not stop.is_set():
            try:
                await function.invoke(json.loads(schedule.payload))
            except Exception:
                if not stop.is_set():  # what it uses may be gone by then
                    logger.exception("%s failed", schedule.name)
            due = max(due + rate, loop.time())
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), due - loop.time())
