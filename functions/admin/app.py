"""The admin function: create, read, change and remove what people set; and the documentation."""

import re
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import quote

import orjson
from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from adbid import wiring
from adbid.data.catalog import BRAND, PARTNER, PRIOR, SLOT, STRATEGY, Item, Kind
from adbid.domain.errors import Invalid, NotFound
from adbid.engine.administration import Matches
from adbid.web.app import create_app, documented, lambda_handler, read_body
from adbid.web.callers import require
from adbid.web.claims import Claims
from adbid.web.schema import Id, Problem
from functions.admin import documentation, models, oversight
from functions.admin.actor import actor_of

T = TypeVar("T", bound=Item)
Responses = dict[int | str, dict[str, Any]]

Admin = Annotated[Claims, Depends(require("admin"))]
ItemId = Annotated[str, Path(alias="id")]
IfMatch = Annotated[str | None, Header(description='the `ETag` you read, e.g. `"3"`; or `*`')]

_ID: TypeAdapter[str] = TypeAdapter(Id)

app = create_app("admin")


@dataclass(frozen=True)
class Resource(Generic[T]):
    """One kind of object under its path, with its documents."""

    path: str
    kind: Kind[T]
    body: TypeAdapter[Any]
    answer: type[models.Stored]

    def document(self, item: T) -> dict[str, Any]:
        """The object as JSON. It was checked when it came in, and stays readable should the rules change."""
        return self.answer.model_construct(**asdict(item)).model_dump(mode="json")

    def respond(self, item: T, status: int = 200) -> Response:
        """The object with its `ETag`, and with its `Location` where it was made."""
        headers = {"ETag": f'"{item.version}"'}
        if status == 201:
            headers["Location"] = f"{self.path}/{quote(item.id, safe='')}"
        return _json(self.document(item), status, headers)


RESOURCES: tuple[Resource[Any], ...] = (
    Resource("/api/strategies", STRATEGY, TypeAdapter(models.StrategyBody), models.Strategy),
    Resource("/api/brands", BRAND, TypeAdapter(models.BrandBody), models.Brand),
    Resource("/api/partners", PARTNER, TypeAdapter(models.PartnerBody), models.Partner),
    Resource("/api/slots", SLOT, TypeAdapter(models.SlotBody), models.Slot),
    Resource("/api/priors", PRIOR, TypeAdapter(models.PriorBody), models.Prior),
)


def serve(resource: Resource[Any]) -> None:
    """Adds the five endpoints of `resource`."""
    kind, name, path = resource.kind, resource.kind.name, f"{resource.path}/{{id:path}}"
    common: dict[str, Any] = {"tags": [resource.path.removeprefix("/api/")], "response_class": Response}
    found: Responses = {200: {"model": resource.answer, "headers": _headers("ETag")}}
    sent = documented(resource.body)

    @app.get(resource.path, summary=f"List: {name}", responses={200: {"model": _page(resource)}}, **common)
    async def list_items(claims: Admin, query: Annotated[models.ListQuery, Query()]) -> Response:
        page = wiring.administration().list(kind, cursor=query.cursor, limit=query.limit)
        items = [resource.document(item) for item in page.items]
        return _json({"items": items, "next_cursor": page.next_cursor})

    @app.post(
        resource.path,
        summary=f"Create: {name}",
        status_code=201,
        responses={
            201: {"model": resource.answer, "headers": _headers("ETag", "Location")},
            **_problems(409),
        },
        openapi_extra=sent,
        **common,
    )
    async def create_item(request: Request, claims: Admin) -> Response:
        body: models.Body = await read_body(request, resource.body)
        return resource.respond(
            wiring.administration().create(kind, body.values(), actor_of(request, claims)), 201
        )

    @app.get(path, summary=f"Read: {name}", responses={**found, **_problems(404)}, **common)
    async def read_item(item_id: ItemId, claims: Admin) -> Response:
        return resource.respond(wiring.administration().read(kind, _known(item_id)))

    @app.put(
        path,
        summary=f"Replace: {name}",
        responses={**found, **_problems(404, 409, 412, 428)},
        openapi_extra=sent,
        **common,
    )
    async def replace_item(
        request: Request, item_id: ItemId, claims: Admin, if_match: IfMatch = None
    ) -> Response:
        body: models.Body = await read_body(request, resource.body)
        if body.id not in (None, item_id):
            raise Invalid("id_mismatch", "the id differs from the path's", property="id")
        actor, seen = actor_of(request, claims), matches(if_match)
        return resource.respond(
            wiring.administration().replace(kind, _known(item_id), body.values(), seen, actor)
        )

    @app.delete(
        path, summary=f"Delete: {name}", status_code=204, responses=_problems(404, 409, 412), **common
    )
    async def delete_item(
        request: Request, item_id: ItemId, claims: Admin, if_match: IfMatch = None
    ) -> Response:
        wiring.administration().delete(kind, _known(item_id), matches(if_match), actor_of(request, claims))
        return Response(status_code=204)


def matches(if_match: str | None) -> Matches | None:
    """Which versions an `If-Match` header allows (RFC 9110, 13.1.1); None without one.

    Weak tags never match: the comparison is the strong one. Neither does what is no tag at all.
    """
    if if_match is None:
        return None
    if if_match.strip() == "*":
        return lambda version: True
    strong = {tag for weak, tag in re.findall(r'(W/)?"([^"]*)"', if_match) if not weak}
    return lambda version: str(version) in strong


def _known(item_id: str) -> str:
    """The path's id, unless no object can have it."""
    try:
        return _ID.validate_python(item_id)
    except ValidationError:
        raise NotFound("not_found", "there is no such object") from None


def _json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(document), status, headers, "application/json")


def _page(resource: Resource[Any]) -> type[BaseModel]:
    items: Any = list[resource.answer]  # type: ignore[name-defined]  # a class chosen at run time
    return create_model(
        f"{resource.kind.name.title()}Page", items=(items, ...), next_cursor=(str | None, None)
    )


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in names}


def _problems(*statuses: int) -> Responses:
    return {status: {"model": Problem, "content": {"application/problem+json": {}}} for status in statuses}


for one in RESOURCES:
    serve(one)

oversight.serve(app)
app.include_router(documentation.router)

handler = lambda_handler(app)
