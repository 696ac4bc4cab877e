"""Redis commands and SQL statements as spans. Imported only while tracing is on.

A span says which command, or which statement on which tables; never a key, a parameter or the statement.
"""

import re
from typing import Any

from adbid.eyes.tracing import CLIENT, Call, Span, current_call

_VERB = re.compile(r"\s*(\w+)")
_TABLES = re.compile(r"\b(?:FROM|INTO|JOIN|UPDATE)\s+[`\"]?(\w+)", re.IGNORECASE)
_MOST_TABLES = 3

_SPAN = "adbid_span"  # of a statement's execution context


def watch_redis(client: Any) -> None:
    """Wraps one client's commands and the pipelines it makes."""
    execute, pipeline = client.execute_command, client.pipeline

    def execute_command(*command: Any, **options: Any) -> Any:
        return _timed(_name_of(command[0]), 0, execute, *command, **options)

    def watched_pipeline(*arguments: Any, **options: Any) -> Any:
        made = pipeline(*arguments, **options)
        run = made.execute

        def execute_all(*arguments: Any, **options: Any) -> Any:
            return _timed("PIPELINE", len(made), run, *arguments, **options)

        made.execute = execute_all
        return made

    client.execute_command, client.pipeline = execute_command, watched_pipeline


def watch_database(engine: Any) -> None:
    """Listens to one engine's statements."""
    from sqlalchemy import event  # a warm score does without

    system = "sqlite" if engine.dialect.name == "sqlite" else "mysql"

    def before(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: bool) -> None:
        call = current_call()
        if call is not None and context is not None:
            verb, tables = summary(statement)
            name = " ".join([verb, *tables])
            about = {"db.system.name": system, "db.operation.name": verb, "db.query.summary": name}
            setattr(context, _SPAN, (call, call.begin(name, CLIENT, about)))

    def after(_: Any, __: Any, ___: str, ____: Any, context: Any, _____: bool) -> None:
        _finish(context)

    def failed(failure: Any) -> None:
        _finish(failure.execution_context, failure.original_exception)

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


def summary(statement: str) -> tuple[str, list[str]]:
    """What a statement does, and to which tables: `SELECT`, [`brand`, `brand_strategy`]."""
    verb = _VERB.match(statement)
    tables = list(dict.fromkeys(_TABLES.findall(statement)))[:_MOST_TABLES]
    return verb[1].upper() if verb else "SQL", tables


def _finish(context: Any, error: BaseException | None = None) -> None:
    begun: tuple[Call, Span] | None = getattr(context, _SPAN, None)
    if begun:
        call, span = begun
        call.finish(span, error)


def _timed(name: str, size: int, run: Any, *arguments: Any, **options: Any) -> Any:
    call = current_call()
    if call is None:
        return run(*arguments, **options)
    about: dict[str, str | int] = {"db.system.name": "redis", "db.operation.name": name}
    if size:
        about["db.operation.batch.size"] = size
    span = call.begin(name, CLIENT, about)
    error: BaseException | None = None
    try:
        return run(*arguments, **options)
    except BaseException as raised:
        error = raised
        raise
    finally:
        call.finish(span, error)


def _name_of(command: Any) -> str:
    return (command.decode() if isinstance(command, bytes) else str(command)).upper()
