"""What the local gateway needs to know of template.yaml: functions, routes and the authorizer.

Understands the part of AWS SAM that the template uses, and refuses the rest loudly rather than serve
something that AWS would not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

METHODS = frozenset({"ANY", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})


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
    apis = dict(_resources(template, "AWS::Serverless::HttpApi"))
    if len(apis) != 1:
        raise TemplateError("expected exactly one AWS::Serverless::HttpApi")
    [(api_name, api)] = apis.items()
    authorizers = _authorizers(api.get("Auth") or {}, functions)
    default = (api.get("Auth") or {}).get("DefaultAuthorizer")
    routes = []
    for name, function in functions.items():
        for event in (template["Resources"][name]["Properties"].get("Events") or {}).values():
            if event["Type"] == "HttpApi":
                routes.append(_route(event.get("Properties") or {}, function, api_name, authorizers, default))
    return Api(tuple(routes))


def _resources(template: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in (template.get("Resources") or {}).items():
        if resource.get("Type") == kind:
            yield name, resource.get("Properties") or {}


def _functions(template: dict[str, Any]) -> dict[str, Function]:
    defaults = (template.get("Globals") or {}).get("Function") or {}
    functions = {}
    for name, properties in _resources(template, "AWS::Serverless::Function"):
        merged = {"Timeout": 3, "MemorySize": 128, **defaults, **properties}
        timeout, memory = float(merged["Timeout"]), int(merged["MemorySize"])
        functions[name] = Function(name, merged["Handler"], timeout, memory)
    return functions


def _authorizers(auth: dict[str, Any], functions: dict[str, Function]) -> dict[str, Authorizer]:
    authorizers = {}
    for name, definition in (auth.get("Authorizers") or {}).items():
        arn = definition.get("FunctionArn") or {}
        function, attribute = arn.get("Fn::GetAtt", (None, None))
        identity = definition.get("Identity") or {}
        headers = identity.get("Headers")
        if attribute != "Arn" or function not in functions:
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
