"""What the local run reads of a template, and all that it leaves alone."""

from pathlib import Path

import pytest

from local.template import Api, Schedule, TemplateError, load_template, read_api, read_schedules

TEMPLATE = """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Conditions:
  Private: !Not [!Equals [!Ref Subnets, ""]]
Globals:
  Function:
    Timeout: !If [Private, 20, 10]
    VpcConfig: !If [Private, {SubnetIds: !Ref Subnets}, !Ref AWS::NoValue]
Resources:
  Fn::ForEach::Alarms: [Name, [A, B], {"${Name}Alarm": {Type: AWS::CloudWatch::Alarm}}]
  Api:
    Type: AWS::Serverless::HttpApi
    Condition: Private
    Properties:
      Domain: !If [Private, {DomainName: !Ref Name}, !Ref AWS::NoValue]
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token:
            FunctionArn: !Ref Auth.Alias
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            Identity: {Headers: [Authorization]}
  Auth:
    Type: AWS::Serverless::Function
    Condition: Private
    Properties: {Handler: a.auth, AutoPublishAlias: live, Timeout: 5, MemorySize: !Ref Size}
  Image:
    Type: AWS::Serverless::Function
    Properties: {PackageType: Image, Events: !If [Private, {}, {}]}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.echo
      AutoPublishAlias: !If [Private, live, !Ref AWS::NoValue]
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /echo}}
        Queue: !If [Private, {Type: SQS, Properties: {Queue: q}}, !Ref AWS::NoValue]
        Watch:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: rate(5 minutes)
            Name: !Sub "${AWS::StackName}-watch"
            State: !If [Private, ENABLED, DISABLED]
            Input: '{"action": "watch"}'
        Computed: {Type: ScheduleV2, Properties: {ScheduleExpression: !Ref Rate}}
"""


def written(folder: Path, *changes: tuple[str, str]) -> dict[str, object]:
    text = TEMPLATE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "template.yaml").write_text(text)
    return load_template(folder / "template.yaml")


def test_whatever_has_no_part_in_routes_and_schedules_may_say_anything(tmp_path: Path) -> None:
    template = written(tmp_path)
    api: Api = read_api(template)
    [route] = api.routes
    assert (route.key, route.function.handler) == ("GET /echo", "a.echo")
    assert (route.function.timeout, route.function.memory) == (30, 128)
    assert route.authorizer is not None
    assert (route.authorizer.function.handler, route.authorizer.function.timeout) == ("a.auth", 5)
    assert read_schedules(template) == (Schedule("Echo: Watch", route.function, 5, '{"action": "watch"}'),)


AUTH = TEMPLATE[TEMPLATE.index("      Auth:") : TEMPLATE.index("  Auth:\n    Type")]
DOCUMENT = """
      DefinitionBody:
        openapi: 3.0.1
        x-amazon-apigateway-cors: !If [Private, {allowOrigins: [a]}, !Ref AWS::NoValue]
        components:
          securitySchemes:
            Token: !If
              - Private
              - {type: oauth2, x-amazon-apigateway-authorizer: {type: jwt}}
              - type: apiKey
                x-amazon-apigateway-authorizer:
                  type: request
                  authorizerUri: !Sub ["arn:${Arn}/invocations", {Arn: !Ref Auth.Alias}]
                  authorizerPayloadFormatVersion: "2.0"
                  enableSimpleResponses: true
                  identitySource: [$request.header.Authorization]
                  authorizerResultTtlInSeconds: 60
        paths:
          /echo: {get: {security: [{Token: []}]}}
"""


def test_an_openapi_document_may_say_who_is_let_in(tmp_path: Path) -> None:
    [route] = read_api(written(tmp_path, (AUTH, DOCUMENT))).routes
    assert route.authorizer is not None
    assert route.authorizer.function.handler == "a.auth"
    assert (route.authorizer.headers, route.authorizer.ttl) == (("authorization",), 60)
    [open_to_all] = read_api(written(tmp_path, (AUTH, DOCUMENT), ("/echo: {", "/other: {"))).routes
    assert open_to_all.authorizer is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ((AUTH, AUTH + DOCUMENT), "either Auth or a DefinitionBody"),
        ((AUTH, "      DefinitionBody: !If [Private, {paths: {}}, {}]\n"), "must write the paths"),
        (("type: request", "type: jwt"), "must be a Lambda function of this template"),
        (("$request.header.", "$request.querystring."), "by headers alone"),
        (("[{Token: []}]", "[{Other: []}]"), "unknown authorizer Other"),
        (("[{Token: []}]", "[{Token: []}, {Other: []}]"), "must name one authorizer"),
    ],
)
def test_a_document_that_leaves_open_who_is_let_in_is_refused(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    with pytest.raises(TemplateError, match=complaint):
        read_api(written(tmp_path, *([change] if AUTH in change else [(AUTH, DOCUMENT), change])))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Handler: a.echo", "Handler: !Ref Name", "Echo must name its Handler"),
        ("!Ref Auth.Alias", "!Ref Other.Alias", "must be a Lambda function of this template"),
        ("!Ref Auth.Alias", "!ImportValue shared", "must be a Lambda function of this template"),
        ("!Ref Auth.Alias", "!Ref Auth", "must be a Lambda function of this template"),
    ],
)
def test_what_a_route_needs_is_asked_for(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        read_api(written(tmp_path, (old, new)))


@pytest.mark.parametrize("wrong", ["'{'", "!Sub '{}'", "7"])
def test_a_schedule_without_json_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(TemplateError, match="Echo: Watch has an Input that is no JSON"):
        read_schedules(written(tmp_path, ("""'{"action": "watch"}'""", wrong)))
