"""Connections and transactions behave alike on every database the product runs on."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from adbid.data.database import Database, upsert
from adbid.data.tables import brand_strategy, metadata, model_version, performance
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.errors import Unavailable
from tests.support.processes import free_port

AT = datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url, pool_size=4) as made:
        metadata.create_all(made.engine)
        yield made


def cell(number: int, **values: Any) -> dict[str, Any]:
    return {
        "bucket_start": AT,
        "cell_hash": number.to_bytes(16, "big"),
        **dict.fromkeys(("brand_id", "partner_id", "slot_id"), "x"),
        **dict.fromkeys(CONTEXT_DIMENSIONS, ""),
        "pricing_model": "CPM",
        **dict.fromkeys(("impressions", "clicks", "conversions"), 0),
        **dict.fromkeys(("cost", "revenue"), Decimal(0)),
        **values,
    }


def strategy(key: str, **values: Any) -> dict[str, Any]:
    shares = {"probe_share": Decimal("0.05"), "exploration_share": Decimal("0.02")}
    history = {"version": 1, "created_at": AT, "updated_at": AT}
    return {
        "id": key,
        "name": key,
        "vpi_multiplier": Decimal("1.2"),
        "priority": 0,
        **shares,
        **history,
        **values,
    }


def test_money_adds_up_to_the_micro(database: Database) -> None:
    amounts = [Decimal("0.1"), Decimal("0.2"), Decimal("999999999999.999999"), Decimal("-0.000001")]

    def work(connection: Connection) -> Decimal | None:
        rows = [cell(place, brand_id="sum", cost=amount) for place, amount in enumerate(amounts)]
        connection.execute(insert(performance), rows)
        query = select(func.sum(performance.c.cost)).where(performance.c.brand_id == "sum")
        return connection.scalar(query)

    assert database.transaction(work) == Decimal("1000000000000.299998")


def test_an_upsert_adds_replaces_and_leaves_alone(database: Database) -> None:
    first = [cell(n, brand_id="first", clicks=n, cost=Decimal("0.000001")) for n in (102, 100, 101)]
    second = [cell(n, brand_id="second", clicks=10, cost=Decimal("0.1")) for n in (101, 103)]

    def work(connection: Connection) -> dict[int, tuple[Any, ...]]:
        for rows in (first, second):
            upsert(connection, performance, rows, add=("clicks", "cost"), replace=("brand_id",))
        upsert(connection, performance, [cell(100, clicks=7)])
        upsert(connection, performance, [])
        found = connection.execute(select(performance).where(performance.c.cell_hash >= bytes(15) + b"\x64"))
        return {row.cell_hash[-1]: (row.brand_id, row.clicks, row.cost) for row in found}

    assert database.transaction(work) == {
        100: ("first", 100, Decimal("0.000001")),
        101: ("second", 111, Decimal("0.100001")),
        102: ("first", 102, Decimal("0.000001")),
        103: ("second", 10, Decimal("0.1")),
    }


def test_what_a_column_cannot_hold_is_refused_and_sums_are_exact_beyond_it(database: Database) -> None:
    huge = Decimal("999999999999.999999")
    amounts = [cell(place, brand_id="huge", cost=huge, revenue=-huge) for place in range(20, 40)]
    database.transaction(lambda connection: upsert(connection, performance, amounts))
    beyond: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (("cost",), {"cost": Decimal("0.000001")}),
        (("revenue",), {"revenue": Decimal("-0.000001")}),
        (("cost",), {"cost": huge}),
        ((), {"cost": huge + Decimal("0.000001")}),
        ((), {"cost": Decimal(10) ** 18}),
    ]
    for add, values in beyond:
        row = cell(20 if add else 41, **values)
        with pytest.raises(DataError):
            database.transaction(partial(upsert, table=performance, rows=[row], add=add))
    upsert_clicks = partial(upsert, table=performance, rows=[cell(20, clicks=2**62)], add=("clicks",))
    database.transaction(upsert_clicks)
    with pytest.raises(DataError):
        database.transaction(upsert_clicks)

    def sums() -> list[tuple[Any, ...]]:
        columns = [func.sum(performance.c[name]) for name in ("cost", "revenue", "clicks")]
        query = select(*columns).where(performance.c.brand_id == "huge")
        with database.read() as connection:
            return [tuple(row) for row in connection.execute(query.group_by(performance.c.slot_id))]

    assert sums() == [(20 * huge, -20 * huge, 2**62)]


def test_what_is_read_is_what_was_written(database: Database) -> None:
    parameters = {"half_life": 1.5, "note": "Grüße 🚀"}

    def work(connection: Connection) -> Any:
        values = {
            "created_at": AT,
            "status": "new",
            "checksum": "0" * 64,
            "parameters": parameters,
            "metrics": [],
        }
        connection.execute(insert(model_version).values(version="v 1/ü", **values))
        return connection.execute(select(model_version)).mappings().one()

    row = database.transaction(work)
    assert (row["version"], row["created_at"], row["parameters"], row["metrics"]) == (
        "v 1/ü",
        AT,
        parameters,
        [],
    )


def test_ids_differ_by_case_and_accent(database: Database) -> None:
    def work(connection: Connection) -> set[str]:
        connection.execute(insert(brand_strategy), [strategy(name) for name in ("eve", "Eve", "ève")])
        return set(connection.scalars(select(brand_strategy.c.id).where(brand_strategy.c.id == "Eve")))

    assert database.transaction(work) == {"Eve"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"vpi_multiplier": Decimal(0)},
        {"probe_share": Decimal("1.000001")},
        {"exploration_share": Decimal("-0.1")},
        {"name": None},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_database_refuses_what_the_rules_forbid(database: Database, wrong: dict[str, Any]) -> None:
    with pytest.raises(DBAPIError):
        database.transaction(lambda c: c.execute(insert(brand_strategy).values(strategy("wrong", **wrong))))


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(insert(brand_strategy).values(strategy("half")))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        database.transaction(work)
    with database.read() as connection:
        assert connection.scalar(select(brand_strategy.c.id).where(brand_strategy.c.id == "half")) is None


def test_a_violated_constraint_is_looked_at_again(database: Database) -> None:
    """The second attempt sees what made the first one fail."""
    seen: list[bool] = []

    def work(connection: Connection) -> bool:
        known = connection.scalar(select(brand_strategy.c.id).where(brand_strategy.c.id == "race"))
        seen.append(known is not None)
        if known is None or len(seen) == 1:
            connection.execute(insert(brand_strategy).values(strategy("race")))
        return known is not None

    assert database.transaction(work) is False
    seen.clear()
    assert database.transaction(work, retry_integrity=True) is True
    assert seen == [True, True]
    with pytest.raises(IntegrityError):
        database.transaction(lambda c: c.execute(insert(brand_strategy).values(strategy("race"))))


def test_two_transactions_that_deadlock_both_get_through(database: Database) -> None:
    names = ["left", "right"]
    database.transaction(lambda c: c.execute(insert(brand_strategy), [strategy(name) for name in names]))
    both_hold_one = threading.Barrier(2)

    def both_rows(order: list[str]) -> int:
        attempts = 0

        def work(connection: Connection) -> None:
            nonlocal attempts
            attempts += 1
            for place, name in enumerate(order):
                raise_priority = {"priority": brand_strategy.c.priority + 1}
                connection.execute(
                    update(brand_strategy).where(brand_strategy.c.id == name).values(raise_priority)
                )
                if place == 0 and attempts == 1 and database.engine.dialect.name != "sqlite":
                    both_hold_one.wait(timeout=10)  # SQLite has one writer at a time: no deadlock to be had

        database.transaction(work)
        return attempts

    with ThreadPoolExecutor(2) as pool:
        attempts = list(pool.map(both_rows, [names, names[::-1]]))
    with database.read() as connection:
        query = select(brand_strategy.c.priority).where(brand_strategy.c.id.in_(names))
        assert list(connection.scalars(query)) == [2, 2]
    assert sum(attempts) == (2 if database.engine.dialect.name == "sqlite" else 3)


def test_many_writers_lose_nothing(database: Database) -> None:
    row = cell(200, brand_id="many", impressions=1, cost=Decimal("0.01"))

    def add(_: int) -> None:
        database.transaction(
            lambda c: upsert(c, performance, [row], add=("impressions", "cost")), attempts=20
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(40)))
    with database.read() as connection:
        query = select(performance.c.impressions, performance.c.cost).where(performance.c.brand_id == "many")
        assert connection.execute(query).one() == (40, Decimal("0.4"))


def test_a_reader_does_not_stop_a_writer(database: Database) -> None:
    with database.read() as reader:
        reader.execute(select(brand_strategy)).all()
        started = time.perf_counter()
        database.transaction(lambda c: c.execute(insert(brand_strategy).values(strategy("beside a reader"))))
        assert time.perf_counter() - started < 2


def test_a_full_pool_is_unavailable(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adbid.data.database.POOL_TIMEOUT", 0.05)
    with Database(database_url) as small, small.read(), pytest.raises(Unavailable) as raised, small.read():
        pass
    assert raised.value.code == "database_busy"


def test_a_connection_that_died_is_replaced(database: Database, database_url: str) -> None:
    if database.engine.dialect.name == "sqlite":
        return  # no connection to lose
    with Database(database_url) as mine:
        with mine.read() as connection:
            mine_id = connection.scalar(text("SELECT CONNECTION_ID()"))
        database.transaction(lambda c: c.exec_driver_sql(f"KILL {mine_id}"))
        with mine.read() as connection:  # the ping finds out
            assert connection.scalar(text("SELECT CONNECTION_ID()")) != mine_id

        def killed(connection: Connection) -> None:
            own = connection.scalar(text("SELECT CONNECTION_ID()"))
            database.transaction(lambda c: c.exec_driver_sql(f"KILL {own}"))
            connection.scalar(text("SELECT 1"))

        with pytest.raises(Unavailable) as raised:
            mine.transaction(killed)
    assert raised.value.code == "database_unavailable"


def test_a_server_session_is_set_up(database: Database) -> None:
    if database.engine.dialect.name == "sqlite":
        with database.read() as connection:
            assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
            assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        return
    with database.read() as connection:
        assert connection.scalar(text("SELECT @@session.time_zone")) == "+00:00"
        modes = str(connection.scalar(text("SELECT @@session.sql_mode"))).split(",")
        assert {"STRICT_TRANS_TABLES", "ONLY_FULL_GROUP_BY"} <= set(modes)
        assert connection.get_isolation_level() == "READ COMMITTED"


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with Database(f"mysql://nobody:secret@127.0.0.1:{free_port()}/none") as nowhere:
        started = time.perf_counter()
        with pytest.raises(Unavailable) as raised, nowhere.read():
            pass
        with pytest.raises(Unavailable):
            nowhere.transaction(lambda c: c.execute(text("SELECT 1")))
    assert raised.value.code == "database_unavailable"
    assert "secret" not in str(raised.value)
    assert time.perf_counter() - started < 5


def test_a_file_that_cannot_be_opened_is_unavailable() -> None:
    with Database("sqlite:////nowhere/at/all.db") as nowhere, pytest.raises(Unavailable), nowhere.read():
        pass
