"""Reports that are asked for in broken queries."""

from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from tests.support.bad_values import HERE, IDS, NOW, TIMES, raw
from tests.support.product import assert_problem, ok

pytestmark = pytest.mark.usefixtures("market")

QUERY_TIMES = [value for value in TIMES if isinstance(value, str)]
QUERY_TIMES += [
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00",
    "1969-12-31T00:00:00Z",
]
QUERY_IDS = [value for value in IDS if isinstance(value, str)]
BAD_QUERIES: dict[str, dict[str, list[str]]] = {
    "/api/roas": {
        **dict.fromkeys((*HERE, "device_type", "os"), QUERY_IDS),
        "country": ["us", "USA", ""],
        "from": QUERY_TIMES,
        "to": QUERY_TIMES,
        "unknown": ["1"],
        "publisher_id": ["p1"],
    },
    "/api/metrics/vpi": {
        **dict.fromkeys(HERE, QUERY_IDS),
        "granularity": ["", "week", "HOUR", "hour "],
        "timezone": ["", "Mars", "../UTC", "utc", "UTC\0", "/etc/localtime", "localtime", "+01:00"],
        "from": QUERY_TIMES,
        "to": QUERY_TIMES,
        "unknown": ["1"],
    },
}


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        pytest.param(path, name, value, id=f"{path[5:]}?{name}={value!r:.40}")
        for path, names in BAD_QUERIES.items()
        for name, values in names.items()
        for value in values
    ],
)
def test_a_query_that_is_wrong_is_named(admin: httpx.Client, path: str, name: str, value: str) -> None:
    query = {**(HERE if path == "/api/roas" else {}), name: value}
    problem = assert_problem(admin.get(path, params=query), 422)
    assert [error["property"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize("path", ["/api/roas", "/api/metrics/vpi"])
def test_a_time_that_runs_backwards(admin: httpx.Client, path: str) -> None:
    query = HERE if path == "/api/roas" else {}
    for since, until in ((NOW, NOW), (NOW, NOW - timedelta(seconds=1)), (NOW + timedelta(days=1), None)):
        times = {"from": since.isoformat()} | ({"to": until.isoformat()} if until else {})
        problem = assert_problem(admin.get(path, params={**query, **times}), 422)
        assert [error["property"] for error in problem["errors"]] == ["from"]


def test_a_series_that_is_too_long(admin: httpx.Client) -> None:
    for granularity, days in (("hour", 32), ("day", 401)):
        query = {
            "granularity": granularity,
            "from": (NOW - timedelta(days=days)).isoformat(),
            "to": NOW.isoformat(),
        }
        assert_problem(admin.get("/api/metrics/vpi", params=query), 422)


@pytest.mark.parametrize(
    "query",
    ["&&&=&=", "brand_id", "%", "%zz=1", "brand_id=%ff&partner_id=p1&slot_id=s1", "=1", "a" * 5000, "\xff"],
)
def test_a_query_that_is_none(admin: httpx.Client, query: str) -> None:
    for path in ("/api/roas", "/api/metrics/vpi"):
        assert_problem(raw(admin, "GET", f"{path}?{quote(query, safe='&=%')}"), 404, 422)


def test_a_plus_sign_in_a_querys_time_may_be_left_as_it_is(admin: httpx.Client) -> None:
    ok(raw(admin, "GET", "/api/roas?brand_id=b1&partner_id=p1&slot_id=s1&from=2026-01-01T00:00:00+01:00"))
