"""JSON Web Key Sets (RFC 7517): which public keys of a document may verify tokens, and how."""

from __future__ import annotations

import binascii
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ALGORITHMS = frozenset({"RS256", "ES256"})
MINIMUM_RSA_BITS = 2048  # RFC 7518 section 3.3

PublicKey = RSAPublicKey | EllipticCurvePublicKey
KeySet = dict[tuple[str, str], PublicKey]
"""Public keys by (`kid`, `alg`): the key's type decides the algorithm, never the token."""


class MalformedKeySet(ValueError):
    """The document is not a JSON Web Key Set."""


def parse_key_set(document: str | bytes) -> KeySet:
    """The usable keys of a JWKS document.

    Keys of another kind, purpose or strength are passed over (RFC 7517 section 5), so a well-formed set may
    come out empty: the issuer withdrew everything. Raises `MalformedKeySet` when it is no JWKS at all.
    """
    try:
        content = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise MalformedKeySet("not JSON") from error
    entries = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise MalformedKeySet("no list of keys")
    keys: KeySet = {}
    for entry in entries:
        if isinstance(entry, dict) and (algorithm := _algorithm(entry)) is not None:
            key = _public_key(entry, algorithm)
            if key is not None:
                keys[entry["kid"], algorithm] = key
    return keys


def _algorithm(entry: dict[str, Any]) -> str | None:
    """The one algorithm this JWK may verify with; None when it may not verify tokens here."""
    if entry.get("kty") == "RSA":
        algorithm = "RS256"
    elif entry.get("kty") == "EC" and entry.get("crv") == "P-256":
        algorithm = "ES256"
    else:
        return None
    kid = entry.get("kid")
    if not isinstance(kid, str) or not kid:
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    # A published private key is anybody's key.
    return None if "d" in entry else algorithm


def _public_key(entry: dict[str, Any], algorithm: str) -> PublicKey | None:
    try:
        key = (RSAAlgorithm if algorithm == "RS256" else ECAlgorithm).from_jwk(entry)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, binascii.Error):
        return None
    if isinstance(key, RSAPublicKey):
        return key if key.key_size >= MINIMUM_RSA_BITS else None
    return key if isinstance(key, EllipticCurvePublicKey) else None
