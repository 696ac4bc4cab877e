"""The tables keep the promises that MySQL, MariaDB and SQLite all depend on."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, String, Table
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.dialects.mysql.reserved_words import RESERVED_WORDS_MARIADB, RESERVED_WORDS_MYSQL
from sqlalchemy.schema import CreateTable

from adbid.data import tables, views
from adbid.data.types import Json, Money, Ratio, UtcDateTime
from adbid.domain.context import CONTEXT_DIMENSIONS

MYSQL, SQLITE = mysql.dialect(), sqlite.dialect()
TABLES = list(tables.metadata.tables.values())
VIEWS = list(views.metadata.tables.values())

amounts = st.decimals(min_value=-(10**11), max_value=10**11, places=6)
moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


def stored(column_type: Any, value: Any, dialect: Any) -> Any:
    return column_type.process_bind_param(value, dialect)


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_a_table_says_its_engine_and_its_collation(table: Table) -> None:
    ddl = str(CreateTable(table).compile(dialect=MYSQL))
    assert "ENGINE=InnoDB" in ddl
    assert "COLLATE utf8mb4_bin" in ddl.splitlines()[-2] + ddl.splitlines()[-1] + ddl.rsplit(")", 1)[1]
    for line in ddl.splitlines():
        if "CHAR" in line and "CHARSET=" not in line:
            assert "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" in line, line


@pytest.mark.parametrize("table", TABLES + VIEWS, ids=str)
def test_no_name_is_reserved_anywhere(table: Table) -> None:
    reserved = RESERVED_WORDS_MYSQL | RESERVED_WORDS_MARIADB
    assert not {table.name, *table.c.keys()} & reserved


@pytest.mark.parametrize("table", TABLES, ids=str)
def test_names_fit_and_keys_are_short_enough_for_an_index(table: Table) -> None:
    for item in [*table.constraints, *table.indexes]:
        assert len(str(item.name)) <= 64
    for index in [table.primary_key, *table.indexes]:
        assert sum(_bytes(column) for column in index.columns) <= 3072


def _bytes(column: Column[Any]) -> int:
    return 4 * (column.type.length or 0) if isinstance(column.type, String) else 16


@pytest.mark.parametrize("table", [tables.performance, tables.performance_event], ids=str)
def test_what_happened_carries_every_context_dimension_and_no_foreign_key(table: Table) -> None:
    assert set(CONTEXT_DIMENSIONS) <= set(table.c.keys())
    assert not table.foreign_keys


def test_performance_is_found_by_slot_and_brand() -> None:
    leading = {tuple(column.name for column in index.columns)[:2] for index in tables.performance.indexes}
    assert ("slot_id", "brand_id") in leading


def test_money_is_exact_micros_where_there_are_no_decimals() -> None:
    assert stored(Money(), Decimal("12.5"), SQLITE) == 12_500_000
    assert stored(Money(), Decimal("12.5"), MYSQL) == Decimal("12.5")
    assert Money().process_result_value(12_500_001, SQLITE) == Decimal("12.500001")


@pytest.mark.parametrize("dialect", [MYSQL, SQLITE], ids=lambda dialect: dialect.name)
def test_money_is_never_rounded(dialect: Any) -> None:
    with pytest.raises(ValueError, match="six decimal places"):
        stored(Money(), Decimal("0.0000001"), dialect)


@given(amounts)
def test_money_comes_back_as_it_was(amount: Decimal) -> None:
    for dialect in (MYSQL, SQLITE):
        assert Money().process_result_value(stored(Money(), amount, dialect), dialect) == amount


@given(st.decimals(min_value=0, max_value=10**9, places=6))
def test_a_ratio_comes_back_as_it_was(ratio: Decimal) -> None:
    for dialect in (MYSQL, SQLITE):
        assert Ratio().process_result_value(stored(Ratio(), ratio, dialect), dialect) == ratio


@given(moments)
def test_a_moment_is_stored_in_utc_and_comes_back_the_same(moment: datetime) -> None:
    naive = stored(UtcDateTime(), moment, SQLITE)
    assert naive.tzinfo is None
    back = UtcDateTime().process_result_value(naive, SQLITE)
    assert back == moment
    assert back is not None
    assert back.tzinfo is UTC


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        stored(UtcDateTime(), datetime(2026, 11, 20), SQLITE)  # noqa: DTZ001 - the point of the test


def test_json_refuses_what_is_no_json() -> None:
    assert stored(Json(), {"ü": 1}, SQLITE) == '{"ü":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        stored(Json(), float("nan"), MYSQL)
