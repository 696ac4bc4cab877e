"""The local issuer's keys: one RS256 and one ES256 pair, made on first use and kept."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
FILES = {"RS256": "rs256.pem", "ES256": "es256.pem"}


@dataclass(frozen=True)
class SigningKey:
    """A private key with the algorithm it signs with; `kid` is the thumbprint of its public half."""

    algorithm: str
    kid: str
    private_key: PrivateKey


class LocalIssuer:
    """Stands in for Partnerize's token service on a laptop."""

    def __init__(self, keys: dict[str, SigningKey]) -> None:
        self._keys = keys

    @classmethod
    def open(cls, home: Path) -> LocalIssuer:
        """The issuer whose keys lie under `home`/keys; makes them when there are none.

        Processes that race agree: the folder appears whole or not at all, and the first one stays.
        """
        folder = home / "keys"
        if not folder.is_dir():
            _create(folder)
        return cls({algorithm: _load(folder / name, algorithm) for algorithm, name in FILES.items()})

    def key(self, algorithm: str) -> SigningKey:
        """The key that signs with `algorithm` (RS256 or ES256)."""
        return self._keys[algorithm]

    def jwks(self) -> bytes:
        """The public halves as a JSON Web Key Set."""
        keys = [
            {**_public_jwk(key.private_key), "kid": key.kid, "use": "sig", "alg": key.algorithm}
            for key in self._keys.values()
        ]
        return json.dumps({"keys": keys}).encode()


def _create(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    pairs: dict[str, PrivateKey] = {
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
    }
    draft = Path(tempfile.mkdtemp(prefix=".keys-", dir=folder.parent))
    try:
        for algorithm, private_key in pairs.items():
            _write_private(draft / FILES[algorithm], private_key)
        # Renaming onto a folder that has files in it fails, so whoever comes second changes nothing.
        os.rename(draft, folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_private(path: Path, key: PrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path, algorithm: str) -> SigningKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    expected = rsa.RSAPrivateKey if algorithm == "RS256" else ec.EllipticCurvePrivateKey
    if not isinstance(key, expected):
        raise ValueError(f"{path} is not a key for {algorithm}")
    return SigningKey(algorithm, _thumbprint(_public_jwk(key)), key)


def _public_jwk(key: PrivateKey) -> dict[str, Any]:
    """The members that make up the public key, and no others."""
    if isinstance(key, rsa.RSAPrivateKey):
        jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {member: jwk[member] for member in ("e", "kty", "n")}
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {member: jwk[member] for member in ("crv", "kty", "x", "y")}


def _thumbprint(jwk: dict[str, Any]) -> str:
    """The JWK thumbprint (RFC 7638): SHA-256 of the public members in lexical order."""
    canonical = json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()
