"""What AWS makes of template.yaml: translated by AWS's own translator, linted, and looked through.

Neither validation nor the lint catches a wrong runtime, an open route or a mistyped permission: those are
asserted, here and in the files beside. `make sam` makes the environment for it; where that can't be had, the
summary says so.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support import translation
from tests.support.availability import CannotBeHad, not_run
from tests.support.translation import Resource, of, texts, walk

OPEN = {"get /healthz", "get /docs", "get /openapi.json"}


class TestValidation:
    @pytest.mark.parametrize("options", [("--lint",), ()], ids=["lint", "plain"])
    def test_sam_finds_nothing(self, options: tuple[str, ...]) -> None:
        try:
            python = translation.sam_python()
        except CannotBeHad as reason:
            not_run(f"sam validate: {reason}")
        done = translation.run(python, "-m", "samcli", "validate", "--region", translation.REGION, *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_the_lint_finds_nothing_in_the_translation(
        self, answer: tuple[dict[str, Any], list[str]]
    ) -> None:
        # SAM looks the traffic's shift up by itself, and so nothing refers to it any more.
        mine = [finding for finding in answer[1] if not finding.startswith("W2001 Parameter TrafficShift")]
        assert mine == []

    def test_it_stays_within_cloudformations_limits(self, template: dict[str, Any]) -> None:
        assert len(json.dumps(template)) < 1_000_000 // 2
        assert len(template["Resources"]) < 500 // 2
        assert len(template["Parameters"]) <= 200


class TestApi:
    def operations(self, resources: dict[str, Resource]) -> dict[str, dict[str, Any]]:
        [api] = of(resources, "ApiGatewayV2::Api").values()
        return {
            f"{method} {path}": operation
            for path, methods in api["Body"]["paths"].items()
            for method, operation in methods.items()
        }

    def test_every_route_but_the_open_ones_wants_a_token(self, resources: dict[str, Resource]) -> None:
        operations = self.operations(resources)
        open_ones = {key for key, operation in operations.items() if not operation.get("security")}
        assert open_ones == OPEN
        for key in operations.keys() - OPEN:
            assert operations[key]["security"] == [{"Token": []}]

    def test_every_route_leads_to_a_published_version(self, resources: dict[str, Resource]) -> None:
        for key, operation in self.operations(resources).items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            assert re.search(r"functions/\$\{[A-Za-z]+Aliaslive\}/invocations$", uri), key

    def test_warnings_stop_a_deploy(self, resources: dict[str, Resource]) -> None:
        [api] = of(resources, "ApiGatewayV2::Api").values()
        assert api["FailOnWarnings"] is True

    def test_calls_are_limited_and_logged(self, resources: dict[str, Resource]) -> None:
        [stage] = of(resources, "ApiGatewayV2::Stage").values()
        limits = [stage["DefaultRouteSettings"], *stage["RouteSettings"].values()]
        assert all({"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= one.keys() for one in limits)
        assert stage["RouteSettings"].keys() == {"POST /api/score", "POST /api/performance"}
        assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["ApiLogs", "Arn"]}

    def test_the_access_log_is_json_without_personal_data(self, resources: dict[str, Resource]) -> None:
        [stage] = of(resources, "ApiGatewayV2::Stage").values()
        line = json.loads(stage["AccessLogSettings"]["Format"])
        assert {"request_id", "route", "status", "latency_ms"} <= line.keys()
        for private in ("sourceIp", "userAgent", "$context.path", "authorizer.sub", "identity"):
            assert private not in stage["AccessLogSettings"]["Format"]


class TestFunctions:
    def test_run_on_one_python_and_machine(self, resources: dict[str, Resource]) -> None:
        for name, function in of(resources, "Lambda::Function").items():
            assert function["Runtime"] == "python3.13", name
            assert function["Architectures"] == ["arm64"], name

    def test_have_a_role_of_their_own_and_a_log_of_their_own(self, resources: dict[str, Resource]) -> None:
        functions = of(resources, "Lambda::Function")
        for name, function in functions.items():
            short = name.removesuffix("Function")
            assert function["Role"] == {"Fn::GetAtt": [f"{short}Role", "Arn"]}
            assert function["LoggingConfig"] == {"LogGroup": {"Ref": f"{short}Logs"}}

    def test_live_in_the_vpc_but_for_the_authorizer(self, resources: dict[str, Resource]) -> None:
        outside = {n for n, one in of(resources, "Lambda::Function").items() if "VpcConfig" not in one}
        assert outside == {"AuthorizerFunction"}

    def test_all_are_called_by_their_alias(self, resources: dict[str, Resource]) -> None:
        aliases = {alias["FunctionName"]["Ref"] for alias in of(resources, "Lambda::Alias").values()}
        assert aliases == of(resources, "Lambda::Function").keys()
        for schedule in of(resources, "Scheduler::Schedule").values():
            assert schedule["Target"]["Arn"]["Ref"].endswith("Aliaslive")

    def test_what_is_called_without_a_caller_has_a_dead_letter_queue(
        self, resources: dict[str, Resource]
    ) -> None:
        queues = of(resources, "SQS::Queue")
        for schedule in of(resources, "Scheduler::Schedule").values():
            function = schedule["Target"]["Arn"]["Ref"].removesuffix("Aliaslive")
            assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] >= 1
            queue = schedule["Target"]["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
            [config] = [
                one
                for one in of(resources, "Lambda::EventInvokeConfig").values()
                if one["FunctionName"] == {"Ref": function}
            ]
            assert config["DestinationConfig"]["OnFailure"]["Destination"] == {"Fn::GetAtt": [queue, "Arn"]}
            assert config["Qualifier"] == "live"
            assert queue in queues
            role = resources[function.removesuffix("Function") + "Role"]
            assert {"Fn::GetAtt": [queue, "Arn"]} in [
                statement.get("Resource") for statement in walk(role) if "Effect" in statement
            ]

    def test_schedules_of_two_stacks_do_not_meet(self, resources: dict[str, Resource]) -> None:
        # SAM would name them after the event, and a name is one account's.
        for schedule in of(resources, "Scheduler::Schedule").values():
            assert schedule["Name"]["Fn::Sub"].startswith("${AWS::StackName}-")

    def test_no_change_of_a_function_comes_before_the_migration(self, resources: dict[str, Resource]) -> None:
        behind = set(of(resources, "Lambda::Function")) - {"MigrateFunction", "AuthorizerFunction"}
        assert all("Migration" in texts(resources[name].get("DependsOn", ())) for name in behind)
        version = resources["Migration"]["Properties"]["Code"]["Ref"]
        assert resources[version]["Properties"]["FunctionName"] == {"Ref": "MigrateFunction"}
