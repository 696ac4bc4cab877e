"""Tokens whose signature or key must not be believed."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, HMACAlgorithm, RSAAlgorithm

from functions.authorizer.verifier import Refused, TokenVerifier
from local.keys import LocalIssuer
from tests.support.tokens import NOW, assembled, claims, encoded, signed, signed_with, verifier_of


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    return LocalIssuer.open(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def verifier(issuer: LocalIssuer) -> TokenVerifier:
    return verifier_of(issuer.jwks())


def refusal(verifier: TokenVerifier, token: str, now: float = NOW) -> str:
    with pytest.raises(Refused) as caught:
        verifier.verify(token, now)
    return caught.value.reason


class TestRefusedSignatures:
    def test_alg_none(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        kid = issuer.key("RS256").kid
        for algorithm in ("none", "None", "NONE", ""):
            head = {"alg": algorithm, "kid": kid}
            assert (
                refusal(verifier, assembled(head, json.dumps(claims()).encode(), lambda _: b""))
                == "algorithm"
            )

    def test_hs256_signed_with_the_public_key(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        for algorithm in ("RS256", "ES256"):
            key = issuer.key(algorithm)
            public = key.private_key.public_key()
            secrets = [
                public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
                for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
            ]
            for secret in secrets:
                head = {"alg": "HS256", "kid": key.kid}
                sign = partial(HMACAlgorithm(HMACAlgorithm.SHA256).sign, key=secret)
                token = assembled(head, json.dumps(claims()).encode(), sign)
                assert refusal(verifier, token) == "algorithm"

    @pytest.mark.parametrize(
        "algorithm", ["RS384", "RS512", "PS256", "ES384", "ES512", "EdDSA", "rs256", 5, None, ...]
    )
    def test_other_algorithms(self, issuer: LocalIssuer, verifier: TokenVerifier, algorithm: Any) -> None:
        assert refusal(verifier, signed(issuer, claims(), alg=algorithm)) == "algorithm"

    def test_one_types_algorithm_under_the_other_types_key(
        self, issuer: LocalIssuer, verifier: TokenVerifier
    ) -> None:
        rsa_kid, ec_kid = issuer.key("RS256").kid, issuer.key("ES256").kid
        assert refusal(verifier, signed(issuer, claims(), "RS256", kid=ec_kid)) == "unknown_key"
        assert refusal(verifier, signed(issuer, claims(), "ES256", kid=rsa_kid)) == "unknown_key"
        assert refusal(verifier, signed(issuer, claims(), "RS256", kid=ec_kid, alg="ES256")) == "signature"
        assert refusal(verifier, signed(issuer, claims(), "ES256", kid=rsa_kid, alg="RS256")) == "signature"

    def test_unknown_kid(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        assert refusal(verifier, signed(issuer, claims(), kid="someone-else")) == "unknown_key"

    @pytest.mark.parametrize("kid", [..., "", "x" * 257])
    def test_no_usable_kid(self, issuer: LocalIssuer, verifier: TokenVerifier, kid: Any) -> None:
        assert refusal(verifier, signed(issuer, claims(), kid=kid)) == "no_kid"

    @pytest.mark.parametrize("kid", [5, None, ["x"]])
    def test_a_kid_that_is_no_text(self, issuer: LocalIssuer, verifier: TokenVerifier, kid: Any) -> None:
        assert refusal(verifier, signed(issuer, claims(), kid=kid)) in ("malformed", "no_kid")

    def test_another_issuers_key_under_our_kid(
        self, issuer: LocalIssuer, verifier: TokenVerifier, tmp_path: Path
    ) -> None:
        other = LocalIssuer.open(tmp_path)
        for algorithm in ("RS256", "ES256"):
            token = signed(other, claims(), algorithm, kid=issuer.key(algorithm).kid)
            assert refusal(verifier, token) == "signature"

    @pytest.mark.parametrize("pointer", ["jku", "x5u"])
    def test_a_key_from_where_the_token_says(
        self, issuer: LocalIssuer, verifier: TokenVerifier, tmp_path: Path, pointer: str
    ) -> None:
        attacker = LocalIssuer.open(tmp_path)
        header = {pointer: "http://127.0.0.1:9/jwks.json"}
        assert refusal(verifier, signed(attacker, claims(), **header)) == "unknown_key"
        # Beside a good signature it is simply not looked at.
        assert verifier.verify(signed(issuer, claims(), **header), NOW).subject == "s"

    def test_a_key_inside_the_token(self, verifier: TokenVerifier, tmp_path: Path) -> None:
        attacker = LocalIssuer.open(tmp_path)
        [embedded, _] = json.loads(attacker.jwks())["keys"]
        assert refusal(verifier, signed(attacker, claims(), jwk=embedded)) == "unknown_key"

    @pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}])
    def test_critical_headers(
        self, issuer: LocalIssuer, verifier: TokenVerifier, header: dict[str, Any]
    ) -> None:
        assert refusal(verifier, signed(issuer, claims(), **header)) in ("critical_header", "malformed")

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_a_tampered_payload(self, issuer: LocalIssuer, verifier: TokenVerifier, algorithm: str) -> None:
        head, _, signature = signed(issuer, claims(), algorithm).split(".")
        forged = encoded(json.dumps(claims(scope="admin")).encode()).decode()
        assert refusal(verifier, f"{head}.{forged}.{signature}") == "signature"

    @pytest.mark.parametrize("signature", [b"\0" * 64, b"", b"\x30" * 70])
    def test_an_es256_signature_that_is_none(
        self, issuer: LocalIssuer, verifier: TokenVerifier, signature: bytes
    ) -> None:
        head = {"alg": "ES256", "kid": issuer.key("ES256").kid}
        token = assembled(head, json.dumps(claims()).encode(), lambda _: signature)
        assert refusal(verifier, token) in ("signature", "malformed")

    @pytest.mark.parametrize(
        "token", ["", ".", "..", "a.b.c", "a.b", "é.é.é", "\ud800", "x" * 9000, "A" * 8000]
    )
    def test_what_is_no_token(self, verifier: TokenVerifier, token: str) -> None:
        assert refusal(verifier, token) in ("malformed", "too_large")

    def test_a_token_too_long(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        assert refusal(verifier, signed(issuer, claims(padding="x" * 8000))) == "too_large"

    @given(position=st.integers(0, 10_000), character=st.sampled_from("AZaz09-_."))
    def test_any_change_of_a_character_is_refused(
        self, issuer: LocalIssuer, verifier: TokenVerifier, position: int, character: str
    ) -> None:
        token = signed(issuer, claims())
        index = position % len(token)
        changed = token[:index] + character + token[index + 1 :]
        if changed != token:
            refusal(verifier, changed)

    @given(st.text(max_size=300))
    def test_no_text_makes_it_fail(self, verifier: TokenVerifier, text: str) -> None:
        refusal(verifier, text)


class TestRefusedKeys:
    """Keys of the set that must not verify anything, each signing a token that is otherwise good."""

    def outcome(self, jwk: dict[str, Any], key: Any, algorithm: str = "RS256") -> str:
        token = signed_with(key, algorithm, {"alg": algorithm, "kid": "k"}, claims())
        try:
            return verifier_of(json.dumps({"keys": [jwk]}).encode()).verify(token, NOW).subject
        except Refused as refused:
            return refused.reason

    def rsa_jwk(self, key: rsa.RSAPrivateKey, **members: Any) -> dict[str, Any]:
        return {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k", **members}

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, "s"),
            ({"use": "sig", "alg": "RS256", "key_ops": ["verify"]}, "s"),
            ({"use": "enc"}, "unknown_key"),
            ({"alg": "RS512"}, "unknown_key"),
            ({"alg": "HS256"}, "unknown_key"),
            ({"key_ops": ["encrypt"]}, "unknown_key"),
            ({"key_ops": "verify"}, "unknown_key"),
            ({"kid": ""}, "unknown_key"),
            ({"kid": 7}, "unknown_key"),
            ({"kty": "oct", "k": "AAAA"}, "unknown_key"),
            ({"n": "!!!"}, "unknown_key"),
            ({"n": 5}, "unknown_key"),
            ({"e": "AQ"}, "unknown_key"),
        ],
    )
    def test_what_the_jwk_says_of_itself_holds(
        self, issuer: LocalIssuer, members: dict[str, Any], expected: str
    ) -> None:
        key = issuer.key("RS256").private_key
        assert isinstance(key, rsa.RSAPrivateKey)
        assert self.outcome(self.rsa_jwk(key, **members), key) == expected

    @pytest.mark.parametrize(("bits", "expected"), [(1024, "unknown_key"), (2048, "s")])
    def test_short_rsa_keys(self, bits: int, expected: str) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        assert self.outcome(self.rsa_jwk(key), key) == expected

    def test_a_private_key_in_the_set(self, issuer: LocalIssuer) -> None:
        key = issuer.key("RS256").private_key
        assert isinstance(key, rsa.RSAPrivateKey)
        jwk = {**RSAAlgorithm.to_jwk(key, as_dict=True), "kid": "k", "key_ops": ["verify"]}
        assert self.outcome(jwk, key) == "unknown_key"

    def test_other_curves(self) -> None:
        key = ec.generate_private_key(ec.SECP384R1())
        jwk = {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "k"}
        head = {"alg": "ES256", "kid": "k"}
        token = assembled(head, json.dumps(claims()).encode(), lambda _: b"\1" * 64)
        with pytest.raises(Refused, match="unknown_key"):
            verifier_of(json.dumps({"keys": [jwk]}).encode()).verify(token, NOW)

    def test_a_point_off_the_curve(self) -> None:
        jwk = {"kty": "EC", "crv": "P-256", "kid": "k", "x": "A" * 43, "y": "A" * 43}
        key = ec.generate_private_key(ec.SECP256R1())
        assert self.outcome(jwk, key, "ES256") == "unknown_key"
