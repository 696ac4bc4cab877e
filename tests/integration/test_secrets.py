"""Signing in with secrets that change: moto's Secrets Manager, a real MySQL over TLS, a real Redis."""

import json
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from adbid.data.database import Database
from adbid.data.secrets import MAX_AGE, CacheCredentials, Credentials, Secret, fetch_secret, sign_in
from adbid.domain.errors import Unavailable

LAYER = Path(__file__).resolve().parents[2] / "layers/common"


class Safe:
    """Secrets by id, and how often they were read."""

    def __init__(self, **documents: Any) -> None:
        self.documents = documents
        self.reads = 0
        self.time = 1_000.0

    def fetch(self, secret_id: str) -> str:
        self.reads += 1
        if secret_id not in self.documents:
            raise Unavailable("secret_unavailable", "not there")
        return json.dumps(self.documents[secret_id])

    def secret(self, secret_id: str = "s") -> Secret:
        return Secret(secret_id, fetch=self.fetch, clock=lambda: self.time)


class TestSecret:
    def test_is_read_once_a_minute(self) -> None:
        safe = Safe(s={"username": "adbid", "password": "old"})
        secret = safe.secret()
        assert secret.current() == Credentials("adbid", "old")
        safe.documents["s"] = {"username": "adbid", "password": "new"}
        safe.time += MAX_AGE - 1
        assert secret.current().password == "old"
        assert safe.reads == 1
        safe.time += 1
        assert secret.current().password == "new"
        assert safe.reads == 2

    def test_a_clock_that_goes_back_reads_it_again(self) -> None:
        safe = Safe(s={"password": "old"})
        secret = safe.secret()
        secret.current()
        safe.time -= 10
        secret.current()
        assert safe.reads == 2

    def test_what_was_kept_has_to_do_where_it_cannot_be_read(self) -> None:
        safe = Safe(s={"password": "old"})
        secret = safe.secret()
        secret.current()
        safe.documents.clear()
        safe.time += 2 * MAX_AGE
        assert secret.current().password == "old"
        with pytest.raises(Unavailable):
            secret.renewed()

    def test_without_anything_kept_it_is_unavailable(self) -> None:
        with pytest.raises(Unavailable) as error:
            Safe().secret().current()
        assert error.value.code == "secret_unavailable"

    @pytest.mark.parametrize("document", [{}, {"username": "adbid"}, [], "hunter2", 7, None])
    def test_what_is_no_secret_is_said_without_showing_it(self, document: Any) -> None:
        with pytest.raises(Unavailable) as error:
            Safe(s=document).secret().current()
        assert error.value.code == "secret_unusable"
        assert "hunter2" not in str(error.value)
        assert error.value.__cause__ is None

    def test_a_password_is_never_printed(self) -> None:
        assert "hunter2" not in repr(Credentials("adbid", "hunter2"))


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield boto3.client("secretsmanager")


class TestSecretsManager:
    def test_is_asked_by_arn_and_gives_the_newest(self, manager: Any) -> None:
        arn = manager.create_secret(Name="db", SecretString='{"username": "adbid", "password": "old"}')["ARN"]
        secret = Secret(arn)
        assert secret.current() == Credentials("adbid", "old")
        manager.put_secret_value(SecretId=arn, SecretString='{"username": "adbid", "password": "new"}')
        assert secret.renewed() == Credentials("adbid", "new")

    def test_a_secret_that_is_not_there_is_unavailable(self, manager: Any) -> None:
        with pytest.raises(Unavailable) as error:
            fetch_secret("nowhere")
        assert error.value.code == "secret_unavailable"

    def test_boto3_is_imported_for_a_secret_alone(self) -> None:
        script = "import sys, adbid.data.secrets; print({'boto3', 'botocore', 'sqlalchemy'} & {*sys.modules})"
        command = [sys.executable, "-c", script]
        answer = subprocess.run(command, cwd=LAYER, capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == "set()"


@pytest.fixture
def user(real_mysql_url: str) -> Iterator[Any]:
    """A user of the MySQL who must come by TLS: `user(password)` changes the password."""
    name = f"app_{secrets.token_hex(4)}"
    engine = create_engine(real_mysql_url, isolation_level="AUTOCOMMIT")

    def change(password: str) -> dict[str, str]:
        with engine.connect() as connection:
            if connection.scalar(text("SELECT COUNT(*) FROM mysql.user WHERE User = :u"), {"u": name}) == 0:
                connection.exec_driver_sql(f"CREATE USER '{name}'@'%%' REQUIRE SSL")
                connection.exec_driver_sql(f"GRANT SELECT ON *.* TO '{name}'@'%%'")
            connection.exec_driver_sql(f"ALTER USER '{name}'@'%%' IDENTIFIED BY '{password}'")
        return {"username": name, "password": password}

    yield change
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP USER IF EXISTS '{name}'@'%%'")
    engine.dispose()


@pytest.fixture
def address(real_mysql_url: str) -> str:
    """Without a user or a password, as in the template."""
    url = make_url(real_mysql_url)
    return f"mysql+pymysql://{url.host}:{url.port}/{url.database}"


@pytest.fixture
def any_server() -> ssl.SSLContext:
    """TLS without a check: a test's server signs for itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def who(database: Database) -> tuple[str, bool]:
    """The user, and whether the connection is encrypted."""
    with database.read() as connection:
        cipher = connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1]
        return str(connection.exec_driver_sql("SELECT USER()").scalar_one()).partition("@")[0], bool(cipher)


class TestDatabase:
    def test_signs_in_over_tls(self, address: str, user: Any, any_server: ssl.SSLContext) -> None:
        document = user("first")
        with Database(address) as database:
            sign_in(database.engine, Safe(s=document).secret(), tls=any_server)
            assert who(database) == (document["username"], True)

    def test_reads_the_secret_again_when_the_password_was_changed(
        self, address: str, user: Any, any_server: ssl.SSLContext
    ) -> None:
        safe = Safe(s=user("first"))
        with Database(address) as database:
            sign_in(database.engine, safe.secret(), tls=any_server)
            who(database)
            database.engine.dispose()
            safe.documents["s"] = user("second")
            assert who(database)[0] == safe.documents["s"]["username"]
            assert safe.reads == 2

    def test_a_wrong_password_is_an_outage_after_two_tries(
        self, address: str, user: Any, any_server: ssl.SSLContext
    ) -> None:
        safe = Safe(s={**user("first"), "password": "wrong"})
        with Database(address) as database:
            sign_in(database.engine, safe.secret(), tls=any_server)
            with pytest.raises(Unavailable) as error:
                who(database)
        assert error.value.code == "database_unavailable"
        assert safe.reads == 2
        assert "wrong" not in repr(error.value)

    def test_a_server_nobody_vouches_for_gets_no_password(self, address: str, user: Any) -> None:
        with Database(address) as database:
            sign_in(database.engine, Safe(s=user("first")).secret())
            with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
                database.engine.connect()

    def test_without_the_secret_it_is_unavailable(self, address: str) -> None:
        with Database(address) as database:
            sign_in(database.engine, Safe().secret())
            with pytest.raises(Unavailable), database.read():
                pass


@pytest.fixture
def cache_user(redis_server_url: str) -> Iterator[Any]:
    """A user of the Redis: `cache_user(password)` changes the password."""
    name = f"app_{secrets.token_hex(4)}"
    with redis.Redis.from_url(redis_server_url) as admin:

        def change(password: str) -> dict[str, str]:
            rules = {"enabled": True, "reset_passwords": True, "commands": ["+@all"], "keys": ["*"]}
            admin.acl_setuser(name, passwords=[f"+{password}"], **rules)  # type: ignore[arg-type]
            return {"username": name, "password": password}

        yield change
        admin.acl_deluser(name)


class TestCache:
    def test_signs_in_and_follows_a_change(self, redis_server_url: str, cache_user: Any) -> None:
        safe = Safe(s=cache_user("first"))
        provider = CacheCredentials(safe.secret())
        with redis.Redis.from_url(without_user(redis_server_url), credential_provider=provider) as client:
            assert client.acl_whoami() == safe.documents["s"]["username"]
            client.connection_pool.disconnect()
            safe.documents["s"] = cache_user("second")
            with pytest.raises(redis.AuthenticationError):
                client.ping()
            safe.time += MAX_AGE
            assert client.ping()

    def test_a_server_without_users_wants_the_password_alone(self) -> None:
        provider = CacheCredentials(Safe(s={"password": "first"}).secret())
        assert provider.get_credentials() == ("first",)

    def test_without_the_secret_it_is_an_outage(self, redis_server_url: str) -> None:
        provider = CacheCredentials(Safe().secret())
        address = without_user(redis_server_url)
        with (
            redis.Redis.from_url(address, credential_provider=provider) as client,
            pytest.raises(redis.ConnectionError),
        ):
            client.ping()


def without_user(url: str) -> str:
    parts = urlsplit(url)
    return f"redis://{parts.hostname}:{parts.port}/0"
