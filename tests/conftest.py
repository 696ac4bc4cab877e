"""Fixtures every test may ask for: databases and Redis on real private servers, started when first asked for.

A server that can't be had is never skipped in silence: see `tests.support.availability`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
import redis
from hypothesis import settings

from tests.support.availability import NOT_RUN, CannotBeHad, not_run, notices, on_ci
from tests.support.servers import fresh_database, mariadb_server, mysql_server, redis_server, server_version

# Examples that are slow on a busy machine aren't wrong; in CI the same commit gives the same verdict.
settings.register_profile("adbid", deadline=None, derandomize=on_ci())
settings.load_profile("adbid")

_NOTES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def real_mysql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database on MySQL itself, one per session."""
    with ExitStack() as stack:
        server = _entered(stack, "MySQL", mysql_server(), request)
        yield stack.enter_context(fresh_database(server))


@pytest.fixture(scope="session")
def mariadb_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database on MariaDB, one per session."""
    with ExitStack() as stack:
        server = _entered(stack, "MariaDB", mariadb_server(), request)
        yield stack.enter_context(fresh_database(server))


@pytest.fixture(scope="session")
def mysql_url(request: pytest.FixtureRequest) -> str:
    """`real_mysql_url`; where MySQL can't be had MariaDB stands in, and the summary says so."""
    try:
        return str(request.getfixturevalue("real_mysql_url"))
    except pytest.skip.Exception as reason:
        _note(request.config, f"MARIADB STOOD IN FOR MYSQL, {reason}")
        return str(request.getfixturevalue("mariadb_url"))


@pytest.fixture(scope="module", params=["sqlite", "mysql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh empty database per module on each of the three dialects the product runs on."""
    sessions = {"mysql": "real_mysql_url", "mariadb": "mariadb_url"}
    server = request.getfixturevalue(sessions[request.param]) if request.param in sessions else "sqlite://"
    with fresh_database(server) as url:
        yield url


@pytest.fixture
def new_database_url(database_url: str) -> Iterator[str]:
    """A fresh empty database per test, beside the module's `database_url`."""
    with fresh_database(database_url) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The session's Redis, as the tests before left it."""
    with ExitStack() as stack:
        yield _entered(stack, "Redis", redis_server(), request)


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty Redis: the URL's database is flushed before each test."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture
def redis_client(redis_url: str) -> "Iterator[redis.Redis]":
    """A client (bytes in, bytes out) of an empty Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


def _entered(
    stack: ExitStack, name: str, server: AbstractContextManager[str], request: pytest.FixtureRequest
) -> str:
    missing = ""
    try:
        url = stack.enter_context(server)
    except CannotBeHad as reason:
        missing = f"{name}: {reason}"
    for line in notices:
        _note(request.config, line)
    if missing:
        not_run(missing)
    _note(request.config, f"ran on {server_version(url)}")
    return url


def _note(config: pytest.Config, line: str) -> None:
    config.stash.setdefault(_NOTES, []).append(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand an xdist worker's notes to the process that prints the summary."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["notes"] = session.config.stash.get(_NOTES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over an xdist worker's notes."""
    for line in getattr(node, "workeroutput", {}).get("notes", []):
        _note(node.config, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which servers the tests ran on, and loudly what was not run."""
    notes: list[str] = config.stash.get(_NOTES, [])
    missing: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if NOT_RUN in reason:
            line = reason[reason.index(NOT_RUN) :]
            missing[line] = missing.get(line, 0) + 1
    if not notes and not missing:
        return
    terminalreporter.section("servers")
    for line in dict.fromkeys(notes):
        loud = not line.startswith("ran on")
        terminalreporter.write_line(line, yellow=loud, bold=loud)
    for line, count in missing.items():
        terminalreporter.write_line(f"{line} (tests: {count})", yellow=True, bold=True)
