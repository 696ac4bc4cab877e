"""Who makes a change, for the audit log."""

from typing import Any

from fastapi import Request

from adbid.engine.administration import Actor
from adbid.web.claims import Claims


def actor_of(request: Request, claims: Claims) -> Actor:
    """The token's subject, and API Gateway's id of the request."""
    event: dict[str, Any] = request.scope.get("aws.event", {})
    return Actor(claims.subject, event.get("requestContext", {}).get("requestId", ""))
