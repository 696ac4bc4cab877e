"""The small types that requests and answers share, so that an id or an amount means the same everywhere."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    Strict,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

_VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f]"
_INNER = r"[^\x00-\x1f\x7f-\x9f]"

Id = Annotated[
    str,
    Strict(),
    StringConstraints(min_length=1, max_length=64, pattern=rf"^{_VISIBLE}({_INNER}*{_VISIBLE})?$"),
    Field(description="1 to 64 characters, case-sensitive, without control characters or outer spaces"),
]

Currency = Annotated[str, Strict(), StringConstraints(pattern=r"^[A-Z]{3}$"), Field(description="ISO 4217")]

Country = Annotated[
    str, Strict(), StringConstraints(pattern=r"^[A-Z]{2}$"), Field(description="ISO 3166-1 alpha-2")
]

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _dated(text: Any) -> str:
    if not isinstance(text, str) or not _DATE.match(text):  # seconds since 1970 aren't RFC 3339
        raise PydanticCustomError("datetime_type", "Input should be a valid datetime")
    return text


def _in_utc(moment: datetime) -> datetime:
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("impossible_time", "not a possible time") from None
    if moment < EARLIEST:
        raise PydanticCustomError("too_early", "before the year 2000")
    return moment


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_dated),
    AfterValidator(_in_utc),
    Field(description="RFC 3339 with an offset"),
]
"""In UTC, whatever the offset that it came with."""

MONEY_LIMIT = Decimal(1_000_000_000_000)
_DOUBLE_DIGITS = 15  # decimal digits that always survive in a JSON number
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def exact_number(amount: Any) -> Any:
    """Refuses what another notation or a binary number would alter; for use before a Decimal is parsed."""
    if isinstance(amount, float) and len(repr(amount).strip("-0").replace(".", "")) > _DOUBLE_DIGITS:
        raise PydanticCustomError("inexact", "a number of more than 15 digits must be a string")
    if isinstance(amount, str) and not _DECIMAL.fullmatch(amount):
        raise PydanticCustomError("not_decimal", "not a decimal number")
    return amount


def _plain(amount: Decimal) -> Decimal:
    # A number like 1E+2 is exact, but only plain notation has a bounded number of digits.
    return amount.quantize(Decimal("0.000001")) if amount else Decimal(0)


Money = Annotated[
    Decimal,
    Field(
        ge=0, lt=MONEY_LIMIT, decimal_places=6, allow_inf_nan=False, description="a decimal string or number"
    ),
    BeforeValidator(exact_number),
    AfterValidator(_plain),
]


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"localtime"}  # which is another zone on every machine


def _time_zone(name: str) -> str:
    if name not in _time_zones():
        raise PydanticCustomError("timezone", "not an IANA time zone")
    return name


TimeZone = Annotated[str, Strict(), AfterValidator(_time_zone), Field(description="IANA time zone")]


def utc(moment: datetime) -> str:
    """RFC 3339 with an offset."""
    return moment.isoformat()


class ProblemError(BaseModel):
    """What is wrong with one property of the request."""

    property: str
    code: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemError]
