"""What template.yaml asks for: one package per layer and function, named after its resource.

`ScoreFunction` with the handler `functions.score.app.handler` ships the Python package `functions.score`;
`CommonLayer` ships `layers/common`. So a function that is added to the template is built without a word here.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.template import load_template
from scripts.package.errors import BuildError

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = "python3.13"


@dataclass(frozen=True)
class Layer:
    """A layer: `source` holds Python packages and their requirements.txt; unpacked under /opt."""

    resource: str
    source: Path

    prefix = "/opt/python"

    @property
    def name(self) -> str:
        """`CommonLayer` is `common`."""
        return snake(self.resource.removesuffix("Layer"))


@dataclass(frozen=True)
class Function:
    """A function: the package its handler is in, its layers, and a hash of all that configures it."""

    resource: str
    handler: str
    layers: tuple[Layer, ...]
    configuration: str

    prefix = "/var/task"

    @property
    def name(self) -> str:
        """`ScoreFunction` is `score`."""
        return snake(self.resource.removesuffix("Function"))

    @property
    def package(self) -> str:
        """`functions.score` of the handler `functions.score.app.handler`."""
        return self.handler.rsplit(".", 2)[0]

    @property
    def source(self) -> Path:
        """The package's folder."""
        return ROOT / self.package.replace(".", "/")


@dataclass(frozen=True)
class Plan:
    """Everything to be built, and the architecture that the template deploys for (`arm64` or `x86_64`)."""

    layers: tuple[Layer, ...]
    functions: tuple[Function, ...]
    architecture: str


def snake(name: str) -> str:
    """`NightlyRetrain` is `nightly_retrain`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def read_plan(path: Path = ROOT / "template.yaml", settings: Path = ROOT / "samconfig.toml") -> Plan:
    """The plan of a template. Raises BuildError for what it can't build.

    `settings` holds the deploys' parameters, whose values are part of what configures a function.
    """
    template = load_template(path)
    parameters = settings.read_text(encoding="utf-8")
    resources: dict[str, Any] = template["Resources"]
    shared: dict[str, Any] = (template.get("Globals") or {}).get("Function") or {}
    layers = {
        resource: _layer(resource)
        for resource, body in resources.items()
        if body["Type"] == "AWS::Serverless::LayerVersion"
    }
    functions = []
    architectures = set()
    for resource, body in resources.items():
        properties = {**shared, **body.get("Properties", {})}
        if body["Type"] != "AWS::Serverless::Function" or "InlineCode" in properties:
            continue
        if properties.get("Runtime") != RUNTIME:
            raise BuildError(f"{resource} must run on {RUNTIME}, for which the bytecode is made")
        architectures.add(_architecture(properties, template))
        used = [*shared.get("Layers", []), *body["Properties"].get("Layers", [])]
        functions.append(
            Function(
                resource,
                handler=properties["Handler"],
                layers=tuple(_used_layer(resource, one, layers) for one in used),
                configuration=_digest([parameters, shared, body]),
            )
        )
        if not functions[-1].source.is_dir():
            raise BuildError(f"{resource}: there is no package {functions[-1].package}")
    if len(architectures) != 1:
        raise BuildError(f"functions and layer must have one architecture, not {sorted(architectures)}")
    return Plan(tuple(layers.values()), tuple(functions), architectures.pop())


def _layer(resource: str) -> Layer:
    layer = Layer(resource, ROOT / "layers" / snake(resource.removesuffix("Layer")))
    if not layer.source.is_dir():
        raise BuildError(f"{resource}: there is no folder {layer.source.relative_to(ROOT)}")
    return layer


def _used_layer(resource: str, reference: Any, layers: dict[str, Layer]) -> Layer:
    try:
        return layers[reference["Ref"]]
    except (KeyError, TypeError):
        raise BuildError(f"{resource}: only layers of this template can be weighed: {reference}") from None


def _architecture(properties: dict[str, Any], template: dict[str, Any]) -> str:
    [architecture] = properties.get("Architectures", ["x86_64"])
    if isinstance(architecture, dict) and "Ref" in architecture:
        architecture = template["Parameters"][architecture["Ref"]]["Default"]
    return str(architecture)


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()
