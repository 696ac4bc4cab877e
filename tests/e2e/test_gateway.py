"""The local gateway over real HTTP: which route a request takes, and as what event it arrives."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.gateway import Gateway, LocalServer
from local.template import TemplateError, load_template, read_api
from tests.support.small_api import TEMPLATE, assert_message, echoed, small_api

KEYS = b'{"keys": []}'


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with small_api(tmp_path_factory.mktemp("gateway")) as template:
        yield template


@pytest.fixture(scope="module")
def url(template: Path) -> Iterator[str]:
    gateway = Gateway(template, documents={"/.well-known/jwks.json": KEYS})
    gateway.load()
    with LocalServer(gateway).running() as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=20) as client:
        yield client


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "key", "parameters"),
        [
            ("GET", "/pets/dog/1", "GET /pets/dog/1", None),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
            ("GET", "/pets/cat/1", "GET /pets/{proxy+}", {"proxy": "cat/1"}),
            ("PUT", "/pets/dog/1", "ANY /pets/{proxy+}", {"proxy": "dog/1"}),
            ("DELETE", "/pets/x", "ANY /pets/{proxy+}", {"proxy": "x"}),
            ("OPTIONS", "/pets/x", "ANY /pets/{proxy+}", {"proxy": "x"}),
            ("GET", "/pets/%23N%2FA", "GET /pets/{proxy+}", {"proxy": "#N/A"}),
            ("GET", "/pets/dog/camp%201", "GET /pets/dog/{id}", {"id": "camp 1"}),
            ("GET", "/pets/a%252Fb", "GET /pets/{proxy+}", {"proxy": "a%2Fb"}),
            ("GET", "/pets/%C3%A9", "GET /pets/{proxy+}", {"proxy": "é"}),
            ("GET", "/pets/a%0Ab", "GET /pets/{proxy+}", {"proxy": "a\nb"}),
            ("GET", "/pets/x/", "GET /pets/{proxy+}", {"proxy": "x/"}),
        ],
    )
    def test_takes_the_most_specific_route(
        self, client: httpx.Client, method: str, path: str, key: str, parameters: dict[str, str] | None
    ) -> None:
        event = echoed(client.request(method, path))
        assert event["routeKey"] == event["requestContext"]["routeKey"] == key
        assert event.get("pathParameters") == parameters

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/nowhere"),
            ("GET", "/open"),
            ("POST", "/open/"),
            ("POST", "/OPEN"),
            ("HEAD", "/other"),
            ("OPTIONS", "/other"),
            ("GET", "/pets/"),
            ("GET", "/pets"),
            ("POST", "/.well-known/jwks.json"),
        ],
    )
    def test_answers_404_where_there_is_no_route(self, client: httpx.Client, method: str, path: str) -> None:
        response = client.request(method, path)
        assert response.status_code == 404
        if method == "HEAD":
            assert response.content == b""
        else:
            assert_message(response, 404, "Not Found")

    def test_serves_the_documents_of_the_local_run(self, client: httpx.Client) -> None:
        response = client.get("/.well-known/jwks.json")
        assert (response.status_code, response.content) == (200, KEYS)


class TestEvents:
    def test_is_a_version_2_event(self, client: httpx.Client) -> None:
        event = echoed(
            client.post(
                "/open?b=2&a=1&b=3&empty=&sp=x%20y+z",
                content='{"é": 1}'.encode(),
                headers=[
                    ("Content-Type", "application/json; charset=utf-8"),
                    ("X-Twice", "1"),
                    ("X-Twice", "2"),
                    ("Cookie", "c=1; d=2"),
                    ("User-Agent", "tester"),
                ],
            )
        )
        assert event["version"] == "2.0"
        assert event["rawPath"] == "/open"
        assert event["rawQueryString"] == "b=2&a=1&b=3&empty=&sp=x%20y+z"
        assert event["queryStringParameters"] == {"b": "2,3", "a": "1", "empty": "", "sp": "x y z"}
        assert event["headers"]["x-twice"] == "1,2"
        assert event["headers"]["content-type"] == "application/json; charset=utf-8"
        assert "cookie" not in event["headers"]
        assert event["cookies"] == ["c=1", "d=2"]
        assert (event["body"], event["isBase64Encoded"]) == ('{"é": 1}', False)
        context = event["requestContext"]
        assert context["http"] == {
            "method": "POST",
            "path": "/open",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "tester",
        }
        assert context["stage"] == "$default"
        assert context["domainName"] == event["headers"]["host"]
        assert abs(context["timeEpoch"] / 1000 - time.time()) < 60
        assert "authorizer" not in context

    def test_leaves_out_what_is_absent(self, client: httpx.Client) -> None:
        event = echoed(client.post("/open"))
        assert not {"body", "cookies", "queryStringParameters", "pathParameters"} & set(event)
        assert event["isBase64Encoded"] is False

    @pytest.mark.parametrize(
        ("content_type", "body", "expected"),
        [
            ("text/csv", b"a,b", ("a,b", False)),
            ("application/xml", b"<a/>", ("<a/>", False)),
            ("application/octet-stream", b"\x00\xff", ("AP8=", True)),
            ("application/x-www-form-urlencoded", b"a=b", ("YT1i", True)),
            ("application/json", b"\xff", ("/w==", True)),
            (None, b"{}", ("e30=", True)),
        ],
    )
    def test_encodes_a_body_by_its_content_type(
        self, client: httpx.Client, content_type: str | None, body: bytes, expected: tuple[str, bool]
    ) -> None:
        headers = {} if content_type is None else {"Content-Type": content_type}
        event = echoed(client.post("/open", content=body, headers=headers))
        assert (event["body"], event["isBase64Encoded"]) == expected

    def test_gives_the_functions_context(self, client: httpx.Client) -> None:
        first, second = (client.post("/open").json() for _ in range(2))
        context = first["context"]
        assert (context["function_name"], context["memory"]) == ("Echo", 1024)
        assert context["arn"].endswith(":function:Echo")
        assert 6000 < context["remaining"] <= 7000
        assert context["request_id"] != second["context"]["request_id"]
        ids = [answer["event"]["requestContext"]["requestId"] for answer in (first, second)]
        assert ids[0] != ids[1]

    def test_names_the_request_in_the_answer(self, client: httpx.Client) -> None:
        response = client.post("/open")
        assert response.headers["apigw-requestid"] == echoed(response)["requestContext"]["requestId"]


class TestLimits:
    def test_ten_megabytes_pass_and_more_do_not(self, client: httpx.Client) -> None:
        headers = {"Content-Type": "text/plain"}
        assert client.post("/special", content=b"x" * 10_000_000, headers=headers).status_code == 418
        refused = client.post("/special", content=b"x" * 10_000_001, headers=headers)
        assert_message(refused, 413, "Request Entity Too Large")

    def test_a_body_without_a_length_is_measured_too(self, client: httpx.Client) -> None:
        refused = client.post("/open", content=(b"x" * 1_000_000 for _ in range(11)))
        assert_message(refused, 413, "Request Entity Too Large")

    def test_long_headers_are_refused(self, client: httpx.Client) -> None:
        refused = client.post("/closed", headers={"Authorization": "Bearer " + "x" * 10_240})
        assert_message(refused, 431, "Request Header Fields Too Large")

    def test_listens_on_loopback_alone(self, url: str) -> None:
        with socket.socket() as other_address:
            other_address.settimeout(1)
            assert other_address.connect_ex(("127.0.0.2", int(url.rpartition(":")[2]))) != 0

    def test_a_client_that_hangs_up_early_does_no_harm(self, client: httpx.Client, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(b"POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        assert client.post("/open").status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("FunctionArn: !GetAtt Auth.Arn", "FunctionArn: !Ref Elsewhere", "must be a Lambda function"),
        (
            'AuthorizerPayloadFormatVersion: "2.0"',
            'AuthorizerPayloadFormatVersion: "1.0"',
            "payload format 2.0",
        ),
        ("EnableSimpleResponses: true", "EnableSimpleResponses: false", "simple responses"),
        ("Headers: [Authorization]", "QueryStrings: [token]", "by headers alone"),
        ("Headers: [Authorization]", "Headers: [Authorization], Context: [routeKey]", "by headers alone"),
        ("DefaultAuthorizer: Token", "DefaultAuthorizer: Other", "unknown authorizer"),
        ("ApiId: !Ref Api, Method: GET, Path: /other", "Method: GET, Path: /other", "must name the API"),
        ("Method: GET, Path: /other", "Method: FETCH, Path: /other", "is no route"),
        ("Type: AWS::Serverless::HttpApi", "Type: AWS::Serverless::Api", "exactly one"),
        ("Transform:", "Transform: [", "not YAML"),
    ],
)
def test_refuses_a_template_it_cannot_imitate(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in TEMPLATE
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.replace(old, new, 1))
    with pytest.raises(TemplateError, match=complaint):
        read_api(load_template(path))


def test_a_handler_that_cannot_be_imported_shows_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE.replace("gateway_handlers.authorizer", "no_such_module.handler"))
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        Gateway(path).load()


def test_the_gateway_itself_costs_next_to_nothing(client: httpx.Client, url: str) -> None:
    """The median round trip of a handler that does next to nothing, over one connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    for _ in range(300):
        started = time.perf_counter()
        connection.request("POST", "/closed", body=b"{}", headers={"Authorization": "Bearer bare"})
        json.loads(connection.getresponse().read())
        times.append(time.perf_counter() - started)
    connection.close()
    assert sorted(times)[150] < 0.005  # 0.3 ms with this client's share on two idle cores
