"""Who calls an endpoint of FastAPI's, and what OpenAPI says of it."""

from collections.abc import Callable
from typing import Any

from fastapi import Request

from adbid.web.claims import Claims, claims_of


def caller_of(request: Request, *scopes: str) -> Claims:
    """The caller, who must hold one of `scopes` (admin holds all). Raises Unauthorized or Forbidden."""
    return claims_of(request.scope.get("aws.event", {}), *scopes)


def requires(*scopes: str) -> dict[str, Any]:
    """What OpenAPI says of an endpoint that calls `caller_of` itself."""
    return {"security": [{"bearer": list(scopes)}]}


def require(*scopes: str) -> Callable[[Request], Claims]:
    """A FastAPI dependency: the caller, holding one of `scopes`."""

    async def caller(request: Request) -> Claims:
        return caller_of(request, *scopes)

    caller.scopes = scopes  # type: ignore[attr-defined]  # what the OpenAPI document says of the operation
    return caller  # type: ignore[return-value]  # FastAPI awaits it
