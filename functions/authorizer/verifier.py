"""From a token to its caller: signature, issuer, audience and times (RFC 7519, hardened after RFC 8725)."""

from __future__ import annotations

from typing import Any

import jwt

from functions.authorizer.claims import Caller, MalformedClaims, caller_of, numeric_date
from functions.authorizer.jwks import ALGORITHMS
from functions.authorizer.keystore import KeyStore

MAX_TOKEN_CHARACTERS = 8192
"""API Gateway takes 10,240 bytes for the request line and all headers."""

MAX_KID_CHARACTERS = 256

# The clock is passed in, so times are checked here and not by the library.
_OPTIONS: Any = {
    "require": ["iss", "aud", "exp"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class Refused(Exception):
    """The token does not prove who is calling. `reason` is a code for the log, never for the answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TokenVerifier:
    """Verifies tokens of one issuer for one audience with the keys of one store."""

    def __init__(self, keys: KeyStore, *, issuer: str, audience: str) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str, now: float) -> Caller:
        """Who is calling at `now` (epoch seconds). Raises `Refused` and `KeysUnavailable`.

        There is no leeway: `exp` must lie ahead, `nbf` and `iat` must not.
        """
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Refused("too_large")
        kid, algorithm = self._header(token)
        key = self._keys.find(kid, algorithm, now)
        if key is None:
            raise Refused("unknown_key")
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                options=_OPTIONS,
            )
        except jwt.PyJWTError as error:
            raise Refused(_reason(error)) from None
        except (ValueError, TypeError):
            raise Refused("malformed") from None
        try:
            _check_times(payload, now)
            return caller_of(payload)
        except MalformedClaims:
            raise Refused("claims") from None

    @staticmethod
    def _header(token: str) -> tuple[str, str]:
        """`kid` and `alg`. Where a token says its key is found (`jku`, `x5u`, `jwk`) is never read."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Refused("malformed") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise Refused("algorithm")
        if "crit" in header:
            raise Refused("critical_header")
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARACTERS:
            raise Refused("no_kid")
        return kid, algorithm


def _check_times(payload: dict[str, Any], now: float) -> None:
    if now >= numeric_date(payload["exp"]):
        raise Refused("expired")
    if "nbf" in payload and now < numeric_date(payload["nbf"]):
        raise Refused("not_yet_valid")
    if "iat" in payload and now < numeric_date(payload["iat"]):
        raise Refused("issued_in_future")


def _reason(error: jwt.PyJWTError) -> str:
    reasons: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
        (jwt.InvalidSignatureError, "signature"),
        (jwt.InvalidIssuerError, "issuer"),
        (jwt.InvalidAudienceError, "audience"),
        (jwt.MissingRequiredClaimError, "missing_claim"),
    )
    return next((reason for kind, reason in reasons if isinstance(error, kind)), "malformed")
