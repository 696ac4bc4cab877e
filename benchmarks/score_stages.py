"""Where a score's time goes: functions are wrapped for a while, and each is charged with its own time only.

What a wrapped function spends inside another wrapped one is the other's, so the stages add up to the whole.
"""

import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

Place = tuple[Any, str]
"""A module or class, and the name of a function in it."""


class Stages:
    """Microseconds per call and stage, while `watching`."""

    def __init__(self, places: Mapping[str, Sequence[Place]], outermost: str) -> None:
        self._places = places
        self._outermost = outermost
        self._calls: list[dict[str, float]] = []
        self._spent: dict[str, float] = {}
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Wraps the functions for the length of a `with` block."""
        kept = []
        for stage, places in self._places.items():
            for owner, name in places:
                kept.append((owner, name, inspect.getattr_static(owner, name)))
                setattr(owner, name, self._wrapped(getattr(owner, name), stage))
        try:
            yield
        finally:
            for owner, name, function in reversed(kept):
                setattr(owner, name, function)

    def call(self, function: Callable[[], Any]) -> Any:
        """One call whose time is taken apart."""
        self._spent = defaultdict(float)
        self._enter(self._outermost)
        try:
            return function()
        finally:
            self._leave()
            self._calls.append(self._spent)

    def medians(self) -> dict[str, float]:
        """Per stage, of the calls so far."""
        return {
            stage: round(1e6 * median(call.get(stage, 0.0) for call in self._calls), 1)
            for stage in (self._outermost, *self._places)
        }

    def _wrapped(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            async def awaited(*arguments: Any, **named: Any) -> Any:
                self._enter(stage)
                try:
                    return await function(*arguments, **named)
                finally:
                    self._leave()

            return awaited

        def called(*arguments: Any, **named: Any) -> Any:
            self._enter(stage)
            try:
                return function(*arguments, **named)
            finally:
                self._leave()

        return called

    def _enter(self, stage: str) -> None:
        self._charge()
        self._running.append(stage)

    def _leave(self) -> None:
        self._charge()
        self._running.pop()

    def _charge(self) -> None:
        now = time.perf_counter()
        if self._running:
            self._spent[self._running[-1]] += now - self._since
        self._since = now
