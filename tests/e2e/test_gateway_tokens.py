"""The real authorizer behind the local gateway: every wrong token gets API Gateway's own answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import HMACAlgorithm

from local.gateway import Gateway, LocalServer
from local.keys import LocalIssuer
from local.tokens import mint
from tests.support.small_api import TEMPLATE, assert_message, echoed, small_api
from tests.support.tokens import assembled, claims, encoded, signed

NOW = time.time()  # of the collection: this may be called many minutes later
GOOD = claims(exp=NOW + 7200)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    return LocalIssuer.open(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, issuer: LocalIssuer) -> Iterator[httpx.Client]:
    with small_api(tmp_path_factory.mktemp("gateway")) as template, pytest.MonkeyPatch.context() as patch:
        real = TEMPLATE.replace("gateway_handlers.authorizer", "functions.authorizer.app.handler")
        template.write_text(real)
        gateway = Gateway(template, documents={"/.well-known/jwks.json": issuer.jwks()})
        server = LocalServer(gateway)
        patch.setenv("JWKS_URL", f"{server.url}/.well-known/jwks.json")
        patch.delenv("JWKS_SECRET_ID", raising=False)
        gateway.load()
        with server.running() as url, httpx.Client(base_url=url, timeout=10) as client:
            yield client


def call(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/closed", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_good_token_brings_its_claims(client: httpx.Client, issuer: LocalIssuer, algorithm: str) -> None:
    token = mint(issuer, scope="brand", brands=["1l1007802"], now=NOW, lifetime=3600, algorithm=algorithm)
    assert echoed(call(client, token))["requestContext"]["authorizer"]["lambda"] == {
        "sub": "local",
        "iss": "partnerize",
        "exp": str(int(NOW + 3600)),
        "scope": "brand",
        "brand_ids": '["1l1007802"]',
        "partner_ids": "[]",
    }


def hs256(issuer: LocalIssuer) -> str:
    """Signed with the public key as if it were a shared secret."""
    key = issuer.key("RS256")
    public = key.private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    hmac = HMACAlgorithm(HMACAlgorithm.SHA256)
    head = {"alg": "HS256", "kid": key.kid}
    return assembled(head, json.dumps(GOOD).encode(), lambda data: hmac.sign(data, public))


def unsigned(issuer: LocalIssuer) -> str:
    head = {"alg": "none", "kid": issuer.key("RS256").kid}
    return assembled(head, json.dumps(GOOD).encode(), lambda _: b"")


def tampered(issuer: LocalIssuer) -> str:
    head, _, signature = signed(issuer, GOOD).split(".")
    return f"{head}.{encoded(json.dumps({**GOOD, 'scope': 'admin'}).encode()).decode()}.{signature}"


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda issuer: signed(issuer, {**GOOD, "exp": NOW - 1}), id="expired"),
        pytest.param(lambda issuer: signed(issuer, {**GOOD, "nbf": NOW + 3600}), id="not yet valid"),
        pytest.param(lambda issuer: signed(issuer, {**GOOD, "iss": "other"}), id="other issuer"),
        pytest.param(lambda issuer: signed(issuer, {**GOOD, "aud": "other"}), id="other audience"),
        pytest.param(unsigned, id="alg none"),
        pytest.param(hs256, id="HS256 with the public key"),
        pytest.param(lambda issuer: signed(issuer, GOOD, kid="unknown"), id="unknown kid"),
        pytest.param(
            lambda issuer: signed(issuer, GOOD, kid=issuer.key("ES256").kid), id="RS256 under an EC key"
        ),
        pytest.param(tampered, id="tampered payload"),
        pytest.param(lambda _: "abc", id="no token at all"),
    ],
)
def test_a_wrong_token_is_forbidden(
    client: httpx.Client, issuer: LocalIssuer, forge: Callable[[LocalIssuer], str]
) -> None:
    assert_message(call(client, forge(issuer)), 403, "Forbidden")


def test_a_key_from_where_the_token_says_is_forbidden(client: httpx.Client, tmp_path: Path) -> None:
    attacker = LocalIssuer.open(tmp_path)
    token = signed(attacker, GOOD, jku=f"{client.base_url}/.well-known/jwks.json")
    assert_message(call(client, token), 403, "Forbidden")


def test_no_token_is_unauthorized(client: httpx.Client) -> None:
    assert_message(client.post("/closed"), 401, "Unauthorized")
