"""The built packages run: each function under Lambda's own runtime client, and under AWS's own emulator.

For this machine's architecture, from the zips, with nothing of this project's environment on their path;
against real MySQL over TLS and real Redis, where they sign in with what Secrets Manager says; S3 and Secrets
Manager are moto's, over HTTP.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest
import redis
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from adbid.data.database import Database
from local.keys import LocalIssuer
from migrations import configuration
from tests.support.availability import CannotBeHad, not_run
from tests.support.lambda_runtime import (
    Invoke,
    Measured,
    Package,
    built,
    client_environment,
    emulator,
    emulator_environment,
    host_architecture,
    runtime_packages,
)
from tests.support.lambda_story import (
    BUCKET,
    CACHE_SECRET,
    DATABASE_SECRET,
    KEYS_SECRET,
    REGION,
    Cloud,
    Open,
    Story,
    cloud,
    packages,
)
from tests.support.servers import fresh_database

Taken = dict[str, list[Measured]]
"""What each function's environments took, in order."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, as AWS would get it on this machine's architecture."""
    try:
        emulator()
        runtime_packages()
        return built(tmp_path_factory.mktemp("build") / "out", host_architecture())
    except CannotBeHad as reason:
        not_run(f"Lambda's runtime: {reason}")


@pytest.fixture
def database(real_mysql_url: str) -> Iterator[str]:
    """An empty MySQL database, as a first deploy finds it."""
    with fresh_database(real_mysql_url) as url:
        yield url


@pytest.fixture
def cache_user(redis_url: str) -> Iterator[dict[str, str]]:
    """A user of the empty Redis."""
    user = {"username": f"app_{secrets.token_hex(4)}", "password": secrets.token_hex(16)}
    with redis.Redis.from_url(redis_url) as admin:
        admin.acl_setuser(
            user["username"], enabled=True, passwords=[f"+{user['password']}"], commands=["+@all"], keys=["*"]
        )
        yield user
        admin.acl_deluser(user["username"])


@pytest.fixture
def aws(
    database: str, cache_user: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """S3, and Secrets Manager with the issuer's keys and how to sign in."""
    url = make_url(database)
    signed = {"username": url.username or "", "password": str(url.password or "")}
    passwords = {DATABASE_SECRET: signed, CACHE_SECRET: cache_user}
    with cloud(LocalIssuer.open(tmp_path_factory.mktemp("issuer")), passwords) as running:
        yield running


@pytest.fixture
def shipped(build: Path, aws: Cloud, database: str, redis_url: str, tmp_path: Path) -> dict[str, Package]:
    """Every function, unpacked."""
    server, cache = make_url(database), urlsplit(redis_url)
    values = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": "testing",
        # Neither address names a user. A test's server signs for itself, so its name is not checked.
        "DATABASE_URL": f"mysql+pymysql://{server.host}:{server.port}/{server.database}?ssl_check_hostname=false",
        "DATABASE_SECRET_ID": DATABASE_SECRET,
        "JWKS_SECRET_ID": KEYS_SECRET,
        "MODELS_BUCKET": BUCKET,
        "REDIS_SECRET_ID": CACHE_SECRET,
        "REDIS_URL": f"redis://{cache.hostname}:{cache.port}{cache.path}",
    }
    return packages(build, tmp_path, values)


def story(start: Open, aws: Cloud, database: str) -> Story:
    """The story, which knows the newest revision."""
    with Database(database) as there:
        head = ScriptDirectory.from_config(configuration(there)).get_current_head()
    assert head is not None
    return Story(start, aws.issuer, database, head)


def test_every_function_runs_under_the_runtime_client(
    build: Path,
    shipped: dict[str, Package],
    aws: Cloud,
    database: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken: Taken = {}

    def start(name: str) -> AbstractContextManager[Invoke]:
        return client_environment(shipped[name], taken.setdefault(name, []).append)

    story(start, aws, database).run()
    assert taken.keys() == shipped.keys()
    with capsys.disabled():
        print("", *table(taken, build), sep="\n")
    for name, package in shipped.items():
        assert max(one.peak_mb for one in taken[name]) < package.memory, f"{name} needs more memory"


def test_every_function_runs_under_the_emulator(
    shipped: dict[str, Package], aws: Cloud, database: str
) -> None:
    started: list[str] = []

    def start(name: str) -> AbstractContextManager[Invoke]:
        started.append(name)
        return emulator_environment(shipped[name])

    story(start, aws, database).run()
    assert set(started) == shipped.keys()


def table(taken: Taken, build: Path) -> list[str]:
    """Per function: cold init, first call and median of the later ones in ms, peak memory and size in MB."""
    sizes = json.loads((build / "sizes.json").read_text())
    architecture = host_architecture()
    lines = [
        f"{'function':<12}{'init ms':>9}{'first ms':>10}{'warm ms':>9}{'peak MB':>9}"
        f"{'unzipped MB':>13}{'zip MB':>8}   ({architecture})"
    ]
    for name, environments in sorted(taken.items()):
        init = median(one.init_ms for one in environments)
        first = median(one.calls_ms[0] for one in environments)
        later = [call for one in environments for call in one.calls_ms[1:]]
        warm = f"{median(later):.1f}" if later else "-"
        peak = max(one.peak_mb for one in environments)
        size = sizes[name]
        lines.append(
            f"{name:<12}{init:>9.0f}{first:>10.0f}{warm:>9}{peak:>9.0f}"
            f"{size['unzipped_mb']:>13.1f}{size['zip_mb']:>8.1f}"
        )
    return lines
