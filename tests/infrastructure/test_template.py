"""template.yaml, reviewed like code: what is reachable, by whom, with which settings, and what is built.

What AWS makes of it is in test_template_translated.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from functions.authorizer.settings import AuthorizerSettings
from local.events import Request, request_event
from local.routing import Router
from local.template import Api, load_template, read_api
from tests.support.environment import looked_up_by, read_by

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = load_template(ROOT / "template.yaml")
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {name: one for name, one in RESOURCES.items() if one["Type"] == "AWS::Serverless::Function"}
EVENTS = sorted((ROOT / "events").glob("*.json"))
NOT_FROM_THE_GATEWAY = {"authorizer", "retrain", "monitor", "migrate"}

LIBRARIES = {
    "LOG_LEVEL",  # Powertools
    "OPENBLAS_NUM_THREADS",  # numpy
    "POWERTOOLS_METRICS_DISABLED",  # Powertools
    "POWERTOOLS_SERVICE_NAME",  # Powertools
}
"""What libraries read, too."""

TRACES = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"}
"""What every function gets, though the migration traces nothing."""

NOT_HERE = {
    "MODELS_DIR",  # on a laptop
    "OTEL_EXPORTER_OTLP_HEADERS",  # a secret, for a collector that isn't one's own
}


@pytest.fixture(scope="module")
def api() -> Api:
    return read_api(TEMPLATE)


def variables(name: str) -> dict[str, Any]:
    """A function's environment, with what all of them get."""
    shared: dict[str, Any] = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    return {**shared, **FUNCTIONS[name]["Properties"]["Environment"]["Variables"]}


def service(name: str) -> str:
    """`ScoreFunction` is `score`."""
    return name.removesuffix("Function").lower()


def module(name: str) -> str:
    """The module a function's handler is in: `functions.score.app`."""
    handler: str = FUNCTIONS[name]["Properties"]["Handler"]
    return handler.rpartition(".")[0]


class TestRoutes:
    def test_the_api_is_the_contracts(self, api: Api) -> None:
        assert {(route.key, service(route.function.name)) for route in api.routes} == {
            ("POST /api/score", "score"),
            ("GET /healthz", "score"),
            ("POST /api/performance", "ingest"),
            ("GET /api/roas", "roas"),
            ("GET /api/metrics/vpi", "roas"),
            ("GET /api/portfolio", "roas"),
            ("GET /api/portfolio/{proxy+}", "roas"),
            ("POST /api/simulate", "roas"),
            ("GET /metrics", "roas"),
            ("GET /docs", "admin"),
            ("GET /openapi.json", "admin"),
            ("GET /api/me", "admin"),
            ("GET /api/audit", "admin"),
            *(
                (f"ANY /api/{kind}{rest}", "admin")
                for kind in ("strategies", "brands", "partners", "slots", "priors", "models")
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

    def test_a_limit_of_its_own_is_for_a_route_there_is(self, api: Api) -> None:
        # API Gateway takes settings for a route that isn't there only to fail halfway through the deploy.
        assert RESOURCES["Api"]["Properties"]["RouteSettings"].keys() <= {route.key for route in api.routes}


class TestTokens:
    def scheme(self, native: bool) -> dict[str, Any]:
        schemes = RESOURCES["Api"]["Properties"]["DefinitionBody"]["components"]["securitySchemes"]
        [(condition, by_issuer, by_function)] = [scheme["Fn::If"] for scheme in schemes.values()]
        assert condition == "Native"
        chosen: dict[str, Any] = (by_issuer if native else by_function)["x-amazon-apigateway-authorizer"]
        return chosen

    def test_a_function_decides_and_its_cache_knows_the_caller_never_the_route(self) -> None:
        scheme = self.scheme(native=False)
        assert scheme["type"] == "request"
        assert scheme["identitySource"] == ["$request.header.Authorization"]
        assert scheme["authorizerResultTtlInSeconds"] == 60
        assert scheme["authorizerPayloadFormatVersion"] == "2.0"
        assert scheme["enableSimpleResponses"] is True

    def test_or_api_gateway_itself_for_an_issuer_on_the_web(self) -> None:
        assert self.scheme(native=True) == {
            "type": "jwt",
            "identitySource": "$request.header.Authorization",
            "jwtConfiguration": {"issuer": {"Ref": "JwtIssuer"}, "audience": [{"Ref": "JwtAudience"}]},
        }

    def test_api_gateway_may_call_the_function(self) -> None:
        # Without it every call is a 500.
        permission = RESOURCES["CallAuthorizer"]["Properties"]
        assert permission["FunctionName"] == {"Ref": "AuthorizerFunction.Alias"}
        assert permission["SourceArn"]["Fn::Sub"].endswith(":${Api}/authorizers/*")

    def test_it_gets_the_keys_source_and_no_way_to_the_data(self) -> None:
        names = variables("AuthorizerFunction").keys()
        assert {"JWT_ISSUER", "JWT_AUDIENCE", "JWKS_URL", "JWKS_SECRET_ID"} <= names
        assert not [name for name in names if name.startswith(("DATABASE", "REDIS", "LEDGER"))]
        assert "VpcConfig" not in FUNCTIONS["AuthorizerFunction"]["Properties"]

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


@pytest.mark.parametrize("name", FUNCTIONS)
class TestFunctions:
    def test_its_handler_is_there(self, name: str) -> None:
        assert (ROOT / (module(name).replace(".", "/") + ".py")).is_file()
        attribute = FUNCTIONS[name]["Properties"]["Handler"].rpartition(".")[2]
        source = (ROOT / (module(name).replace(".", "/") + ".py")).read_text()
        assert re.search(rf"^(def {attribute}\(|{attribute}\b.* = )", source, re.MULTILINE)

    def test_it_is_built_by_the_builder(self, name: str) -> None:
        assert FUNCTIONS[name]["Properties"]["CodeUri"] == "scripts/package"
        assert FUNCTIONS[name]["Metadata"] == {"BuildMethod": "makefile"}

    def test_it_answers_before_api_gateway_gives_up(self, name: str) -> None:
        properties = FUNCTIONS[name]["Properties"]
        timeout = properties.get("Timeout", TEMPLATE["Globals"]["Function"]["Timeout"])
        routed = any(event["Type"] == "HttpApi" for event in properties.get("Events", {}).values())
        assert timeout < 30 or not (routed or name == "AuthorizerFunction")

    def test_each_variable_it_needs_is_set(self, name: str) -> None:
        assert looked_up_by(module(name)) - NOT_HERE <= variables(name).keys()
        assert variables(name)["POWERTOOLS_SERVICE_NAME"] == service(name)

    def test_each_variable_that_is_set_is_read(self, name: str) -> None:
        assert variables(name).keys() <= read_by(module(name)) | LIBRARIES | TRACES

    def test_no_variable_holds_a_secret(self, name: str) -> None:
        text = json.dumps(variables(name))
        assert "resolve:secretsmanager" not in text
        for secret, parameter in TEMPLATE["Parameters"].items():
            assert not parameter.get("NoEcho") or f'"{secret}"' not in text

    def test_only_new_code_on_the_new_tables(self, name: str) -> None:
        after = FUNCTIONS[name].get("DependsOn")
        assert after == (None if name in ("MigrateFunction", "AuthorizerFunction") else "Migration")


def test_a_minute_of_the_monitor_ends_before_the_next() -> None:
    properties = FUNCTIONS["MonitorFunction"]["Properties"]
    [event] = properties["Events"].values()
    assert event["Properties"]["ScheduleExpression"] == "rate(1 minute)"
    assert properties["Timeout"] < 60


def test_the_migration_may_take_as_long_as_its_function() -> None:
    migration = RESOURCES["Migration"]["Properties"]
    assert FUNCTIONS["MigrateFunction"]["Properties"]["Timeout"] < migration["ServiceTimeout"] <= 3600
    # What makes CloudFormation call it again: every new version of it.
    assert migration["Code"] == {"Ref": "MigrateFunction.Version"}


def test_every_function_of_the_tree_is_in_the_template() -> None:
    in_tree = {f"functions.{path.parent.name}.app" for path in (ROOT / "functions").glob("*/app.py")}
    assert {module(name) for name in FUNCTIONS} >= in_tree | {"migrations.app"}


def test_all_run_on_the_same_python_and_machine() -> None:
    shared = TEMPLATE["Globals"]["Function"]
    layer = RESOURCES["CommonLayer"]
    assert shared["Runtime"] == "python3.13"
    assert shared["Architectures"] == layer["Properties"]["CompatibleArchitectures"] == ["arm64"]
    assert layer["Properties"]["CompatibleRuntimes"] == [shared["Runtime"]]
    assert layer["Metadata"] == {"BuildMethod": "makefile", "BuildArchitecture": "arm64"}
    assert shared["Layers"] == [{"Ref": "CommonLayer"}]
    for function in FUNCTIONS.values():
        assert not {"Runtime", "Architectures", "Layers"} & function["Properties"].keys()


class TestSampleEvents:
    def test_every_function_has_one(self) -> None:
        assert {path.stem.partition("_")[0] for path in EVENTS} == {service(name) for name in FUNCTIONS}

    @pytest.mark.parametrize(
        "path", [path for path in EVENTS if path.stem not in NOT_FROM_THE_GATEWAY], ids=lambda p: p.stem
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
        assert path.stem.partition("_")[0] == service(route.function.name)
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

    @pytest.mark.parametrize("name", ["MonitorFunction", "RetrainFunction"])
    def test_a_scheduled_ones_is_what_the_schedule_sends(self, name: str) -> None:
        [event] = FUNCTIONS[name]["Properties"]["Events"].values()
        sample = json.loads((ROOT / f"events/{service(name)}.json").read_text())
        assert json.loads(event["Properties"]["Input"]) == sample
