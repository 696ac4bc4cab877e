"""template.yaml, reviewed like code: what is reachable, who gets which secret, what is built."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from adbid.settings import CacheSettings, DatabaseSettings
from functions.authorizer.settings import AuthorizerSettings
from local.events import Request, request_event
from local.routing import Router
from local.template import Api, load_template, read_api

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = load_template(ROOT / "template.yaml")
FUNCTIONS: dict[str, dict[str, Any]] = {
    name: resource
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
EVENTS = sorted((ROOT / "events").glob("*.json"))


@pytest.fixture(scope="module")
def api() -> Api:
    return read_api(TEMPLATE)


def variables(name: str) -> dict[str, Any]:
    """A function's environment, with what all of them get."""
    shared: dict[str, Any] = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    return {**shared, **FUNCTIONS[name]["Properties"]["Environment"]["Variables"]}


def package(name: str) -> str:
    """The package a function is: `functions.score`."""
    handler: str = FUNCTIONS[name]["Properties"]["Handler"]
    return handler.removesuffix(".app.handler")


class TestRoutes:
    def test_the_api_is_the_contracts(self, api: Api) -> None:
        assert {
            (route.key, package(route.function.name).removeprefix("functions.")) for route in api.routes
        } == {
            ("POST /api/score", "score"),
            ("GET /healthz", "score"),
            ("POST /api/performance", "ingest"),
            ("GET /api/roas", "roas"),
            ("GET /api/metrics/vpi", "roas"),
            ("GET /docs", "admin"),
            ("GET /openapi.json", "admin"),
            *(
                (f"ANY /api/{kind}{rest}", "admin")
                for kind in ("strategies", "brands", "partners", "slots", "priors")
                for rest in ("", "/{proxy+}")
            ),
        }

    def test_only_these_are_open(self, api: Api) -> None:
        assert {route.path for route in api.routes if route.authorizer is None} == {
            "/healthz",
            "/docs",
            "/openapi.json",
        }

    def test_every_route_is_found(self, api: Api) -> None:
        router = Router(api.routes)
        for route in api.routes:
            method = "PUT" if route.method == "ANY" else route.method
            found = router.match(method, route.path.replace("{proxy+}", "#N/A"))
            assert found is not None
            assert found[0] == route


class TestAuthorizer:
    def definition(self) -> dict[str, Any]:
        [authorizer] = TEMPLATE["Resources"]["Api"]["Properties"]["Auth"]["Authorizers"].values()
        assert isinstance(authorizer, dict)
        return authorizer

    def test_the_cache_knows_the_caller_and_never_the_route(self) -> None:
        identity = self.definition()["Identity"]
        assert identity == {"Headers": ["Authorization"], "ReauthorizeEvery": 60}

    def test_api_gateway_may_call_it(self) -> None:
        # SAM's default is false, and then every call is a 500.
        assert self.definition()["EnableFunctionDefaultPermissions"] is True

    def test_it_gets_the_keys_source_and_no_other_secret(self) -> None:
        names = variables("AuthorizerFunction").keys()
        assert {"JWT_ISSUER", "JWT_AUDIENCE", "JWKS_URL", "JWKS_SECRET_ID"} <= names
        assert not {"DATABASE_URL", "REDIS_URL"} & names

    def test_its_settings_are_good_with_either_source(self) -> None:
        parameters = {name: value.get("Default", "") for name, value in TEMPLATE["Parameters"].items()}
        sources = {"JwksUrl": "https://keys.example/jwks.json", "JwksSecretArn": "arn:aws:secretsmanager:x"}
        for name, source in sources.items():
            given = {**parameters, name: source}
            resolved = {
                variable: given[value["Ref"]] if isinstance(value, dict) else value
                for variable, value in variables("AuthorizerFunction").items()
            }
            settings = AuthorizerSettings.from_environment(resolved)
            assert source in (settings.jwks_url, settings.jwks_secret_id)
            assert re.match(TEMPLATE["Parameters"][name]["AllowedPattern"], source)

    def test_only_it_reads_the_secret_and_only_that_one(self) -> None:
        policies = {name: FUNCTIONS[name]["Properties"].get("Policies") for name in FUNCTIONS}
        [conditional] = policies.pop("AuthorizerFunction") or []
        condition, document, otherwise = conditional["Fn::If"]
        assert (condition, otherwise) == ("KeysInSecret", {"Ref": "AWS::NoValue"})
        assert document["Statement"] == [
            {
                "Effect": "Allow",
                "Action": "secretsmanager:GetSecretValue",
                "Resource": {"Ref": "JwksSecretArn"},
            }
        ]
        assert "secretsmanager" not in str(policies)


@pytest.mark.parametrize("name", FUNCTIONS)
class TestFunctions:
    def test_its_import_path_is_the_tests(self, name: str) -> None:
        properties, folder = FUNCTIONS[name]["Properties"], package(name).replace(".", "/")
        assert properties["CodeUri"] == folder
        assert (ROOT / folder / "app.py").is_file()
        assert FUNCTIONS[name]["Metadata"]["BuildProperties"] == {
            "ParentPackageMode": "explicit",
            "ParentPackages": package(name),
        }

    def test_it_answers_before_api_gateway_gives_up(self, name: str) -> None:
        timeout = FUNCTIONS[name]["Properties"].get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
        routed = any(
            event["Type"] == "HttpApi" for event in FUNCTIONS[name]["Properties"].get("Events", {}).values()
        )
        assert timeout < 30 or not (routed or name == "AuthorizerFunction")

    def test_it_gets_what_its_settings_need(self, name: str) -> None:
        assert variables(name)["POWERTOOLS_SERVICE_NAME"] == package(name).removeprefix("functions.")
        if name != "AuthorizerFunction":
            needed = {
                field.upper()
                for settings in (DatabaseSettings, CacheSettings)
                for field, info in settings.model_fields.items()
                if info.is_required()
            }
            assert needed <= variables(name).keys()


def test_every_function_of_the_tree_is_in_the_template() -> None:
    in_tree = {f"functions.{path.parent.name}" for path in (ROOT / "functions").glob("*/app.py")}
    assert {package(name) for name in FUNCTIONS} >= in_tree - {"functions.retrain"}


def test_all_run_on_the_same_python_and_machine() -> None:
    shared = TEMPLATE["Globals"]["Function"]
    layer = TEMPLATE["Resources"]["CommonLayer"]
    assert shared["Runtime"] == "python3.13"
    assert shared["Architectures"] == layer["Properties"]["CompatibleArchitectures"] == ["arm64"]
    assert layer["Properties"]["CompatibleRuntimes"] == [shared["Runtime"]]
    assert layer["Metadata"] == {"BuildMethod": shared["Runtime"], "BuildArchitecture": "arm64"}
    assert shared["Layers"] == [{"Ref": "CommonLayer"}]
    for function in FUNCTIONS.values():
        assert not {"Runtime", "Architectures", "Layers"} & function["Properties"].keys()


def test_no_secret_shows() -> None:
    hidden = {name for name, parameter in TEMPLATE["Parameters"].items() if parameter.get("NoEcho")}
    assert hidden == {"DatabaseUrl", "RedisUrl"}
    assert all("Default" not in TEMPLATE["Parameters"][name] for name in hidden)
    assert "NoEcho" not in json.dumps(TEMPLATE["Outputs"])
    assert not any(name in json.dumps(TEMPLATE["Outputs"]) for name in hidden)


def test_warnings_of_the_api_stop_a_deploy() -> None:
    assert TEMPLATE["Resources"]["Api"]["Properties"]["FailOnWarnings"] is True


@pytest.mark.parametrize("stage", ["dev", "stage", "prod"])
def test_samconfig_knows_every_stage(stage: str) -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    parameters = config[stage]["deploy"]["parameters"]
    overrides = dict(item.split("=", 1) for item in parameters["parameter_overrides"])
    assert overrides["Stage"] == stage
    assert stage in TEMPLATE["Parameters"]["Stage"]["AllowedValues"]
    assert overrides.keys() <= TEMPLATE["Parameters"].keys()
    assert overrides["LogLevel"] in TEMPLATE["Parameters"]["LogLevel"]["AllowedValues"]
    assert parameters["stack_name"] == f"adbid-{stage}"
    assert parameters["confirm_changeset"] is (stage != "dev")


class TestSampleEvents:
    def test_every_function_has_one(self) -> None:
        named = {path.stem.partition("_")[0] for path in EVENTS}
        assert named == {package(name).removeprefix("functions.") for name in FUNCTIONS}

    @pytest.mark.parametrize(
        "path", [path for path in EVENTS if path.stem not in ("authorizer", "retrain")], ids=lambda p: p.stem
    )
    def test_it_is_what_the_gateway_would_send(self, api: Api, path: Path) -> None:
        event = json.loads(path.read_text())
        http = event["requestContext"]["http"]
        found = Router(api.routes).match(http["method"], event["rawPath"])
        assert found is not None
        route, parameters = found
        headers = [(name.encode(), value.encode()) for name, value in event["headers"].items()]
        body = event.get("body", "").encode()
        request = Request(
            http["method"], event["rawPath"], event["rawQueryString"], headers, body, "192.0.2.10"
        )
        context = event["requestContext"]
        expected = request_event(
            request, route.key, parameters, context["requestId"], context["timeEpoch"] / 1000
        )
        authorizer = context.pop("authorizer", None)
        for name in ("accountId", "apiId"):
            expected["requestContext"][name] = context[name]
        assert event == expected
        assert path.stem.partition("_")[0] == package(route.function.name).removeprefix("functions.")
        if route.authorizer is None:
            assert authorizer is None
        else:
            claims = authorizer["lambda"]
            assert claims.keys() == {"sub", "iss", "exp", "scope", "brand_ids", "partner_ids"}
            assert all(isinstance(value, str) for value in claims.values())
        assert int(event["headers"].get("content-length", "0")) == len(body)

    def test_the_authorizers_is_a_request(self) -> None:
        event = json.loads((ROOT / "events" / "authorizer.json").read_text())
        assert (event["version"], event["type"]) == ("2.0", "REQUEST")
        assert event["identitySource"] == [event["headers"]["authorization"]]
        assert "authorizer" not in event["requestContext"]
