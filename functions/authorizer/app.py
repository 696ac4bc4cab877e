"""The Lambda authorizer of the HTTP API: REQUEST events, payload format 2.0, simple responses.

A token that does not hold is `isAuthorized: false`, which API Gateway answers with 403. When the issuer's
keys cannot be had (or the settings are wrong) nobody can tell good tokens from bad: the handler fails and
API Gateway answers 500, so that a client does not throw away a good token.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import Any

from adbid.eyes.calls import logged
from adbid.eyes.logs import logger
from adbid.eyes.metrics import count
from functions.authorizer.keystore import KeyStore
from functions.authorizer.settings import AuthorizerSettings
from functions.authorizer.sources import key_set_source
from functions.authorizer.verifier import Refused, TokenVerifier


@lru_cache(maxsize=1)
def verifier_for(settings: AuthorizerSettings) -> TokenVerifier:
    """The verifier with its store of keys, kept between calls for as long as the settings are the same."""
    keys = KeyStore(
        key_set_source(settings),
        refresh_seconds=settings.refresh_seconds,
        reload_seconds=settings.reload_seconds,
        on_failure=_report_source,
    )
    return TokenVerifier(keys, issuer=settings.issuer, audience=settings.audience)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer API Gateway who is calling. Raises `KeysUnavailable` and `SettingsError`."""
    with logged(event):
        try:
            verifier = verifier_for(AuthorizerSettings.from_environment(os.environ))
            return authorize(event, verifier, time.time())
        except Refused as refusal:
            logger.info("token refused", reason=refusal.reason)
            count("token_refused_total", reason=refusal.reason)
            return {"isAuthorized": False}


def authorize(event: dict[str, Any], verifier: TokenVerifier, now: float) -> dict[str, Any]:
    """The simple response for a good token. Raises `Refused` and `KeysUnavailable`."""
    return {"isAuthorized": True, "context": verifier.verify(bearer_token(event), now).context()}


def bearer_token(event: dict[str, Any]) -> str:
    """The token of `Authorization: Bearer …`. Raises `Refused`.

    It is taken from the identity source, because that is what API Gateway caches the answer by.
    """
    sources = event.get("identitySource") or [""]
    scheme, _, token = str(sources[0]).strip(" ").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused("no_bearer_token")
    return token.strip(" ")


def _report_source(reason: str) -> None:
    logger.warning("the issuer's keys could not be loaded", reason=reason)
    count("key_set_failed_total")
