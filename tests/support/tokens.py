"""Tokens by hand, good and forged: any header over any payload, signed or not."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt

from functions.authorizer.keystore import KeyStore
from functions.authorizer.verifier import TokenVerifier
from local.keys import LocalIssuer

NOW = 1_800_000_000.0


def verifier_of(document: bytes) -> TokenVerifier:
    """A verifier that believes the keys of one JWKS document."""
    keys = KeyStore(lambda: document, refresh_seconds=300, reload_seconds=60, on_failure=lambda _: None)
    return TokenVerifier(keys, issuer="partnerize", audience="adbid")


def claims(**changes: Any) -> dict[str, Any]:
    """Claims that are good at `NOW`, with changes; `...` takes one away."""
    good = {"iss": "partnerize", "aud": "adbid", "sub": "s", "scope": "partner", "exp": NOW + 60}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def encoded(data: bytes) -> bytes:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def assembled(header: dict[str, Any], content: bytes, sign: Callable[[bytes], bytes]) -> str:
    """A token of these parts; a header member that is `...` is left out."""
    kept = {name: value for name, value in header.items() if value is not ...}
    signing_input = encoded(json.dumps(kept).encode()) + b"." + encoded(content)
    return (signing_input + b"." + encoded(sign(signing_input))).decode()


def signed_with(key: Any, algorithm: str, header: dict[str, Any], payload: Any) -> str:
    """A token signed with any private key; `payload` is made JSON unless it is bytes."""
    method: Any = jwt.algorithms.get_default_algorithms()[algorithm]
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return assembled(header, content, lambda data: method.sign(data, key))


def signed(issuer: LocalIssuer, payload: Any, algorithm: str = "RS256", **header: Any) -> str:
    """A token signed with the issuer's key for `algorithm`, whatever the header says."""
    key = issuer.key(algorithm)
    head = {"typ": "JWT", "alg": algorithm, "kid": key.kid, **header}
    return signed_with(key.private_key, algorithm, head, payload)
