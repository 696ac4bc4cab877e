"""What a test counts of the work that the product gives its database."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from adbid import wiring


@contextmanager
def queries() -> Iterator[list[str]]:
    """The SQL statements of a `with` block, less the pool's own."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN")):
            seen.append(statement)

    engine = wiring.database().engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
