"""The local gateway over real HTTP: how it asks the authorizer, calls functions and reads their answers."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.gateway import DecisionCache, Gateway, LocalServer
from tests.support.small_api import assert_message, echoed, small_api


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_api(tmp_path_factory.mktemp("gateway")) as template:
        yield template


@pytest.fixture(scope="module")
def url(template: Path) -> Iterator[str]:
    gateway = Gateway(template)
    gateway.load()
    with LocalServer(gateway).running() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


def authorizer_calls() -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = sys.modules["gateway_handlers"].calls
    return calls


class TestAuthorizer:
    def test_hands_the_claims_on(self, client: httpx.Client) -> None:
        event = echoed(client.post("/closed", headers={"Authorization": "Bearer good"}))
        assert event["requestContext"]["authorizer"] == {"lambda": {"sub": "someone"}}

    def test_hands_on_an_empty_context(self, client: httpx.Client) -> None:
        event = echoed(client.post("/closed", headers={"Authorization": "Bearer bare"}))
        assert event["requestContext"]["authorizer"] == {"lambda": {}}

    def test_gets_a_request_event_without_the_body(self, client: httpx.Client) -> None:
        authorizer_calls().clear()
        token = {"Authorization": f"Bearer {time.time_ns()}", "Content-Type": "text/plain"}
        client.post("/closed?a=1", content="secret", headers=token)
        [event] = authorizer_calls()
        assert (event["version"], event["type"]) == ("2.0", "REQUEST")
        assert event["identitySource"] == [token["Authorization"]]
        assert event["routeArn"].endswith("/$default/POST/closed")
        assert event["headers"]["authorization"] == token["Authorization"]
        assert event["queryStringParameters"] == {"a": "1"}
        assert "body" not in event

    @pytest.mark.parametrize("headers", [{}, {"Authorization": ""}])
    def test_a_missing_token_is_401_and_not_even_asked_about(
        self, client: httpx.Client, headers: dict[str, str]
    ) -> None:
        authorizer_calls().clear()
        assert_message(client.post("/closed", headers=headers), 401, "Unauthorized")
        assert authorizer_calls() == []

    @pytest.mark.parametrize(
        ("token", "status", "message"),
        [
            ("bad", 403, "Forbidden"),
            ("broken", 500, "Internal Server Error"),
            ("odd", 500, "Internal Server Error"),
        ],
    )
    def test_a_refusal_is_403_and_a_failure_500(
        self, client: httpx.Client, token: str, status: int, message: str
    ) -> None:
        assert_message(client.post("/closed", headers={"Authorization": f"Bearer {token}"}), status, message)

    def test_one_answer_serves_all_routes_for_a_minute(self, template: Path) -> None:
        now = [1_000.0]
        gateway = Gateway(template, clock=lambda: now[0])
        gateway.load()
        with LocalServer(gateway).running() as url, httpx.Client(base_url=url) as client:
            good = {"Authorization": "Bearer good"}
            authorizer_calls().clear()
            client.post("/closed", headers=good)
            client.get("/other", headers=good)
            assert len(authorizer_calls()) == 1
            now[0] += 59.9
            client.post("/closed", headers=good)
            assert len(authorizer_calls()) == 1
            client.post("/closed", headers={"Authorization": "bearer good"})
            assert len(authorizer_calls()) == 2
            now[0] += 0.1
            client.post("/closed", headers=good)
            assert len(authorizer_calls()) == 3

    def test_a_refusal_is_kept_and_a_failure_is_not(self, client: httpx.Client) -> None:
        authorizer_calls().clear()
        for _ in range(2):
            client.post("/closed", headers={"Authorization": "Bearer refused-once"})
        assert len(authorizer_calls()) == 1
        for _ in range(2):
            client.post("/closed", headers={"Authorization": "Bearer broken"})
        assert len(authorizer_calls()) == 3

    def test_the_cache_is_bounded_and_keeps_what_is_used(self) -> None:
        cache = DecisionCache(2)
        cache.put(("a",), {"n": 1}, until=10)
        cache.put(("b",), {"n": 2}, until=10)
        assert cache.get(("a",), 0) == {"n": 1}
        cache.put(("c",), {"n": 3}, until=10)
        assert [cache.get((name,), 9.9) is not None for name in "abc"] == [True, False, True]
        assert cache.get(("a",), 10) is None


class TestAnswers:
    @pytest.mark.parametrize(
        "what", ["raise", "exit", "timeout", "sleep", "status", "base64", "unserialisable", "huge"]
    )
    def test_what_goes_wrong_is_a_500_that_says_nothing(self, client: httpx.Client, what: str) -> None:
        assert_message(client.get(f"/special?what={what}"), 500, "Internal Server Error")

    def test_a_function_that_hung_is_replaced(self, client: httpx.Client) -> None:
        started = time.monotonic()
        assert client.get("/special?what=sleep").status_code == 500
        assert client.get("/special").status_code == 418
        assert 1 <= time.monotonic() - started < 2.5

    def test_a_result_without_a_status_is_the_body(self, client: httpx.Client) -> None:
        response = client.get("/special?what=plain")
        assert (response.status_code, response.json()) == (200, {"answer": 42})
        assert client.get("/special?what=none").json() is None

    def test_the_content_type_defaults_to_text(self, client: httpx.Client) -> None:
        response = client.get("/special")
        assert (response.text, response.headers["content-type"]) == ("short", "text/plain;charset=UTF-8")

    def test_binary_bodies_are_decoded_and_measured(self, client: httpx.Client) -> None:
        response = client.get("/special?what=binary")
        assert response.content == b"\x00\xff"
        assert response.headers["content-length"] == "2"
        assert response.headers["content-type"] == "application/octet-stream"

    def test_no_content_and_cookies(self, client: httpx.Client) -> None:
        response = client.get("/special?what=empty")
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]

    def test_head_has_headers_and_no_body(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=5)
        for _ in range(2):  # twice: a stray body would break the second
            connection.request("HEAD", "/special")
            response = connection.getresponse()
            assert (response.status, response.read()) == (418, b"")
        connection.close()


@pytest.mark.parametrize(("concurrency", "threads"), [(1, 1), (3, 3)])
def test_an_environment_serves_one_call_at_a_time(template: Path, concurrency: int, threads: int) -> None:
    gateway = Gateway(template, concurrency=concurrency)
    gateway.load()
    used: set[int] = sys.modules["gateway_handlers"].threads
    used.clear()
    with LocalServer(gateway).running() as url, ThreadPoolExecutor(3) as pool:
        started = time.monotonic()
        statuses = list(pool.map(lambda _: httpx.get(f"{url}/slow", timeout=10).status_code, range(3)))
        took = time.monotonic() - started
    assert statuses == [200, 200, 200]
    assert len(used) == threads
    assert took >= 0.2 * 3 / concurrency
    assert threading.get_ident() not in used
