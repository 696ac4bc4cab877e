"""Who may do what: every statement of every role, in what AWS makes of template.yaml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.support.translation import Resource, of, texts, walk

WITHOUT_A_NAME = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}
"""Actions that know no narrower resource: how Lambda attaches a function to a VPC."""

UNDER_A_NAME = re.compile(
    r"\$\{(ModelsBucket|SiteBucket)\.Arn\}/(models/)?\*"  # objects
    r"|arn:\$\{AWS::Partition\}:s3:::cloudformation-custom-resource-response-\*"  # CloudFormation's own
)
"""Names that end in a star, because what they mean is many."""

MANAGED_BY_AWS = {"arn:aws:iam::aws:policy/service-role/AWSCodeDeployRoleForLambda"}
"""For CodeDeploy to shift traffic with; SAM adds it."""


class TestPermissions:
    def statements(self, resources: dict[str, Resource]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, resource in resources.items():
            if resource["Type"] in ("AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
                yield from ((name, one) for one in walk(resource["Properties"]) if one.get("Effect"))

    def test_none_allows_every_action_of_a_service(self, resources: dict[str, Resource]) -> None:
        for name, statement in self.statements(resources):
            assert not [action for action in texts(statement["Action"]) if "*" in action], name

    def test_none_reaches_further_than_a_name(self, resources: dict[str, Resource]) -> None:
        for name, statement in self.statements(resources):
            if "Principal" in statement:
                continue
            if statement["Resource"] == "*":
                assert name == "InVpc"
                assert set(statement["Action"]) == WITHOUT_A_NAME
                continue
            wide = [
                text for one in walk([statement["Resource"]]) for text in one.values() if "*" in str(text)
            ]
            for text in [*wide, *(one for one in texts(statement["Resource"]) if one.startswith("arn:"))]:
                assert UNDER_A_NAME.fullmatch(str(text)), (name, text)

    def test_no_policy_is_somebody_elses(self, resources: dict[str, Resource]) -> None:
        for name, role in of(resources, "IAM::Role").items():
            for policy in role.get("ManagedPolicyArns", []):
                ours = isinstance(policy, dict) and policy["Ref"] in resources
                assert ours or policy in MANAGED_BY_AWS, (name, policy)

    def test_who_may_do_what_beyond_reading(self, resources: dict[str, Resource]) -> None:
        """Beside its own log, and the VPC."""
        may: dict[str, set[str]] = {}
        for name, role in of(resources, "IAM::Role").items():
            short = name.removesuffix("Role")
            if f"{short}Function" in resources:
                actions = [a for one in walk(role) if one.get("Effect") for a in texts(one["Action"])]
                may[short] = {action for action in actions if not action.startswith(("logs:", "sts:"))}
        assert may == {
            "Authorizer": {"secretsmanager:GetSecretValue"},
            "Score": set(),
            "Ingest": set(),
            "Roas": set(),
            "Admin": {"s3:PutObject"},  # the pointer, when a model is rolled back
            "Monitor": {"sqs:SendMessage"},
            "Retrain": {"s3:PutObject", "sqs:SendMessage"},
            "Migrate": {"secretsmanager:GetSecretValue"},
        }

    def test_the_authorizer_reads_the_keys_and_nothing_else(self, resources: dict[str, Resource]) -> None:
        role = resources["AuthorizerRole"]["Properties"]
        secrets = [one["Resource"] for one in walk(role) if "secretsmanager" in str(one.get("Action"))]
        assert secrets == [{"Ref": "JwksSecretArn"}]
        assert "ManagedPolicyArns" not in role

    def test_a_role_writes_its_own_log_alone(self, resources: dict[str, Resource]) -> None:
        for name, statement in self.statements(resources):
            if "logs:PutLogEvents" in statement["Action"]:
                assert statement["Resource"] == {"Fn::GetAtt": [name.removesuffix("Role") + "Logs", "Arn"]}

    def test_an_endpoint_lets_through_what_the_functions_need(self, resources: dict[str, Resource]) -> None:
        for name, endpoint in of(resources, "EC2::VPCEndpoint").items():
            for statement in endpoint["PolicyDocument"]["Statement"]:
                assert statement["Resource"] != "*", name
                assert not [action for action in texts(statement["Action"]) if action.endswith("*")], name
