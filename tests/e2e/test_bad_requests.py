"""What comes in broken: the answer that the contract names, with the property at fault, and never a 500.

What is alike for every function; `test_bad_requests_*` has what each function takes.
"""

import json
import string
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bad_values import BID, BODIES, EVENT, SCORE, raw
from tests.support.product import JSON, assert_problem, ok
from tests.support.small_api import assert_message

pytestmark = pytest.mark.usefixtures("market")

WRITES = [("POST", path) for path in BODIES]
WRITES += [("PUT", f"{path}/b1") for path in BODIES if path not in ("/api/score", "/api/performance")]

RAW = {
    "empty": b"",
    "blank": b" \r\n",
    "not JSON": b"{'id': 1}",
    "cut short": b'{"id": "r", "bids": [',
    "two documents": b"{} {}",
    "null": b"null",
    "an array": b"[]",
    "a number": b"1",
    "a string": b'"{}"',
    "true": b"true",
    "NaN": b"NaN",
    "no UTF-8": b'{"id": "\xff"}',
    "UTF-16": '{"id": "r"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "half a surrogate pair": rb'{"id": "\ud800"}',
    "a lone low surrogate": rb'{"\udc00": 1}',
    "a form": b"id=r&bids=1",
    "XML": b"<bids/>",
    "10,000 brackets": b"[" * 10_000 + b"]" * 10_000,
    "10,000 objects": b'{"bids":' * 10_000 + b"1" + b"}" * 10_000,
    "10,000 brackets in a field": b'{"id": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "an integer of 5,000 digits": b'{"id": ' + b"9" * 5_000 + b"}",
    "a number with an exponent of 400": b'{"id": 1e400}',
    "a number with an exponent of 10^10": b'{"id": 1e9999999999}',
    "an empty object": b"{}",
    "unknown fields alone": b'{"__proto__": {}, "constructor": 1}',
}


@pytest.mark.parametrize("body", RAW.values(), ids=RAW.keys())
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_body_that_is_none(admin: httpx.Client, method: str, path: str, body: bytes) -> None:
    assert assert_problem(admin.request(method, path, content=body, headers=JSON), 422)["errors"]


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(("size", "status"), [(1024 * 1024, 422), (1024 * 1024 + 1, 413)])
def test_a_body_over_one_mebibyte(
    admin: httpx.Client, method: str, path: str, size: int, status: int
) -> None:
    body = b'{"id": "' + b"x" * (size - 10) + b'"}'
    assert_problem(admin.request(method, path, content=body, headers=JSON), status)


def test_a_body_over_one_mebibyte_counts_bytes(admin: httpx.Client) -> None:
    body = '{"id": "' + "é" * (512 * 1024) + '"}'
    for kind in ("application/json", "application/octet-stream"):
        answer = admin.post("/api/score", content=body.encode(), headers={"content-type": kind})
        assert_problem(answer, 413)


def test_a_body_over_api_gateways_own_limit(admin: httpx.Client) -> None:
    answer = admin.post("/api/score", content=b"x" * 10_000_001, headers=JSON)
    assert_message(answer, 413, "Request Entity Too Large")


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field_is_named(admin: httpx.Client, path: str) -> None:
    for name in ("nmae", "Id", "id ", "", "é", "a.b", "x" * 1000, "\0", "__class__"):
        problem = assert_problem(admin.post(path, json={**BODIES[path], name: 1}), 422)
        assert [error["property"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize("path", BODIES)
def test_a_missing_field_is_named(admin: httpx.Client, path: str) -> None:
    for name in BODIES[path].keys() - {"vertical"} if path == "/api/priors" else BODIES[path]:
        body = {key: value for key, value in BODIES[path].items() if key != name}
        problem = assert_problem(admin.post(path, json=body), 422)
        assert name in [error["property"] for error in problem["errors"]]


def test_a_key_that_comes_twice_counts_as_it_came_last(admin: httpx.Client) -> None:
    twice = json.dumps(SCORE)[:-1] + ', "id": "", "id": "last"}'
    assert ok(admin.post("/api/score", content=twice.encode(), headers=JSON))["id"] == "last"


# HTTP itself.


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"]
)
def test_the_body_is_json_whatever_its_label(admin: httpx.Client, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    ok(admin.post("/api/score", content=json.dumps(SCORE).encode(), headers=headers))
    assert_problem(admin.post("/api/score", content=b"id=r", headers=headers), 422)


def test_a_body_in_chunks(admin: httpx.Client) -> None:
    def chunks(text: str) -> Iterator[bytes]:
        yield from (text[start : start + 7].encode() for start in range(0, len(text), 7))

    headers = {**JSON, "transfer-encoding": "chunked"}
    ok(raw(admin, "POST", "/api/score", chunks(json.dumps(SCORE)), headers, encode_chunked=True))
    assert_problem(raw(admin, "POST", "/api/score", chunks("{" * 100), headers, encode_chunked=True), 422)
    assert_problem(
        raw(admin, "POST", "/api/score", chunks("x" * 1_048_577), headers, encode_chunked=True), 413
    )


def test_a_compressed_body_is_no_json(admin: httpx.Client) -> None:
    headers = {**JSON, "content-encoding": "gzip"}
    assert_problem(admin.post("/api/score", content=b"\x1f\x8b\x08\x00", headers=headers), 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/api/score") for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")),
        *((method, "/api/performance") for method in ("GET", "PUT", "DELETE")),
        *((method, "/api/roas") for method in ("POST", "PUT", "DELETE", "HEAD")),
        ("POST", "/api/metrics/vpi"),
        ("POST", "/healthz"),
        *(
            ("GET", path)
            for path in (
                "/",
                "/api",
                "/api/",
                "/api/score/",
                "/API/brands",
                "/api/brand",
                "/api//brands",
                "/api/brands/",
            )
        ),
        *(
            ("GET", path)
            for path in ("/api/scores", "/api/metrics", "/favicon.ico", "/.env", "/../template.yaml", "/keys")
        ),
    ],
)
def test_where_there_is_no_route(admin: httpx.Client, method: str, path: str) -> None:
    answer = raw(admin, method, path)
    assert answer.status_code == 404
    if method != "HEAD":
        assert_message(answer, 404, "Not Found")


# Whatever else.

words = st.sampled_from(
    sorted({*BID, *EVENT, *SCORE, "events", "at", "dry_run", "count", "cost", "name", "currency"})
)
texts = st.text(max_size=5) | st.sampled_from(
    ["b1", "p1", "s1", "USD", "CPM", "click", "1e5", "-0", EVENT["event_time"]]
)
numbers = st.integers() | st.floats(allow_nan=True, allow_infinity=True) | st.just(10**400)
jsonish = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | texts, inner, max_size=6),
    max_leaves=12,
)


@pytest.mark.parametrize("path", BODIES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_body_makes_it_fail(admin: httpx.Client, path: str, data: st.DataObject) -> None:
    body = data.draw(jsonish | st.fixed_dictionaries({}, optional=dict.fromkeys(BODIES[path], jsonish)))
    if data.draw(st.booleans()) and isinstance(body, dict):
        body = {**BODIES[path], **body}
    if path in ("/api/score", "/api/performance") and data.draw(st.booleans()):
        items, base = ("bids", BID) if path == "/api/score" else ("events", EVENT)
        odd = data.draw(st.dictionaries(st.sampled_from(sorted(base)) | texts, jsonish, max_size=3))
        body = {**BODIES[path], items: [{**base, **odd}]}
    answer = admin.post(path, content=json.dumps(body).encode("utf-8", "surrogatepass"), headers=JSON)
    if answer.status_code not in (200, 201):
        assert_problem(answer, 409, 422)
    json.loads(answer.content, parse_constant=pytest.fail)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(string.printable, max_size=30), query=st.text(string.printable, max_size=30))
def test_no_target_makes_it_fail(admin: httpx.Client, path: str, query: str) -> None:
    for start in ("/api/brands/", "/api/roas?", "/api/metrics/vpi?", "/api/slots?cursor=", "/"):
        answer = raw(admin, "GET", f"{start}{quote(path)}?{quote(query, safe='&=+%;')}")
        assert answer.status_code in (200, 404, 422, 431), answer.text
