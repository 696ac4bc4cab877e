"""Errors as RFC 9457 `application/problem+json`: the only place that knows which status an error has."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson

from adbid.domain import errors
from adbid.eyes.logs import logger
from adbid.web.reply import Reply

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110's, also before Python 3.13

_UNKNOWN = "extra_forbidden"  # a property the client made up may be called anything

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[errors.AdBidError], int] = {
    errors.Invalid: 422,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.PreconditionRequired: 428,
    errors.Unavailable: 503,
}


def problem(
    status: int,
    code: str,
    detail: str,
    fields: Iterable[errors.FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """A reply that is one problem. `type` is a stable URN of the code."""
    listed = [{"property": f.property, "code": f.code, "message": f.message} for f in fields]
    body = {
        "type": f"urn:adbid:problem:{code}",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": listed,
    }
    return Reply(status, orjson.dumps(body), MEDIA_TYPE, headers or {})


def problem_of(error: Exception) -> Reply:
    """The problem that an error is. What nobody foresaw is logged, and its words are kept from the caller."""
    if not isinstance(error, errors.AdBidError):
        logger.error("unhandled error", exc_info=error)
        return problem(500, "internal_error", "something went wrong on our side")
    headers = {}
    if isinstance(error, errors.Unavailable):
        headers["retry-after"] = str(error.retry_after)
        logger.warning("dependency unavailable", extra={"code": error.code, "reason": error.message})
    if isinstance(error, errors.Unauthorized):
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    return problem(status, error.code, error.message, error.fields, headers)


def property_path(location: Sequence[int | str]) -> str:
    """`("bids", 3, "amount")` → `bids[3].amount`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def field_errors(details: Iterable[Any]) -> list[errors.FieldError]:
    """Pydantic's error list in the contract's form, one entry per property at fault."""
    found: dict[str, errors.FieldError] = {}
    for detail in details:
        # Tagged members of a union ("str", "float") are pydantic's own steps, not the client's properties.
        location = list(detail["loc"])
        if detail["type"] != _UNKNOWN:
            location = [part for part in location if not str(part).startswith(("constrained-", "function-"))]
            if location and location[-1] in ("str", "float", "int", "decimal"):
                location.pop()
        path = property_path(location)
        found.setdefault(path, errors.FieldError(path, detail["type"], detail["msg"]))
    return list(found.values())


def invalid(details: Iterable[Any]) -> errors.Invalid:
    """The 422 of a body or parameter that breaks the schema."""
    fields = field_errors(details)
    first = fields[0] if fields else errors.FieldError("", "invalid", "the request is not valid")
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    where = f"{first.property}: " if first.property else ""
    return errors.Invalid("invalid_request", f"{where}{first.message}{more}", *fields[:100])
