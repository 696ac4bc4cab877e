"""How to sign in to the database and the cache: secrets in AWS Secrets Manager, which change by themselves.

A secret is a JSON document with `password` and, where the server has users, `username`. It is read when a
connection is made, kept for a minute, and read again at once when the database refuses what was kept. boto3,
which takes 150 ms to import, is imported when the first secret is read.
"""

from __future__ import annotations

import importlib
import json
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisUnreachable

from adbid.domain.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

MAX_AGE = 60.0  # seconds
CONNECT_TIMEOUT, READ_TIMEOUT = 1.0, 2.0  # seconds

_ACCESS_DENIED = 1045  # MySQL's

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """A user, "" for the only one there is, and the password."""

    username: str
    password: str = field(repr=False)


class Secret:
    """One secret. `fetch` gets its text by id; `clock` is epoch seconds, which go on in a snapshot."""

    def __init__(
        self,
        secret_id: str,
        *,
        fetch: Callable[[str], str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._id = secret_id
        self._fetch = fetch or fetch_secret
        self._clock = clock
        self._kept: Credentials | None = None
        self._read_at = 0.0

    def current(self) -> Credentials:
        """What was read within the last `MAX_AGE` seconds, or is read now. Raises Unavailable.

        Where it can't be read now, what was kept has to do: most likely it still holds.
        """
        if self._kept is not None and 0 <= self._clock() - self._read_at < MAX_AGE:
            return self._kept
        try:
            return self.renewed()
        except Unavailable:
            if self._kept is None:
                raise
            return self._kept

    def renewed(self) -> Credentials:
        """What it says now. Raises Unavailable."""
        try:
            document = json.loads(self._fetch(self._id))
            found = Credentials(str(document.get("username") or ""), str(document["password"]))
        except (ValueError, KeyError, AttributeError):
            # From nothing: the document must not show up in a traceback.
            raise Unavailable("secret_unusable", "A secret is no JSON with a password.") from None
        self._kept, self._read_at = found, self._clock()
        return found


def sign_in(engine: Engine, secret: Secret, *, tls: ssl.SSLContext | None = None) -> None:
    """Make `engine` connect with what `secret` says, over TLS alone.

    `tls` checks the server; by default against the authorities that the system trusts, which vouch for RDS
    Proxy. An address with settings of its own for TLS keeps those.
    """
    from sqlalchemy import event

    context = tls or ssl.create_default_context()

    def connect(dialect: Any, _: object, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        def with_(credentials: Credentials) -> Any:
            signed = {"user": credentials.username, "password": credentials.password}
            return dialect.connect(*arguments, **{"ssl": context, **parameters, **signed})

        try:
            return with_(secret.current())
        except dialect.loaded_dbapi.OperationalError as error:
            if error.args[0] != _ACCESS_DENIED:
                raise
        logger.info("access denied: reading the secret again")
        return with_(secret.renewed())

    event.listen(engine, "do_connect", connect)


class CacheCredentials(CredentialProvider):
    """What a Redis client signs in with (`credential_provider`)."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Password, or user and password. Raises redis.ConnectionError, so that it counts as an outage."""
        try:
            found = self._secret.current()
        except Unavailable as error:
            raise RedisUnreachable(str(error)) from error
        return (found.username, found.password) if found.username else (found.password,)


def fetch_secret(secret_id: str) -> str:
    """The text of a secret. Raises Unavailable."""
    boto3 = importlib.import_module("boto3")
    config = importlib.import_module("botocore.config").Config(
        connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 2}
    )
    exceptions = importlib.import_module("botocore.exceptions")
    try:
        client = boto3.client("secretsmanager", config=config)
        return str(client.get_secret_value(SecretId=secret_id)["SecretString"])
    except (exceptions.BotoCoreError, exceptions.ClientError, KeyError) as error:
        logger.warning("a secret cannot be read: %s", type(error).__name__)
        raise Unavailable("secret_unavailable", "A secret cannot be read right now.") from error
