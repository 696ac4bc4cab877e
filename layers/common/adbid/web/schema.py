"""The small types that every request shares, so that an id or an amount means the same everywhere."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, Strict, StringConstraints

_VISIBLE = r"[^\s\x00-\x1f\x7f]"
_INNER = r"[^\x00-\x1f\x7f]"

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

Moment = Annotated[AwareDatetime, Strict(), Field(description="RFC 3339 with an offset")]

MONEY_LIMIT = Decimal(1_000_000_000_000)


def _plain(amount: Decimal) -> Decimal:
    # A number like 1E+2 is exact, but only plain notation has a bounded number of digits.
    return amount.quantize(Decimal("0.000001")) if amount else Decimal(0)


Money = Annotated[
    Decimal,
    Field(
        ge=0, lt=MONEY_LIMIT, decimal_places=6, allow_inf_nan=False, description="a decimal string or number"
    ),
    AfterValidator(_plain),
]


def utc(moment: datetime) -> str:
    """RFC 3339 with an offset."""
    return moment.isoformat()
