"""Who is asking, what people changed, and which model serves: GET /api/me, /api/audit, /api/models."""

import re
from typing import Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from adbid import wiring
from adbid.data import audit, model_versions
from adbid.data.audit import Entry
from adbid.data.model_versions import VersionRow
from adbid.domain.errors import Conflict, Invalid
from adbid.engine.models import BadModel
from adbid.web.callers import require
from adbid.web.claims import SCOPES, Claims
from adbid.web.schema import Problem
from functions.admin.actor import actor_of
from functions.admin.models import Time

Anybody = Annotated[Claims, Depends(require(*SCOPES))]
Admin = Annotated[Claims, Depends(require("admin"))]

_PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}
_CURSOR = re.compile(r"[0-9]{1,18}")
_MANY = 200


class Me(BaseModel):
    """What the token may do. `["*"]` stands for all of a kind."""

    subject: str
    scopes: list[str]
    brand_ids: list[str]
    partner_ids: list[str]
    expires_at: Time


class AuditQuery(BaseModel):
    """Which entries are asked for."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str | None, Field(max_length=32)] = None
    object_id: Annotated[str | None, Field(max_length=64)] = None
    limit: Annotated[int, Field(ge=1, le=_MANY)] = 50
    cursor: str | None = None


class AuditEntry(BaseModel):
    """One change, with the object before and after it."""

    id: str
    occurred_at: Time
    actor: str
    request_id: str
    kind: str
    object_id: str
    action: str
    old_value: dict[str, Any] | None
    new_value: dict[str, Any] | None


class AuditPage(BaseModel):
    """The newest first."""

    items: list[AuditEntry]
    next_cursor: str | None


class ModelVersion(BaseModel):
    """One trained model. `status` is published (it serves), retired (it served) or rejected."""

    version: str
    created_at: Time
    status: str
    current: bool = Field(description="decisions are made with it now")
    training_from: Time | None
    training_to: Time | None
    metrics: dict[str, Any]


class ModelPage(BaseModel):
    """The newest first."""

    items: list[ModelVersion]
    next_cursor: str | None


class ModelQuery(BaseModel):
    """Which page of the versions is asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=_MANY)] = 50
    cursor: str | None = None


async def me(claims: Anybody) -> Response:
    """The verified claims, as every function understands them."""
    return _answer(
        Me(
            subject=claims.subject,
            scopes=sorted(claims.scopes),
            brand_ids=sorted(claims.brand_ids),
            partner_ids=sorted(claims.partner_ids),
            expires_at=claims.expires_at,
        )
    )


async def audit_log(claims: Admin, query: Annotated[AuditQuery, Query()]) -> Response:
    """Every change of a strategy, brand, partner, slot or prior, and of the model: by whom, from what, to
    what."""
    before = _number(query.cursor)
    with wiring.database().read() as connection:
        found = audit.page(connection, query.kind, query.object_id, before, query.limit + 1)
    items = [_entry(entry) for entry in found[: query.limit]]
    cursor = items[-1].id if len(found) > query.limit else None
    return _answer(AuditPage(items=items, next_cursor=cursor))


async def list_models(claims: Admin, query: Annotated[ModelQuery, Query()]) -> Response:
    """What became of each night's model, with how it was judged."""
    after = _number(query.cursor) or 0
    with wiring.database().read() as connection:
        found = model_versions.page(connection, after, query.limit + 1)
    current = wiring.model_publisher().serving()
    items = [_version(row, current) for row in found[: query.limit]]
    cursor = str(after + query.limit) if len(found) > query.limit else None
    return _answer(ModelPage(items=items, next_cursor=cursor))


async def rollback(request: Request, claims: Admin, version: Annotated[str, Path()]) -> Response:
    """Makes a version serve that did before, from the next decision on. The one that serves stays stored."""
    publisher, actor = wiring.model_publisher(), actor_of(request, claims)
    before = publisher.serving()
    try:
        publisher.rollback(version)
    except BadModel as error:
        raise Conflict(error.code, error.message, property="version") from error
    change = ("model", version, "rollback", {"version": before}, {"version": version})

    def note(connection: Connection) -> VersionRow | None:
        audit.add(connection, wiring.now(), actor.subject, actor.request_id, *change)
        return model_versions.find(connection, version)

    row = wiring.database().transaction(note)
    assert row is not None
    return _answer(_version(row, version))


def serve(app: FastAPI) -> None:
    """Adds the endpoints of this module."""
    app.get(
        "/api/me",
        summary="What this token may do",
        tags=["account"],
        response_class=Response,
        responses={200: {"model": Me}},
    )(me)
    app.get(
        "/api/audit",
        summary="What people changed",
        tags=["account"],
        response_class=Response,
        responses={200: {"model": AuditPage}},
    )(audit_log)
    app.get(
        "/api/models",
        summary="List: model versions",
        tags=["models"],
        response_class=Response,
        responses={200: {"model": ModelPage}},
    )(list_models)
    app.post(
        "/api/models/{version}/rollback",
        summary="Go back to a model version",
        tags=["models"],
        response_class=Response,
        responses={200: {"model": ModelVersion}, 404: _PROBLEM, 409: _PROBLEM},
    )(rollback)


def _entry(entry: Entry) -> AuditEntry:
    return AuditEntry.model_validate({**vars(entry), "id": str(entry.id)})


def _version(row: VersionRow, current: str | None) -> ModelVersion:
    return ModelVersion.model_validate({**vars(row), "current": row.version == current})


def _answer(document: BaseModel) -> Response:
    return Response(orjson.dumps(document.model_dump(mode="json")), media_type="application/json")


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not _CURSOR.fullmatch(cursor):
        raise Invalid("invalid_cursor", "this is no cursor of this list", property="cursor")
    return int(cursor)
