"""`python -m local.openapi` writes the one OpenAPI document of all functions, which admin serves."""

import importlib
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "functions" / "admin" / "openapi.json"

DESCRIPTION = """Scores bundles of bids for partners' ad slots, learns from what happens, and reports ROAS.

Times are RFC 3339 with an offset. Money comes in as a decimal string or number and goes out as a decimal
string. Errors are RFC 9457 problems, except for those that API Gateway answers by itself (a missing token:
401; a refused one: 403; throttling: 429)."""

BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "RS256 or ES256; `scope` holds brand, partner or admin; admin has every scope",
}


PROBLEMS = {
    "400": "the request can't be read",
    "401": "the token is missing or has expired",
    "403": "the token lacks the scope",
    "404": "no such object, or another tenant's",
    "409": "it exists, is in use, or was said differently before",
    "412": "If-Match names another version",
    "413": "the body is over 1 MiB",
    "422": "the request breaks the schema or a rule; `errors` names each property",
    "428": "If-Match is missing",
    "503": "a dependency is down; Retry-After says when to try again",
}


def applications() -> list[FastAPI]:
    """The FastAPI application of every function that has one, by the function's name."""
    folders = sorted(path.parent for path in (ROOT / "functions").glob("*/app.py"))
    names = [(folder.name, "api" if (folder / "api.py").exists() else "app") for folder in folders]
    modules = [importlib.import_module(f"functions.{function}.{name}") for function, name in names]
    return [module.app for module in modules if isinstance(getattr(module, "app", None), FastAPI)]


def merged(apps: list[FastAPI]) -> dict[str, Any]:
    """One document for all routes of `apps`."""
    routes = [route for app in apps for route in app.routes]
    document = get_openapi(
        title="AdBid Optimizer", version="1", description=DESCRIPTION, routes=routes, openapi_version="3.1.0"
    )
    for route in routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _finish(document["paths"][route.path_format][method.lower()], route)
    document["paths"] = dict(sorted(document["paths"].items()))
    document["components"]["securitySchemes"] = {"bearer": BEARER}
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    document["components"]["responses"] = {
        f"problem{status}": {"description": text, "content": schema} for status, text in PROBLEMS.items()
    }
    return document


def _finish(operation: dict[str, Any], route: APIRoute) -> None:
    """Says who may call, and that every error is a problem."""
    found = [getattr(dependency.call, "scopes", None) for dependency in route.dependant.dependencies]
    scopes = [list(scopes) for scopes in found if scopes]
    operation.setdefault("security", [{"bearer": scopes[0]}] if scopes else [])
    public = not operation["security"]  # nobody is refused there
    responses = operation["responses"]
    good = {status: answer for status, answer in responses.items() if status.startswith("2")}
    bad = {s: {"$ref": f"#/components/responses/problem{s}"} for s in sorted(responses) if s not in good}
    operation["responses"] = good if public else good | bad


def text_of(document: dict[str, Any]) -> str:
    """The document as it is stored."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    text = text_of(merged(applications()))
    DOCUMENT.write_text(text, encoding="utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)}: {len(text)} characters")


if __name__ == "__main__":
    main()
