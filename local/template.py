"""What the local run needs to know of template.yaml: functions, routes, the authorizer and schedules.

Understands the part of AWS SAM that the template uses for these, and refuses what else it finds there loudly
rather than serve something that AWS would not. Whatever has no part in them may say anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FUNCTION, API = "AWS::Serverless::Function", "AWS::Serverless::HttpApi"
LONGEST = 30.0
"""Seconds an HTTP API waits for a function; for one whose `Timeout` depends on where it is deployed."""
METHODS = frozenset({"ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_RATE = re.compile(r"rate\((\d+) minutes?\)")


class TemplateError(ValueError):
    """The template says something that the local gateway cannot do."""


@dataclass(frozen=True)
class Function:
    """A Lambda function: `handler` as `package.module.attribute`, `timeout` in seconds, `memory` in MB."""

    name: str
    handler: str
    timeout: float
    memory: int


@dataclass(frozen=True)
class Authorizer:
    """A Lambda authorizer: the headers that identify a caller; its answer is good for `ttl` seconds."""

    function: Function
    headers: tuple[str, ...]
    ttl: float


@dataclass(frozen=True)
class Route:
    """One route of the API; without an authorizer it is open."""

    method: str
    path: str
    function: Function
    authorizer: Authorizer | None

    @property
    def key(self) -> str:
        """As API Gateway writes it: `GET /api/brands`."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Schedule:
    """Calls of a function every so many `minutes`, with `payload`, a JSON text, as the event."""

    name: str
    function: Function
    minutes: int
    payload: str


@dataclass(frozen=True)
class Api:
    """The one HTTP API of a template."""

    routes: tuple[Route, ...]

    @property
    def functions(self) -> tuple[Function, ...]:
        """Every function that a request can reach, authorizers included, each once."""
        found: dict[Function, None] = {}
        for route in self.routes:
            if route.authorizer is not None:
                found[route.authorizer.function] = None
            found[route.function] = None
        return tuple(found)


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref x` becomes `{"Ref": x}`, `!Sub x` `{"Fn::Sub": x}`."""


def _intrinsic(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def load_template(path: Path) -> dict[str, Any]:
    """The template as plain data, short tags written out. Raises `TemplateError`."""
    try:
        template = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise TemplateError(f"{path} is not YAML: {error}") from error
    if not isinstance(template, dict):
        raise TemplateError(f"{path} is not a template")
    return template


def read_api(template: dict[str, Any]) -> Api:
    """The HTTP API of a template. Raises `TemplateError`."""
    functions = _functions(template)
    apis = dict(_resources(template, API))
    if len(apis) != 1:
        raise TemplateError(f"expected exactly one {API}")
    [(api_name, api)] = apis.items()
    auth, document = api.get("Auth") or {}, api.get("DefinitionBody") or {}
    if auth and document:
        raise TemplateError(f"{api_name} must have either Auth or a DefinitionBody")
    if document and "paths" not in document:  # computed: without it, every route would be open here
        raise TemplateError(f"{api_name} must write the paths of its DefinitionBody out")
    authorizers = _authorizers(auth or _auth_of(document), functions)
    default = auth.get("DefaultAuthorizer")
    routes = []
    for function, _, event in _events(template, functions, "HttpApi"):
        named = {"Auth": {"Authorizer": _named_in(document, event)}} if document else {}
        routes.append(_route({**event, **named}, function, api_name, authorizers, default))
    return Api(tuple(routes))


def read_schedules(template: dict[str, Any]) -> tuple[Schedule, ...]:
    """The calls that a template schedules every so many minutes, and doesn't disable. Raises `TemplateError`.

    What runs at times of the day or less often is left out.
    """
    schedules = []
    for function, name, event in _events(template, _functions(template), "ScheduleV2"):
        rate = _RATE.fullmatch(str(event.get("ScheduleExpression")))
        if rate is None or event.get("State") == "DISABLED":
            continue
        where, payload = f"{function.name}: {name}", event.get("Input", "{}")
        try:
            json.loads(payload)
        except (TypeError, ValueError) as error:
            raise TemplateError(f"{where} has an Input that is no JSON") from error
        schedules.append(Schedule(where, function, int(rate[1]), payload))
    return tuple(schedules)


def _resources(template: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in (template.get("Resources") or {}).items():
        if isinstance(resource, dict) and resource.get("Type") == kind:
            yield name, resource.get("Properties") or {}


def _events(
    template: dict[str, Any], functions: dict[str, Function], kind: str
) -> Iterator[tuple[Function, str, dict[str, Any]]]:
    """The events of `kind`: the function, the event's name and its properties."""
    for name, properties in _resources(template, FUNCTION):
        events = properties.get("Events")
        for event_name, event in (events if isinstance(events, dict) else {}).items():
            if isinstance(event, dict) and event.get("Type") == kind:
                if name not in functions:
                    raise TemplateError(f"{name} must name its Handler as text")
                yield functions[name], event_name, event.get("Properties") or {}


def _functions(template: dict[str, Any]) -> dict[str, Function]:
    """The functions whose handler is known here, by name."""
    defaults = (template.get("Globals") or {}).get("Function") or {}
    functions = {}
    for name, properties in _resources(template, FUNCTION):
        merged = {"Timeout": 3, "MemorySize": 128, **defaults, **properties}
        timeout, memory = _number(merged["Timeout"], LONGEST), _number(merged["MemorySize"], 128)
        if isinstance(merged.get("Handler"), str):
            functions[name] = Function(name, merged["Handler"], timeout, int(memory))
    return functions


def _number(value: Any, otherwise: float) -> float:
    """`value`, unless it is computed when the template is deployed."""
    return otherwise if isinstance(value, dict) else float(value)


def _function_of(arn: Any) -> str | None:
    """The function that `!GetAtt Name.Arn` or `!Ref Name.Alias` means."""
    if not isinstance(arn, dict):
        return None
    parts = arn.get("Fn::GetAtt") or str(arn.get("Ref")).split(".")
    name, attribute = parts if len(parts) == 2 else (None, None)
    return name if attribute in ("Arn", "Alias") else None


def _auth_of(document: dict[str, Any]) -> dict[str, Any]:
    """The security schemes of an OpenAPI document, as `Auth` would say it.

    Where the kind of authorizer depends on a condition, the Lambda authorizer is the one that runs here.
    """
    authorizers = {}
    for name, scheme in ((document.get("components") or {}).get("securitySchemes") or {}).items():
        choices = scheme["Fn::If"][1:] if "Fn::If" in scheme else [scheme]
        said = [choice.get("x-amazon-apigateway-authorizer") or {} for choice in choices]
        for one in said:
            if one.get("type") == "request":
                sources = [str(source) for source in one.get("identitySource") or ()]
                prefix = "$request.header."
                if not all(source.startswith(prefix) for source in sources):
                    raise TemplateError(f"authorizer {name} must identify callers by headers alone")
                authorizers[name] = {
                    "FunctionArn": next(iter(one["authorizerUri"]["Fn::Sub"][1].values())),
                    "AuthorizerPayloadFormatVersion": one.get("authorizerPayloadFormatVersion"),
                    "EnableSimpleResponses": one.get("enableSimpleResponses"),
                    "Identity": {
                        "Headers": [source.removeprefix(prefix) for source in sources],
                        "ReauthorizeEvery": one.get("authorizerResultTtlInSeconds", 300),
                    },
                }
        if name not in authorizers:
            raise TemplateError(f"authorizer {name} must be a Lambda function of this template")
    return {"Authorizers": authorizers}


def _named_in(document: dict[str, Any], event: dict[str, Any]) -> str:
    """The authorizer that an OpenAPI document names for an event's route; `NONE` where it names none."""
    method = str(event.get("Method", "ANY")).lower()
    method = "x-amazon-apigateway-any-method" if method == "any" else method
    operation = ((document.get("paths") or {}).get(event.get("Path")) or {}).get(method) or {}
    names = [name for requirement in operation.get("security") or () for name in requirement]
    if len(names) > 1:
        raise TemplateError(f"{method} {event.get('Path')} must name one authorizer")
    return names[0] if names else "NONE"


def _authorizers(auth: dict[str, Any], functions: dict[str, Function]) -> dict[str, Authorizer]:
    authorizers = {}
    for name, definition in (auth.get("Authorizers") or {}).items():
        function = _function_of(definition.get("FunctionArn"))
        identity = definition.get("Identity") or {}
        headers = identity.get("Headers")
        if function not in functions:
            raise TemplateError(f"authorizer {name} must be a Lambda function of this template")
        simple = definition.get("EnableSimpleResponses")
        if definition.get("AuthorizerPayloadFormatVersion") != "2.0" or not simple:
            raise TemplateError(f"authorizer {name} must use payload format 2.0 with simple responses")
        if not headers or set(identity) - {"Headers", "ReauthorizeEvery"}:
            raise TemplateError(f"authorizer {name} must identify callers by headers alone")
        authorizers[name] = Authorizer(
            functions[function],
            tuple(header.lower() for header in headers),
            float(identity.get("ReauthorizeEvery", 0)),
        )
    return authorizers


def _route(
    event: dict[str, Any],
    function: Function,
    api_name: str,
    authorizers: dict[str, Authorizer],
    default: str | None,
) -> Route:
    where = f"{function.name}: {event.get('Method')} {event.get('Path')}"
    if event.get("ApiId") != {"Ref": api_name}:
        raise TemplateError(f"{where} must name the API {api_name}")
    if event.get("PayloadFormatVersion", "2.0") != "2.0":
        raise TemplateError(f"{where} must use payload format 2.0")
    method, path = str(event.get("Method", "ANY")).upper(), event.get("Path")
    if method not in METHODS or not isinstance(path, str) or not path.startswith("/"):
        raise TemplateError(f"{where} is no route")
    name = (event.get("Auth") or {}).get("Authorizer", default)
    if name in (None, "NONE"):
        return Route(method, path, function, None)
    if name not in authorizers:
        raise TemplateError(f"{where} names an unknown authorizer {name}")
    return Route(method, path, function, authorizers[name])
