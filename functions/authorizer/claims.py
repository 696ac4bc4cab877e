"""What a verified token says about its caller, checked for shape and written as the authorizer's context."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

EVERYTHING = ("*",)
MAX_ID_CHARACTERS = 64
MAX_TEXT_CHARACTERS = 256
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last a datetime can say

# scope-token of RFC 6749 section 3.3, less brackets and commas, which API Gateway writes lists with.
_SCOPE = re.compile(r"[!#-+\--Z^-~]+")


class MalformedClaims(ValueError):
    """A claim has a shape that nobody can rely on."""


@dataclass(frozen=True)
class Caller:
    """The verified caller: `brand_ids` and `partner_ids` are its tenants, `("*",)` for all."""

    subject: str
    issuer: str
    scopes: tuple[str, ...]
    brand_ids: tuple[str, ...]
    partner_ids: tuple[str, ...]
    expires_at: int

    def context(self) -> dict[str, str]:
        """The claims for the functions; everything a string, as the native JWT authorizer has it."""
        return {
            "sub": self.subject,
            "iss": self.issuer,
            "exp": str(self.expires_at),
            "scope": " ".join(self.scopes),
            "brand_ids": json.dumps(self.brand_ids, separators=(",", ":")),
            "partner_ids": json.dumps(self.partner_ids, separators=(",", ":")),
        }


def caller_of(payload: dict[str, Any]) -> Caller:
    """The caller of a payload whose signature, issuer and audience are good. Raises `MalformedClaims`."""
    return Caller(
        subject=_text(payload.get("sub", "")),
        issuer=_text(payload["iss"]),
        scopes=_scopes(payload),
        brand_ids=_tenants(payload.get("brand_ids", [])),
        partner_ids=_tenants(payload.get("partner_ids", [])),
        expires_at=math.floor(numeric_date(payload["exp"])),
    )


def numeric_date(value: object) -> float:
    """A NumericDate (RFC 7519 section 2) in epoch seconds. Raises `MalformedClaims`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_SECOND:
        raise MalformedClaims("not a date")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS or not _is_printable(value):
        raise MalformedClaims("not a text")
    return value


def _scopes(payload: dict[str, Any]) -> tuple[str, ...]:
    """The scopes of `scope`, `scp` and `scopes` together, each once, in their order."""
    found: dict[str, None] = {}
    for name in ("scope", "scp", "scopes"):
        value = payload.get(name, [])
        items = [item for item in value.split(" ") if item] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise MalformedClaims("scopes are neither a text nor a list")
        for item in items:
            # An item with a space in it would come out of the context as two scopes.
            if not isinstance(item, str) or _SCOPE.fullmatch(item) is None:
                raise MalformedClaims("not a scope")
            found[item] = None
    return tuple(found)


def _tenants(value: object) -> tuple[str, ...]:
    if value == "*":
        return EVERYTHING
    if not isinstance(value, list):
        raise MalformedClaims("tenants are not a list")
    for item in value:
        if not isinstance(item, str) or not 0 < len(item) <= MAX_ID_CHARACTERS or not _is_printable(item):
            raise MalformedClaims("not an id")
    return EVERYTHING if "*" in value else tuple(dict.fromkeys(value))


def _is_printable(text: str) -> bool:
    """No control characters, and no half of a surrogate pair, which no later step could encode."""
    return not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in text) and not any(
        0xD800 <= ord(character) <= 0xDFFF for character in text
    )
