"""The parts that `wiring` builds sign in with secrets where the settings name some: a real MySQL, Redis and
Redis cluster, and moto's Secrets Manager.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.cluster import RedisCluster
from sqlalchemy import make_url

from adbid import wiring
from tests.support.availability import CannotBeHad, not_run
from tests.support.cluster import redis_cluster

LAYER = Path(__file__).resolve().parents[2] / "layers/common"


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`keep(name, **document)` makes a secret; `wiring` builds its parts anew."""
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    wiring.reset()
    with mock_aws():
        client = boto3.client("secretsmanager")

        def create(name: str, **document: str) -> str:
            arn: str = client.create_secret(Name=name, SecretString=json.dumps(document))["ARN"]
            return arn

        yield create
        wiring.close()


@pytest.fixture
def cache_user(redis_server_url: str) -> Iterator[dict[str, str]]:
    user = {"username": f"app_{secrets.token_hex(4)}", "password": secrets.token_hex(16)}
    with redis.Redis.from_url(redis_server_url) as admin:
        rules: dict[str, Any] = {"enabled": True, "commands": ["+@all"], "keys": ["*"]}
        admin.acl_setuser(user["username"], passwords=[f"+{user['password']}"], **rules)
        yield user
        admin.acl_deluser(user["username"])


def test_the_database(keep: Any, real_mysql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url(real_mysql_url)
    address = f"mysql+pymysql://{url.host}:{url.port}/{url.database}?ssl_check_hostname=false"
    monkeypatch.setenv("DATABASE_URL", address)
    arn = keep("database", username=url.username, password=str(url.password or ""))
    monkeypatch.setenv("DATABASE_SECRET_ID", arn)
    with wiring.database().read() as connection:
        user = str(connection.exec_driver_sql("SELECT USER()").scalar_one())
        cipher = connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1]
    assert user.partition("@")[0] == url.username
    assert cipher


def test_the_cache_and_the_ledger_in_it(
    keep: Any, redis_url: str, cache_user: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(redis_url)
    monkeypatch.setenv("REDIS_URL", f"redis://{parts.hostname}:{parts.port}/0")
    monkeypatch.setenv("REDIS_SECRET_ID", keep("cache", **cache_user))
    assert wiring.redis_client().acl_whoami() in (cache_user["username"], cache_user["username"].encode())
    assert wiring.ledger().days() == []


def test_a_ledger_of_its_own_in_a_cluster(keep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with redis_cluster() as cluster:
            [node, *_] = cluster.get_primaries()
            password = cluster.get_connection_kwargs()["password"]
            monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
            monkeypatch.setenv("LEDGER_URL", f"redis://127.0.0.1:{node.port}/0")
            monkeypatch.setenv("LEDGER_CLUSTER", "true")
            monkeypatch.setenv("LEDGER_PARTITIONS", "8")
            monkeypatch.setenv("REDIS_SECRET_ID", keep("ledger", password=password))
            assert not wiring.ledger().alive()
            ledger = wiring.ledger_redis()
            assert isinstance(ledger, RedisCluster)
            pools = [one.redis_connection.connection_pool for one in ledger.get_nodes()]
            assert any(connected(pool) for pool in pools)
            wiring.close()
            assert not any(connected(pool) for pool in pools)
    except CannotBeHad as reason:
        not_run(f"Redis cluster: {reason}")


def test_a_ledger_in_a_redis_of_its_own_is_closed_with_the_rest(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("LEDGER_URL", redis_url)
    wiring.reset()
    assert not wiring.ledger().alive()
    kept = wiring.ledger_redis()
    assert isinstance(kept, redis.Redis)
    assert connected(kept.connection_pool)
    wiring.close()
    assert not connected(kept.connection_pool)


def connected(pool: Any) -> bool:
    return any(one.is_connected for one in (*pool._available_connections, *pool._in_use_connections))


@pytest.mark.parametrize("setting", ["", "x"])
def test_nothing_is_imported_without_a_secret(setting: str) -> None:
    script = (
        "import sys; from adbid import wiring; wiring.redis_client();"
        "print('adbid.data.secrets' in sys.modules)"
    )
    environment = {"REDIS_URL": "redis://127.0.0.1:1/0", "REDIS_SECRET_ID": setting}
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, cwd=LAYER, env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(bool(setting))
