"""Traces, where a collector is set: OTEL_EXPORTER_OTLP_ENDPOINT. Without one, nothing else is even imported.

A trace begins with a call, or goes on with the caller's (W3C Trace Context); Redis commands and SQL
statements are its children. No address, token, key, parameter or query is in it.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adbid.eyes.tracing import Call, Tracer

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

_OFF: AbstractContextManager[None] = nullcontext()


@cache
def _tracer() -> "Tracer | None":
    if not os.environ.get(ENDPOINT):
        return None
    from adbid.eyes.tracing import Tracer

    return Tracer(os.environ)


def reset() -> None:
    """Reads the environment again."""
    if _tracer.cache_info().currsize and (tracer := _tracer()) is not None:
        tracer.close()
    _tracer.cache_clear()


def call(
    service: str, name: str, headers: Mapping[str, str], attributes: Mapping[str, str]
) -> "AbstractContextManager[Call | None]":
    """A call that `service` serves, sent to the collector at its end; None while tracing is off."""
    tracer = _tracer()
    return _OFF if tracer is None else tracer.call(service, name, headers, attributes)


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A part of the call that is under way."""
    tracer = _tracer()
    return _OFF if tracer is None else tracer.span(name, attributes)


def watch_redis(client: Any) -> None:
    """Makes every command and pipeline of a client, of Redis or of a cluster, a span."""
    if _tracer() is not None:
        from adbid.eyes import instruments

        instruments.watch_redis(client)


def watch_database(engine: Any) -> None:
    """Makes every statement of a SQLAlchemy engine a span."""
    if _tracer() is not None:
        from adbid.eyes import instruments

        instruments.watch_database(engine)
