"""Who is calling and what they may see, from the claims that the authorizer verified.

Read alike from a Lambda authorizer's context (strings that we wrote) and from API Gateway's native JWT
authorizer (claims as strings, lists rendered like `[a b]`).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from adbid.domain import errors

ALL = frozenset({"*"})
_LAST_SECOND = 253_402_300_799.0  # of the year 9999
_NEVER = datetime.fromtimestamp(_LAST_SECOND, UTC)
SCOPES = ("brand", "partner", "admin", "metrics")


@dataclass(frozen=True)
class Claims:
    """A verified caller. Holding `ALL` sees every tenant; `admin` sees everything and has every scope."""

    subject: str
    scopes: frozenset[str]
    brand_ids: frozenset[str]
    partner_ids: frozenset[str]
    expires_at: datetime = _NEVER

    @property
    def is_admin(self) -> bool:
        return "admin" in self.scopes

    @property
    def brands(self) -> frozenset[str] | None:
        """The brands this caller sees in the role of a brand; None for all of them."""
        if self.is_admin:
            return None
        if "brand" not in self.scopes:
            return frozenset()
        return None if "*" in self.brand_ids else self.brand_ids

    @property
    def partners(self) -> frozenset[str] | None:
        """The partners this caller sees in the role of a partner; None for all of them."""
        if self.is_admin:
            return None
        if "partner" not in self.scopes:
            return frozenset()
        return None if "*" in self.partner_ids else self.partner_ids

    def may_see_brand(self, brand_id: str) -> bool:
        return self.brands is None or brand_id in self.brands

    def may_see_partner(self, partner_id: str) -> bool:
        return self.partners is None or partner_id in self.partners


def read_claims(event: Mapping[str, Any], now: float) -> Claims:
    """The caller of an API Gateway v2 event at epoch second `now`. Raises Unauthorized."""
    authorizer = event.get("requestContext", {}).get("authorizer") or {}
    claims: Mapping[str, Any]
    if "lambda" in authorizer:
        claims = authorizer["lambda"] or {}
        scopes = frozenset(str(claims.get("scope", "")).split())
    else:
        jwt = authorizer.get("jwt") or {}
        claims = jwt.get("claims") or {}
        scopes = _strings(claims.get("scope")) | _strings(claims.get("scp")) | _strings(claims.get("scopes"))
        scopes |= frozenset(jwt.get("scopes") or ())
    if not claims:
        raise errors.Unauthorized("unauthorized", "the request carries no verified claims")
    try:
        expires = float(claims["exp"])
    except (KeyError, ValueError, TypeError):
        raise errors.Unauthorized("unauthorized", "the claims carry no expiry") from None
    if not now < expires:
        # The authorizer's answer is cached for up to a minute: a token may have run out since.
        raise errors.Unauthorized("token_expired", "the token has expired")
    return Claims(
        subject=str(claims.get("sub", "")),
        scopes=scopes,
        brand_ids=_ids(claims.get("brand_ids")),
        partner_ids=_ids(claims.get("partner_ids")),
        expires_at=datetime.fromtimestamp(min(expires, _LAST_SECOND), UTC),
    )


def claims_of(event: Mapping[str, Any], *scopes: str) -> Claims:
    """The caller, who must hold one of `scopes` (admin holds all). Raises Unauthorized or Forbidden."""
    claims = read_claims(event, time.time())
    if not claims.is_admin and claims.scopes.isdisjoint(scopes):
        raise errors.Forbidden("insufficient_scope", f"this needs the scope {' or '.join(scopes)}")
    return claims


def _strings(value: Any) -> frozenset[str]:
    """Scopes: space-separated, a list, or a list as API Gateway renders it."""
    if isinstance(value, str):
        return frozenset(value.strip("[]").replace(",", " ").split())
    return frozenset(map(str, value or ()))


def _ids(value: Any) -> frozenset[str]:
    """Tenant ids: a JSON list in a string, a list, `[a b]`, or one id. Ids may hold spaces."""
    if isinstance(value, str):
        if not value.startswith("["):
            return frozenset({value} if value else ())
        rendered = value
        try:
            value = orjson.loads(rendered)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            return frozenset(rendered.strip("[]").split())  # `[1e5]` is an id, not a number
    return frozenset(map(str, value or ()))
