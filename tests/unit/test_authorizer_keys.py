"""Where the issuer's keys come from and how long they are believed; settings; and the handler as a whole."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.authorizer import app, sources
from functions.authorizer.jwks import MalformedKeySet, parse_key_set
from functions.authorizer.keystore import KeyStore, KeysUnavailable
from functions.authorizer.settings import AuthorizerSettings, SettingsError
from functions.authorizer.sources import SourceError, fetch_secret, fetch_url, key_set_source
from local.keys import LocalIssuer
from local.tokens import mint

T0 = 1_800_000_000.0


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> LocalIssuer:
    return LocalIssuer.open(tmp_path_factory.mktemp("issuer"))


class Source:
    """A source of key sets that counts its calls and can be taken down."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.down = False
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        if self.down:
            raise SourceError("down")
        return self.document


def store_of(source: Source, failures: list[str] | None = None) -> KeyStore:
    report: Callable[[str], None] = (lambda _: None) if failures is None else failures.append
    return KeyStore(source, refresh_seconds=300, reload_seconds=60, on_failure=report)


@pytest.fixture
def source(issuer: LocalIssuer) -> Source:
    return Source(issuer.jwks())


@pytest.fixture
def kid(issuer: LocalIssuer) -> str:
    return issuer.key("RS256").kid


class TestKeyStore:
    def test_fetches_once_and_again_after_five_minutes(self, source: Source, kid: str) -> None:
        store = store_of(source)
        for after, calls in [(0, 1), (1, 1), (299.9, 1), (300, 2), (301, 2), (600, 3)]:
            assert store.find(kid, "RS256", T0 + after) is not None
            assert source.calls == calls

    def test_a_key_that_was_withdrawn_is_gone_with_the_next_fetch(self, source: Source, kid: str) -> None:
        store = store_of(source)
        assert store.find(kid, "RS256", T0) is not None
        source.document = b'{"keys": []}'
        assert store.find(kid, "RS256", T0 + 299) is not None
        assert store.find(kid, "RS256", T0 + 300) is None

    def test_an_unknown_kid_reloads_at_most_once_a_minute(
        self, source: Source, kid: str, tmp_path: Path
    ) -> None:
        store = store_of(source)
        store.find(kid, "RS256", T0)
        rotated = LocalIssuer.open(tmp_path)
        source.document = rotated.jwks()
        assert store.find(rotated.key("RS256").kid, "RS256", T0 + 10) is not None
        assert source.calls == 2
        for after in (11, 30, 69.9):
            assert store.find("made-up", "RS256", T0 + after) is None
        assert source.calls == 2
        assert store.find("made-up", "RS256", T0 + 70) is None
        assert source.calls == 3

    def test_an_unknown_kid_at_the_first_call_fetches_once(self, source: Source) -> None:
        assert store_of(source).find("made-up", "RS256", T0) is None
        assert source.calls == 1

    def test_a_known_kid_with_the_other_algorithm_reloads_nothing(self, source: Source, kid: str) -> None:
        store = store_of(source)
        store.find(kid, "RS256", T0)
        assert store.find(kid, "ES256", T0 + 1) is None
        assert source.calls == 1

    def test_the_last_good_set_outlives_its_source_by_an_hour(self, source: Source, kid: str) -> None:
        failures: list[str] = []
        store = store_of(source, failures)
        store.find(kid, "RS256", T0)
        source.down = True
        for after in (300, 1800, 3599.9):
            assert store.find(kid, "RS256", T0 + after) is not None
        assert failures == ["down"] * 3
        with pytest.raises(KeysUnavailable):
            store.find(kid, "RS256", T0 + 3600)
        source.down = False
        assert store.find(kid, "RS256", T0 + 3605) is not None

    @pytest.mark.parametrize("document", [b"<html>", b"[]", b'{"keys": {}}', b"", b"[" * 100_000])
    def test_nonsense_counts_as_down(self, source: Source, kid: str, document: bytes) -> None:
        store = store_of(source)
        store.find(kid, "RS256", T0)
        source.document = document
        assert store.find(kid, "RS256", T0 + 300) is not None
        with pytest.raises(MalformedKeySet):
            parse_key_set(document)

    def test_a_source_that_is_down_is_asked_every_five_seconds(self, source: Source, kid: str) -> None:
        store = store_of(source)
        source.down = True
        for after, calls in [(0, 1), (1, 1), (4.9, 1), (5, 2)]:
            with pytest.raises(KeysUnavailable):
                store.find(kid, "RS256", T0 + after)
            assert source.calls == calls
        source.down = False
        assert store.find(kid, "RS256", T0 + 10) is not None

    def test_a_clock_set_back_fetches_again(self, source: Source, kid: str) -> None:
        store = store_of(source)
        store.find(kid, "RS256", T0)
        assert store.find(kid, "RS256", T0 - 100) is not None
        assert source.calls == 2


class _Site(BaseHTTPRequestHandler):
    document = b""
    asked: list[str]  # one list per server

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/keys")
            self.end_headers()
            return
        self.send_response(503 if self.path == "/down" else 200)
        self.end_headers()
        if self.path == "/large":
            self.wfile.write(b" " * (sources.MAX_BYTES + 1))
        elif self.path == "/slow":
            time.sleep(0.5)
        elif self.path == "/dripping":
            for _ in range(30):
                self.wfile.write(b" ")
                time.sleep(0.02)
        else:
            self.wfile.write(self.document)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is not the place."""


@contextmanager
def serving(document: bytes) -> Iterator[tuple[str, list[str]]]:
    """A web site with a key set at /keys: its URL, and the paths that it was asked for."""
    asked: list[str] = []
    handler = type("Site", (_Site,), {"document": document, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


class TestUrl:
    def test_fetches_the_document(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        with serving(b"document") as (url, _):
            assert fetch_url(f"{url}/keys") == b"document"

    @pytest.mark.parametrize("path", ["down", "moved", "large", "slow", "dripping"])
    def test_refuses_what_is_not_a_plain_answer(self, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
        monkeypatch.setattr(sources, "TIMEOUT_SECONDS", 0.2)
        with serving(b"document") as (url, asked):
            with pytest.raises(SourceError):
                fetch_url(f"{url}/{path}")
            assert asked == [f"/{path}"]

    def test_nobody_listening(self) -> None:
        with serving(b"") as (url, _):
            pass
        with pytest.raises(SourceError):
            fetch_url(f"{url}/keys")


class TestSecret:
    @pytest.fixture(autouse=True)
    def _aws(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        with mock_aws():
            yield

    def test_reads_the_document(self, issuer: LocalIssuer, kid: str) -> None:
        document = issuer.jwks().decode()
        boto3.client("secretsmanager").create_secret(Name="jwks", SecretString=document)
        settings = AuthorizerSettings.from_environment({"JWKS_SECRET_ID": "jwks"})
        assert (kid, "RS256") in parse_key_set(key_set_source(settings)())

    def test_a_missing_secret_is_a_source_that_is_down(self) -> None:
        with pytest.raises(SourceError, match=r"ResourceNotFoundException|ClientError"):
            fetch_secret("nowhere")

    def test_a_binary_secret_is_none(self) -> None:
        boto3.client("secretsmanager").create_secret(Name="binary", SecretBinary=b"{}")
        with pytest.raises(SourceError):
            fetch_secret("binary")


class TestSettings:
    def test_defaults(self) -> None:
        settings = AuthorizerSettings.from_environment(
            {"JWKS_URL": "https://keys.example/jwks", "JWT_ISSUER": ""}
        )
        assert settings == AuthorizerSettings(
            "partnerize", "adbid", "https://keys.example/jwks", None, 300, 60
        )

    @pytest.mark.parametrize("url", ["http://127.0.0.1:8000/k", "http://localhost/k", "http://[::1]:80/k"])
    def test_plain_http_on_this_machine(self, url: str) -> None:
        assert AuthorizerSettings.from_environment({"JWKS_URL": url}).jwks_url == url

    @pytest.mark.parametrize(
        "url",
        [
            "http://keys.example/jwks",
            "http://127.0.0.1.example/jwks",
            "http://127.0.0.1@keys.example/jwks",
            "https://user:secret@keys.example/jwks",
            "https://keys.example:port/jwks",
            "https://[::1/jwks",
            "file:///etc/passwd",
            "ftp://127.0.0.1/jwks",
            "https://",
            "keys",
        ],
    )
    def test_other_urls_are_refused(self, url: str) -> None:
        with pytest.raises(SettingsError, match="JWKS_URL must be https"):
            AuthorizerSettings.from_environment({"JWKS_URL": url})

    def test_everything_wrong_is_said_at_once(self) -> None:
        wrong = {
            "JWKS_URL": "x",
            "JWKS_SECRET_ID": "y",
            "JWKS_REFRESH_SECONDS": "-1",
            "JWKS_RELOAD_SECONDS": "ten",
        }
        with pytest.raises(SettingsError) as caught:
            AuthorizerSettings.from_environment(wrong)
        message = str(caught.value)
        assert all(word in message for word in ("exactly one", "https", "REFRESH_SECONDS", "RELOAD_SECONDS"))

    def test_no_source_at_all(self) -> None:
        with pytest.raises(SettingsError, match="exactly one"):
            AuthorizerSettings.from_environment({})


class TestHandler:
    """The handler with its real clock, settings from the environment and keys over HTTP."""

    @pytest.fixture
    def context(self) -> Any:
        return SimpleNamespace(
            function_name="authorizer", memory_limit_in_mb=256, invoked_function_arn="arn", aws_request_id="1"
        )

    def event(self, token: str) -> dict[str, Any]:
        return {
            "version": "2.0",
            "type": "REQUEST",
            "identitySource": [f"Bearer {token}"],
            "requestContext": {"requestId": "request-7"},
        }

    def test_lets_in_keeps_out_and_tells_nobody_the_token(
        self,
        issuer: LocalIssuer,
        tmp_path: Path,
        context: Any,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        good = mint(issuer, scope="partner", partners=["p1"], now=time.time() - 1)
        bad = mint(LocalIssuer.open(tmp_path), scope="admin", now=time.time() - 1)
        with serving(issuer.jwks()) as (url, asked):
            monkeypatch.setenv("JWKS_URL", f"{url}/keys")
            monkeypatch.delenv("JWKS_SECRET_ID", raising=False)
            answers = [app.handler(self.event(token), context) for token in (good, bad, good)]
        assert answers[0] == answers[2]
        assert answers[0]["isAuthorized"] is True
        assert json.loads(answers[0]["context"]["partner_ids"]) == ["p1"]
        assert answers[1] == {"isAuthorized": False}
        assert asked == ["/keys", "/keys"]  # once at the start, once for the unknown kid
        printed = capsys.readouterr().out
        assert '"token_refused_total"' in printed
        for token in (good, bad):
            assert not any(part in printed for part in token.split("."))

    def test_fails_when_nobody_can_say(
        self, issuer: LocalIssuer, context: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with serving(b"") as (url, _):
            pass
        monkeypatch.setenv("JWKS_URL", f"{url}/keys")
        monkeypatch.delenv("JWKS_SECRET_ID", raising=False)
        with pytest.raises(KeysUnavailable):
            app.handler(self.event(mint(issuer, scope="admin", now=time.time())), context)

    def test_fails_when_it_is_not_configured(self, context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("JWKS_URL", raising=False)
        monkeypatch.delenv("JWKS_SECRET_ID", raising=False)
        with pytest.raises(SettingsError):
            app.handler(self.event("x"), context)
