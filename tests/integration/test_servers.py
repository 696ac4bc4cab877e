"""The ground the integration tests stand on: real servers, set up as the product's are."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from sqlalchemy import Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import DatabaseError

from tests.support.availability import CannotBeHad, not_run
from tests.support.packages import parse_deb822, parse_one_line
from tests.support.processes import private_folder, run_to_end
from tests.support.servers import fresh_database, mariadb_server, server_version

CHECKOUT = Path(__file__).resolve().parents[2]


def engine_of(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool)


def variables(url: str, *names: str) -> tuple[str, ...]:
    with engine_of(url).connect() as connection:
        return tuple(str(connection.exec_driver_sql(f"SELECT @@{name}").scalar_one()) for name in names)


def test_mysql_is_mysql_and_mariadb_is_mariadb(real_mysql_url: str, mariadb_url: str) -> None:
    assert server_version(real_mysql_url).startswith("MySQL ")
    assert server_version(mariadb_url).startswith("MariaDB ")


def test_every_database_starts_empty(database_url: str) -> None:
    with engine_of(database_url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE left_behind (a INTEGER)")
    with (
        fresh_database(database_url) as url,
        engine_of(url).connect() as connection,
        pytest.raises(DatabaseError),
    ):
        connection.exec_driver_sql("SELECT a FROM left_behind")


def test_any_character_survives(new_database_url: str) -> None:
    with engine_of(new_database_url).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (name VARCHAR(64))")
        connection.exec_driver_sql("INSERT INTO t VALUES ('#N/A Größe 広告 🎯')")
        assert connection.exec_driver_sql("SELECT name FROM t").scalar_one() == "#N/A Größe 広告 🎯"


def test_databases_are_utf8mb4_and_clocks_utc(real_mysql_url: str, mariadb_url: str) -> None:
    for url in (real_mysql_url, mariadb_url):
        names = ("character_set_database", "collation_database", "character_set_connection")
        assert variables(url, *names) == ("utf8mb4", "utf8mb4_unicode_ci", "utf8mb4")
        if "ADBID_TEST_MYSQL_URL" not in os.environ and "ADBID_TEST_MARIADB_URL" not in os.environ:
            assert variables(url, "time_zone") == ("+00:00",)


def test_a_dropped_database_is_gone(real_mysql_url: str) -> None:
    with fresh_database(real_mysql_url) as url:
        name = make_url(url).database
    with engine_of(real_mysql_url).connect() as connection:
        assert name not in connection.exec_driver_sql("SHOW DATABASES").scalars().all()


@pytest.mark.skipif(
    "ADBID_TEST_MARIADB_URL" in os.environ, reason="not run: a given server keeps its own settings"
)
def test_a_durable_server_writes_every_commit_through() -> None:
    names = ("innodb_flush_log_at_trx_commit", "sync_binlog", "log_bin")
    try:
        with mariadb_server(durable=True) as url:  # MySQL takes the same options, and four seconds more
            assert variables(url, *names) == ("1", "1", "1")
    except CannotBeHad as reason:
        not_run(f"MariaDB: {reason}")


def test_redis_runs_lua_and_persists_nothing(redis_client: redis.Redis) -> None:
    assert redis_client.dbsize() == 0
    script = "return redis.call('INCRBY', KEYS[1], ARGV[1]) + 0.5 * 2"
    assert redis_client.eval(script, 1, "spent", "41") == 42
    assert redis_client.config_get("save")["save"] == ""
    assert redis_client.config_get("appendonly")["appendonly"] == "no"


@pytest.mark.parametrize("attempt", [1, 2])
def test_redis_is_empty_before_each_test(redis_client: redis.Redis, attempt: int) -> None:
    assert redis_client.incr("attempts") == 1, f"attempt {attempt} saw what another test wrote"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_the_process_that_started_it(ending: signal.Signals) -> None:
    program = (
        "import signal, time, redis\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "from tests.support.servers import redis_server\n"
        "with redis_server() as url:\n"
        "    info = redis.Redis.from_url(url).info('server')\n"
        "    print(info['process_id'], info['config_file'], flush=True)\n"
        "    time.sleep(60)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ADBID_TEST_REDIS_URL"}
    environment["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), *sys.path])
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=CHECKOUT,
        env=environment,
    )
    with owner:
        assert owner.stdout is not None
        pid, config = owner.stdout.readline().split()
        os.kill(int(pid), 0)  # raises if there is no such process
        owner.send_signal(ending)
        owner.wait(10)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (_alive(int(pid)) or Path(config).parent.exists()):
        time.sleep(0.02)
    assert not _alive(int(pid))
    assert not Path(config).parent.exists(), "the data folder stayed behind"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_that_fails_to_start_says_why() -> None:
    with private_folder("broken") as folder, pytest.raises(CannotBeHad, match="ended with 3: no space left"):
        run_to_end("mysqld", ("sh", "-c", "echo no space left >&2; exit 3"), folder)


def test_apt_sources_in_both_formats_are_read() -> None:
    one_line = (
        "# a comment\n"
        "deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.example/debian bookworm main contrib # why\n"
        "deb-src http://mirror.example/debian bookworm main\n"
        "deb cdrom:[Debian 12]/ bookworm main\n"
    )
    assert parse_one_line(one_line) == [
        {
            "arch": "amd64",
            "signed-by": "/keys/a.gpg",
            "uris": "http://mirror.example/debian",
            "suites": "bookworm",
            "components": "main contrib",
        }
    ]
    stanzas = (
        "Types: deb deb-src\n# a comment\nURIs: mirror+file:/etc/apt/mirrors.txt\n"
        "Suites: noble noble-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n -----END\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: noble\n"
    )
    assert parse_deb822(stanzas) == [
        {
            "types": "deb deb-src",
            "uris": "mirror+file:/etc/apt/mirrors.txt",
            "suites": "noble noble-updates",
            "components": "main",
            "signed-by": "-----BEGIN\n .\n -----END",
        }
    ]
