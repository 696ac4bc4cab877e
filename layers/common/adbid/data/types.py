"""Column types that mean the same on MySQL, MariaDB and SQLite, and come back exact in Python."""

import json
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import CHAR, BigInteger, DateTime, Double, Integer, LargeBinary, Numeric, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from adbid.domain.money import MICROS, from_micros

MOST_MICROS = 10**18 - 1
"""What DECIMAL(18,6) holds, either side of nothing."""

CHARSET = "utf8mb4"
COLLATION = "utf8mb4_bin"  # ids and names compare by code point, as on SQLite

Real = Double
"""What is computed rather than set: IEEE doubles."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""An auto-incremented key; SQLite counts up only columns declared INTEGER."""


def _sqlite(dialect: Dialect) -> bool:
    return dialect.name == "sqlite"


def _micros(value: Decimal | int) -> int:
    micros = Decimal(value) * MICROS
    whole = int(micros)
    if whole != micros:
        raise ValueError(f"more than six decimal places: {value}")
    return whole


@lru_cache(4096)  # few prices are many amounts: a batch of 1,000 events has 6,000 of them
def _exact(value: Decimal | int) -> Decimal:
    return from_micros(_micros(value))


class Money(TypeDecorator[Decimal]):
    """An exact amount: DECIMAL(18,6), or whole micros where the database has no exact decimals.

    A value with more than six places is a programming error and raises ValueError; it is never rounded. One
    that DECIMAL(18,6) can't hold is SQLAlchemy's DataError everywhere. `SUM` of a Money column is exact too,
    and comes back as Decimal, of whatever size.
    """

    impl = Numeric(18, 6)
    cache_ok = True
    most_micros = MOST_MICROS

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if _sqlite(dialect) else Numeric(18, 6))

    def process_bind_param(self, value: Decimal | int | None, dialect: Dialect) -> Decimal | int | None:
        if value is None:
            return None
        if not _sqlite(dialect):
            return _exact(value)
        whole = _micros(value)
        if abs(whole) > self.most_micros:
            raise sqlite3.DataError(f"out of range for an amount: {value}")  # as a server would say
        return whole

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return from_micros(int(value)) if _sqlite(dialect) else Decimal(value)


class TotalMoney(Money):
    """A sum over many amounts: DECIMAL(24,6), or as many micros as 64 bits hold; otherwise like `Money`."""

    cache_ok = True
    most_micros = 2**63 - 1

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(BigInteger() if _sqlite(dialect) else Numeric(24, 6))


class Ratio(TypeDecorator[Decimal]):
    """A share, multiplier or weight as people set it, with at most six places: DECIMAL(18,6), or a double
    where the database has no exact decimals (it gives back any decimal of up to 15 digits as it was).
    """

    impl = Numeric(18, 6)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Double() if _sqlite(dialect) else Numeric(18, 6))

    def process_bind_param(self, value: Decimal | float | None, dialect: Dialect) -> Decimal | float | None:
        if value is None:
            return None
        return float(value) if _sqlite(dialect) else Decimal(str(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(str(value))


class UtcDateTime(TypeDecorator[datetime]):
    """A moment to the microsecond: UTC in the database, aware in Python. Naive values raise ValueError."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime() if _sqlite(dialect) else mysql.DATETIME(fsp=6))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        naive = value.astimezone(UTC).replace(tzinfo=None)
        # The text that PyMySQL would make of it, five times as fast: an event has two times.
        return naive if _sqlite(dialect) else naive.isoformat(" ", "microseconds")

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """A JSON document as text. MySQL stores JSON natively and MariaDB as text: text is the same on both."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if _sqlite(dialect):
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(mysql.LONGTEXT(charset=CHARSET, collation=COLLATION))

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


def text(length: int) -> TypeEngine[str]:
    """Up to `length` characters, case-sensitive."""
    return String(length).with_variant(mysql.VARCHAR(length, charset=CHARSET, collation=COLLATION), "mysql")


def code(length: int) -> TypeEngine[str]:
    """Exactly `length` characters, e.g. an ISO 4217 currency."""
    return CHAR(length).with_variant(mysql.CHAR(length, charset=CHARSET, collation=COLLATION), "mysql")


def digest(length: int) -> TypeEngine[bytes]:
    """A hash of exactly `length` bytes."""
    return LargeBinary(length).with_variant(mysql.BINARY(length), "mysql")


Id = text(64)
"""An identifier of 1 to 64 characters; "" where an optional dimension is absent."""

Name = text(200)
"""What people call a thing."""

Blob = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql")
"""Bytes of any length."""
