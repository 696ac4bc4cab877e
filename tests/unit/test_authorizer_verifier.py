"""Whom a good token lets in, and which claims of a well-signed one do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.authorizer.app import authorize, bearer_token
from functions.authorizer.keystore import KeyStore, KeysUnavailable
from functions.authorizer.sources import SourceError
from functions.authorizer.verifier import Refused, TokenVerifier
from local.keys import LocalIssuer
from local.tokens import mint
from tests.support.tokens import NOW, claims, signed, verifier_of


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


class TestGoodTokens:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_both_algorithms(self, issuer: LocalIssuer, verifier: TokenVerifier, algorithm: str) -> None:
        token = mint(
            issuer,
            scope="partner",
            now=NOW,
            partners=["p1", "camp 1", "#N/A"],
            algorithm=algorithm,
            lifetime=90,
        )
        caller = verifier.verify(token, NOW)
        assert caller.context() == {
            "sub": "local",
            "iss": "partnerize",
            "exp": "1800000090",
            "scope": "partner",
            "brand_ids": "[]",
            "partner_ids": '["p1","camp 1","#N/A"]',
        }

    @pytest.mark.parametrize(
        ("given", "scopes"),
        [
            ({"scope": "brand partner"}, ("brand", "partner")),
            ({"scope": ["brand", "partner"]}, ("brand", "partner")),
            ({"scp": ["brand"]}, ("brand",)),
            ({"scp": "brand admin"}, ("brand", "admin")),
            ({"scopes": ["brand", "https://x.example/y:z"]}, ("brand", "https://x.example/y:z")),
            ({"scope": "a b", "scp": ["b", "c"], "scopes": "d  a"}, ("a", "b", "c", "d")),
            ({"scope": ""}, ()),
            ({}, ()),
        ],
    )
    def test_scopes_wherever_they_are(
        self, issuer: LocalIssuer, verifier: TokenVerifier, given: dict[str, Any], scopes: tuple[str, ...]
    ) -> None:
        caller = verifier.verify(signed(issuer, {**claims(scope=...), **given}), NOW)
        assert caller.scopes == scopes
        assert caller.context()["scope"] == " ".join(scopes)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (["b1", "b2", "b1"], '["b1","b2"]'),
            (["*"], '["*"]'),
            (["b1", "*"], '["*"]'),
            ("*", '["*"]'),
            ([], "[]"),
            (["é"], '["\\u00e9"]'),
            (["x" * 64], json.dumps(["x" * 64])),
        ],
    )
    def test_tenants(self, issuer: LocalIssuer, verifier: TokenVerifier, given: Any, expected: str) -> None:
        caller = verifier.verify(signed(issuer, claims(brand_ids=given, partner_ids=given)), NOW)
        assert caller.context()["brand_ids"] == caller.context()["partner_ids"] == expected

    def test_the_audience_may_be_one_of_several(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        assert verifier.verify(signed(issuer, claims(aud=["other", "adbid"])), NOW).subject == "s"

    def test_times_count_to_the_second(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        token = signed(issuer, claims(nbf=NOW, iat=NOW, exp=NOW + 1))
        assert verifier.verify(token, NOW).expires_at == NOW + 1
        assert refusal(verifier, token, NOW - 0.001) == "not_yet_valid"
        verifier.verify(token, NOW + 0.999)
        assert refusal(verifier, token, NOW + 1) == "expired"

    def test_a_fraction_of_a_second_is_rounded_down(
        self, issuer: LocalIssuer, verifier: TokenVerifier
    ) -> None:
        assert verifier.verify(signed(issuer, claims(exp=NOW + 1.9)), NOW).context()["exp"] == "1800000001"

    def test_a_missing_subject_is_empty(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        assert verifier.verify(signed(issuer, claims(sub=...)), NOW).context()["sub"] == ""


class TestRefusedClaims:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"iss": "someone-else"}, "issuer"),
            ({"iss": "Partnerize"}, "issuer"),
            ({"iss": ["partnerize"]}, "issuer"),
            ({"iss": ...}, "missing_claim"),
            ({"aud": "other"}, "audience"),
            ({"aud": ["other", "adbid2"]}, "audience"),
            ({"aud": []}, "missing_claim"),
            ({"aud": ["adbid", 7]}, "audience"),
            ({"aud": {"adbid": 1}}, "audience"),
            ({"aud": ...}, "missing_claim"),
            ({"exp": ...}, "missing_claim"),
            ({"exp": None}, "missing_claim"),
            ({"exp": NOW}, "expired"),
            ({"exp": NOW - 3600}, "expired"),
            ({"nbf": NOW + 1}, "not_yet_valid"),
            ({"iat": NOW + 1}, "issued_in_future"),
            ({"exp": "1900000000"}, "claims"),
            ({"exp": True}, "claims"),
            ({"exp": float("nan")}, "claims"),
            ({"exp": float("inf")}, "claims"),
            ({"exp": 10**20}, "claims"),
            ({"exp": [1]}, "claims"),
            ({"nbf": "soon"}, "claims"),
            ({"nbf": None}, "claims"),
            ({"iat": -1}, "claims"),
            ({"sub": 5}, "malformed"),
            ({"sub": "a\nb"}, "claims"),
            ({"sub": "x" * 257}, "claims"),
            ({"scope": 5}, "claims"),
            ({"scope": None}, "claims"),
            ({"scope": {"admin": True}}, "claims"),
            ({"scope": "brand\tadmin"}, "claims"),
            ({"scope": "brand,admin"}, "claims"),
            ({"scopes": ["brand admin"]}, "claims"),
            ({"scp": [["admin"]]}, "claims"),
            ({"scp": [""]}, "claims"),
            ({"brand_ids": "b1"}, "claims"),
            ({"brand_ids": None}, "claims"),
            ({"brand_ids": {"b1": 1}}, "claims"),
            ({"brand_ids": [1]}, "claims"),
            ({"partner_ids": [""]}, "claims"),
            ({"partner_ids": ["x" * 65]}, "claims"),
            ({"partner_ids": ["a\x00b"]}, "claims"),
            ({"partner_ids": ["\ud800"]}, "claims"),
            ({"partner_ids": [None]}, "claims"),
        ],
    )
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    def test_refuses(
        self,
        issuer: LocalIssuer,
        verifier: TokenVerifier,
        changes: dict[str, Any],
        reason: str,
        algorithm: str,
    ) -> None:
        assert refusal(verifier, signed(issuer, claims(**changes), algorithm)) == reason

    @pytest.mark.parametrize(
        "payload",
        [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"exp": 1' + b"0" * 5000 + b"}", b"[" * 6000],
    )
    def test_refuses_a_payload_that_is_no_object(
        self, issuer: LocalIssuer, verifier: TokenVerifier, payload: bytes
    ) -> None:
        assert refusal(verifier, signed(issuer, payload)) in ("malformed", "too_large")


class TestAuthorize:
    def test_answers_api_gateway(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        token = mint(issuer, scope="admin", now=NOW)
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = authorize({"identitySource": [f"{scheme} {token}"]}, verifier, NOW)
            assert answer["isAuthorized"] is True
            assert answer["context"]["scope"] == "admin"
            assert all(isinstance(value, str) for value in answer["context"].values())

    @pytest.mark.parametrize(
        "source", [[], [""], [None], ["Bearer"], ["Bearer "], ["Basic dTpw"], ["abc"], ["Bearer\tx"], None]
    )
    def test_wants_a_bearer_token(self, source: Any) -> None:
        with pytest.raises(Refused, match="no_bearer_token"):
            bearer_token({"identitySource": source})

    def test_two_tokens_in_one_header_are_none(self, issuer: LocalIssuer, verifier: TokenVerifier) -> None:
        token = mint(issuer, scope="admin", now=NOW)
        with pytest.raises(Refused):
            authorize({"identitySource": [f"Bearer {token},Bearer {token}"]}, verifier, NOW)

    def test_a_source_that_is_down_refuses_nobody(self, issuer: LocalIssuer) -> None:
        def fetch() -> bytes:
            raise SourceError("down")

        keys = KeyStore(fetch, refresh_seconds=300, reload_seconds=60, on_failure=lambda _: None)
        verifier = TokenVerifier(keys, issuer="partnerize", audience="adbid")
        with pytest.raises(KeysUnavailable):
            verifier.verify(mint(issuer, scope="admin", now=NOW), NOW)
