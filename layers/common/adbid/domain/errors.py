"""Every error the product can answer with, as one small coded hierarchy.

    AdBidError
    ├── Invalid               422  the request says something it may not
    ├── Unauthorized          401  nobody vouches for the caller, or no longer
    ├── Forbidden             403  the token lacks the scope
    ├── NotFound              404  no such object, or not this tenant's
    ├── Conflict              409  it exists, is in use, or was said differently before
    ├── PreconditionFailed    412  `If-Match` names another version
    ├── PreconditionRequired  428  `If-Match` is missing
    ├── TooLarge              413  the body is over the limit
    └── Unavailable           503  a dependency is down; try again later

The status lives in `adbid.web.problems`, the only place that knows HTTP.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one property of the input, e.g. `bids[3].amount`."""

    property: str
    code: str
    message: str


class AdBidError(Exception):
    """Base of all coded errors. `fields` names the properties at fault, where there are any."""

    def __init__(self, code: str, message: str, *fields: FieldError, property: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields or ((FieldError(property, code, message),) if property else ())


class Invalid(AdBidError):
    """The body cannot be parsed, or it breaks the schema or a rule of the contract."""


class Unauthorized(AdBidError):
    """The caller's identity is missing or has expired."""


class Forbidden(AdBidError):
    """The caller is known, but its token does not allow this."""


class NotFound(AdBidError):
    """The addressed object does not exist for this caller."""


class Conflict(AdBidError):
    """The request contradicts what is stored."""


class PreconditionFailed(AdBidError):
    """The object changed since the caller read it."""


class PreconditionRequired(AdBidError):
    """The caller must say which version it changes."""


class TooLarge(AdBidError):
    """The body exceeds the size limit."""


class Unavailable(AdBidError):
    """A dependency is down. `retry_after` is in seconds."""

    def __init__(self, code: str, message: str, *, retry_after: int = 1) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after
