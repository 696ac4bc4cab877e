"""One way to read, one to write and one to upsert, on MySQL, MariaDB and SQLite."""

import logging
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    Table,
    create_engine,
    event,
    func,
    insert,
    text,
)
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, TimeoutError
from sqlalchemy.pool import QueuePool

from adbid.data.types import CHARSET, Money
from adbid.domain.errors import Unavailable

T = TypeVar("T")

logger = logging.getLogger(__name__)

SQL_MODE = (
    "STRICT_TRANS_TABLES,ONLY_FULL_GROUP_BY,NO_ZERO_IN_DATE,NO_ZERO_DATE,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
CONNECT_TIMEOUT = 2  # seconds
LOCK_TIMEOUT = 5  # seconds a statement waits for another transaction's row
POOL_TIMEOUT = 5  # seconds a caller waits for a free connection
RECYCLE = 900  # seconds; below an RDS Proxy's idle limit of 1,800

# Driver codes; SQLite's are below 256, MySQL's above 1,000.
_TRANSIENT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    1020,  # record changed since last read (MariaDB snapshots)
    1205,  # lock wait timeout
    1213,  # deadlock
}
_READ_ONLY = {1290, 1792, 1836}  # a writer that a failover made a reader
_DOWN = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    1040,  # too many connections
    1045,  # access denied: also what a password being rotated looks like
    1053,  # server shutting down
    1129,  # host blocked after connection errors
    1203,  # too many connections of this user
    1226,  # a resource limit of this user
    1317,  # query interrupted
    1927,  # connection killed (MariaDB)
    *_READ_ONLY,
}
_CLIENT_ERRORS = range(2000, 3000)  # connection refused, lost, timed out
_OUT_OF_RANGE = 1690  # a sum beyond BIGINT, which PyMySQL takes for an operational error
_MOST_INTEGER = 2**63 - 1


class Database:
    """A pool of connections to one database.

    `pool_size` is 1 in a Lambda, which serves one request at a time. `statement_timeout` is the number of
    seconds a single statement may take on a server; None waits for as long as it takes (migrations).
    """

    def __init__(self, url: str, *, pool_size: int = 1, statement_timeout: float | None = 10) -> None:
        address = _address(url)
        options: dict[str, Any] = {}
        if address.get_backend_name() == "sqlite":
            connect_args: dict[str, Any] = {"timeout": LOCK_TIMEOUT, "check_same_thread": False}
        else:
            options["isolation_level"] = "READ COMMITTED"
            connect_args = {
                "charset": CHARSET,
                "connect_timeout": CONNECT_TIMEOUT,
                "read_timeout": statement_timeout,
                "write_timeout": statement_timeout,
                "init_command": f"SET SESSION sql_mode='{SQL_MODE}', time_zone='+00:00', "
                f"innodb_lock_wait_timeout={LOCK_TIMEOUT}",
            }
        self.engine = create_engine(
            address,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT,
            pool_recycle=RECYCLE,
            pool_pre_ping=True,
            connect_args=connect_args,
            **options,
        )
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading. Raises `Unavailable` when the database cannot be reached."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (DBAPIError, TimeoutError) as error:
            raise self._translated(error) from error

    def transaction(
        self, work: Callable[[Connection], T], *, attempts: int = 5, retry_integrity: bool = False
    ) -> T:
        """What `work` returns, committed as a whole.

        `work` is run again after a deadlock, a lock timeout and, with `retry_integrity`, a violated
        constraint (so that it can look up what was written meanwhile); it must therefore have no other
        effects. The last attempt's IntegrityError is raised as it is, contention as `Unavailable`, and so
        is a lost connection: whether it had committed is then unknown.
        """
        for attempt in range(1, attempts + 1):
            try:
                with self.engine.connect() as connection:
                    connection.execution_options(adbid_writes=True)
                    with connection.begin():
                        return work(connection)
            except (DBAPIError, TimeoutError) as error:
                again = _code(error) in _TRANSIENT or (retry_integrity and isinstance(error, IntegrityError))
                if not again or attempt == attempts:
                    raise self._translated(error) from error
            time.sleep(random.uniform(0, 0.01 * 2**attempt))
        raise AssertionError("attempts must be at least 1")

    def dispose(self) -> None:
        """Close every pooled connection; leaving `with Database(...)` does the same."""
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def _translated(self, error: DBAPIError | TimeoutError) -> Exception:
        code = _code(error)
        if code == _OUT_OF_RANGE and isinstance(error, DBAPIError) and error.orig is not None:
            return DataError(error.statement, error.params, error.orig)
        if code in _READ_ONLY:
            self.engine.dispose()  # the pool still points at what used to be the writer
        lost = isinstance(error, TimeoutError) or error.connection_invalidated
        if lost or code in _TRANSIENT or code in _DOWN or code in _CLIENT_ERRORS:
            logger.warning("database unavailable: %s %s", type(error).__name__, code)
            busy = code in _TRANSIENT or isinstance(error, TimeoutError)
            name = "database_busy" if busy else "database_unavailable"
            return Unavailable(name, "The database cannot be reached right now.")
        return error


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    add: Sequence[str] = (),
    replace: Sequence[str] = (),
) -> None:
    """Insert `rows`; where the primary key exists, add to the columns `add` and overwrite those in `replace`.

    With neither, existing rows stay as they are. Rows are written in key order, so that two batches
    which meet wait for each other instead of deadlocking. Raises DataError where a column cannot hold what
    it adds up to.
    """
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    ordered = sorted(rows, key=lambda row: tuple(row[name] for name in key))
    statement: Any
    if connection.dialect.name == "sqlite":
        statement = sqlite.insert(table)
        new = statement.excluded
    else:
        statement = mysql.insert(table)
        new = statement.inserted
    totals = {name: _total(connection, table.c[name], new[name]) for name in add}
    changes = totals | {name: new[name] for name in replace}
    if connection.dialect.name != "sqlite":
        statement = statement.on_duplicate_key_update(changes or {key[0]: table.c[key[0]]})
    elif changes:
        statement = statement.on_conflict_do_update(index_elements=key, set_=changes)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    insert_many(connection, table, ordered, statement)


def insert_many(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], statement: Any = None
) -> None:
    """Insert `rows`, all with the same columns, by `statement` (default: a plain INSERT).

    On a server without the two passes over every row that `connection.execute` makes besides: in time, they
    are a good part of what counting a batch of events takes.
    """
    chosen = insert(table) if statement is None else statement
    dialect = connection.dialect
    if dialect.name == "sqlite":
        connection.execute(chosen, rows)
        return
    processors = [
        (name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in rows[0]
    ]
    sent = [
        {name: row[name] if process is None else process(row[name]) for name, process in processors}
        for row in rows
    ]
    text_ = chosen.compile(dialect=dialect, column_keys=list(rows[0])).string
    connection.exec_driver_sql(text_, sent)


def _total(connection: Connection, column: Column[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    """`column + new`; SQLite is made to refuse what a server's column would not hold."""
    total = column + new
    if connection.dialect.name != "sqlite" or not isinstance(column.type, Money | Integer):
        return total
    most = column.type.most_micros if isinstance(column.type, Money) else _MOST_INTEGER
    return func.within(total, text(str(most)))


def _address(url: str) -> URL:
    """`url` with the driver the product ships: mysql:// and mariadb:// both mean PyMySQL."""
    address = make_url(url)
    return address if address.get_backend_name() == "sqlite" else address.set(drivername="mysql+pymysql")


def _code(error: Exception) -> int | None:
    """The driver's error number, where it gave one."""
    origin = getattr(error, "orig", None)
    if isinstance(origin, sqlite3.Error):
        extended = getattr(origin, "sqlite_errorcode", None)
        return None if extended is None else int(extended) & 0xFF
    arguments = getattr(origin, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


class _ExactSum:
    """SQL's SUM without a limit: SQLite's own fails beyond 64 bits. What is larger comes back as text."""

    def __init__(self) -> None:
        self._sum: int | float | None = None

    def step(self, value: Any) -> None:
        if value is not None:
            number = int(value) if isinstance(value, str) else value  # the sum of such sums
            self._sum = number if self._sum is None else self._sum + number

    def finalize(self) -> Any:
        beyond = isinstance(self._sum, int) and not -_MOST_INTEGER <= self._sum <= _MOST_INTEGER
        return str(self._sum) if beyond else self._sum


def _within(value: int | float | None, most: int) -> int | float | None:
    """`value`, unless it lies beyond `most` on either side: then the driver raises its DataError."""
    if value is not None and abs(value) > most:
        raise OverflowError
    return value


def _configure_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # no BEGIN of the driver's own: `_begin_sqlite` sends it
    connection.create_aggregate("sum", 1, _ExactSum)
    connection.create_function("within", 2, _within, deterministic=True)
    connection.create_function("pow", 2, math.pow, deterministic=True)  # not every SQLite has one
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the write lock at once: a reader that turns writer halfway would fail, not wait.
    writes = connection.get_execution_options().get("adbid_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
