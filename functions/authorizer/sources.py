"""Where the key set comes from: a URL of the issuer, or a secret in AWS Secrets Manager."""

from __future__ import annotations

import http.client
import importlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any

from functions.authorizer.settings import AuthorizerSettings, is_loopback

TIMEOUT_SECONDS = 2.0
MAX_BYTES = 256 * 1024


class SourceError(Exception):
    """The source of the key set did not answer with a document."""


def key_set_source(settings: AuthorizerSettings) -> Callable[[], str | bytes]:
    """The function that fetches the JWKS document; it raises `SourceError`."""
    if settings.jwks_url is not None:
        url = settings.jwks_url
        return lambda: fetch_url(url)
    secret_id = settings.jwks_secret_id
    if secret_id is None:
        raise ValueError("settings name no source of keys")
    return lambda: fetch_secret(secret_id)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead from https to anywhere: keys come from the configured URL alone."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def fetch_url(url: str) -> bytes:
    """GET the document, within two seconds in all. Raises `SourceError`."""
    # A proxy from the environment must not stand between a laptop and itself.
    proxies = urllib.request.ProxyHandler({} if is_loopback(url) else None)
    opener = urllib.request.build_opener(_NoRedirect, proxies)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return _read(response, deadline)
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(f"key set: {type(error).__name__}") from error


def _read(response: Any, deadline: float) -> bytes:
    """The body, given up when it is too long or drips in too slowly (a socket's timeout is per packet)."""
    body = b""
    while chunk := response.read1(65536):
        body += chunk
        if len(body) > MAX_BYTES:
            raise SourceError("key set: too large")
        if time.monotonic() > deadline:
            raise SourceError("key set: too slow")
    return body


def fetch_secret(secret_id: str) -> str:
    """Read the document from AWS Secrets Manager. Raises `SourceError`."""
    # boto3 costs 150 ms of cold start, which a key set from a URL need not pay.
    boto3 = importlib.import_module("boto3")
    botocore_config = importlib.import_module("botocore.config")
    botocore_exceptions = importlib.import_module("botocore.exceptions")
    config = botocore_config.Config(
        connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"total_max_attempts": 1}
    )
    try:
        client = boto3.client("secretsmanager", config=config)
        return str(client.get_secret_value(SecretId=secret_id)["SecretString"])
    except (botocore_exceptions.BotoCoreError, botocore_exceptions.ClientError, KeyError) as error:
        raise SourceError(f"key set: {type(error).__name__}") from error
