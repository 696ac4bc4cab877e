"""The migrations make exactly the tables of the code, up and down, on every database the product runs on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select

import migrations
from adbid.data import tables, views
from adbid.data.database import Database
from adbid.domain.context import CONTEXT_DIMENSIONS
from migrations import app
from migrations.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
DAY = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def empty(new_database_url: str) -> Iterator[Database]:
    database = Database(new_database_url, statement_timeout=None)
    yield database
    database.dispose()


@pytest.fixture(scope="module")
def migrated(database_url: str) -> Iterator[Database]:
    database = Database(database_url, statement_timeout=None)
    migrations.upgrade(database)
    yield database
    database.dispose()


def names(database: Database) -> set[str]:
    found = inspect(database.engine)
    return {*found.get_table_names(), *found.get_view_names()}


def revisions(database: Database) -> list[str]:
    script = ScriptDirectory.from_config(migrations.configuration(database))
    return [revision.revision for revision in reversed(list(script.walk_revisions()))]


def test_autogenerate_finds_nothing_to_do(migrated: Database) -> None:
    migrations.check(migrated)


def test_autogenerate_would_find_a_difference(migrated: Database) -> None:
    """So that the test before can fail: a column, an index and a foreign key the migrations don't know."""
    from sqlalchemy import Column, ForeignKey, MetaData

    changed = MetaData(naming_convention=tables.metadata.naming_convention)
    for table in tables.metadata.tables.values():
        table.to_metadata(changed)
    changed.tables["prior"].append_column(
        Column("extra", tables.brand.c.id.type, ForeignKey("brand.id"), index=True)
    )
    with migrated.read() as connection:
        context = MigrationContext.configure(connection)
        found = {step[0] for step in compare_metadata(context, changed) if isinstance(step, tuple)}
    assert found == {"add_column", "add_index", "add_fk"}


def test_up_down_and_up_again(empty: Database) -> None:
    migrations.upgrade(empty)
    assert names(empty) == {"alembic_version", *tables.metadata.tables, *views.metadata.tables}
    migrations.downgrade(empty, "base")
    assert names(empty) == {"alembic_version"}
    assert migrations.current(empty) is None
    migrations.upgrade(empty)
    migrations.upgrade(empty)  # the second finds nothing to do
    assert migrations.current(empty) == revisions(empty)[-1]


def test_each_step_can_be_taken_back_and_again(empty: Database) -> None:
    for revision in revisions(empty):
        migrations.upgrade(empty, revision)
        migrations.downgrade(empty, "-1")
        migrations.upgrade(empty, revision)
    migrations.check(empty)


def test_two_deploys_at_once_migrate_once(empty: Database) -> None:
    """Two processes: Alembic's own state is global to one."""
    environment = {
        **os.environ,
        "DATABASE_URL": url_of(empty),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "layers" / "common"), str(ROOT)]),
    }
    command = [sys.executable, "-m", "migrations", "upgrade"]
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert migrations.current(empty) == revisions(empty)[-1]


def test_the_command_says_where_the_database_is(
    migrated: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url_of(migrated))
    assert main(["current"]) == 0
    assert capsys.readouterr().out == f"{revisions(migrated)[-1]}\n"
    assert main(["check"]) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [("", "DATABASE_URL"), ("mysql+pymysql://nobody@127.0.0.1:1/none", "cannot be reached")],
)
def test_the_command_says_what_is_wrong(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["current"]) == 1
    assert said in capsys.readouterr().err


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def test_the_deploy_function_upgrades(new_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", new_database_url)
    newest = revisions(Database(new_database_url))[-1]
    assert app.handler({"revision": "0001"}, None) == {"before": None, "after": "0001"}
    assert app.handler({}, None) == {"before": "0001", "after": newest}
    assert app.handler({}, None) == {"before": newest, "after": newest}


def test_the_default_strategies_are_there(migrated: Database) -> None:
    with migrated.read() as connection:
        rows = connection.execute(select(tables.brand_strategy)).mappings().all()
    found = {row["id"]: row["vpi_multiplier"] for row in rows}
    assert found == {"balanced": Decimal("1"), "growth": Decimal("1.2"), "efficiency": Decimal("0.85")}
    assert {row["probe_share"] for row in rows} == {Decimal("0.05")}
    assert {row["exploration_share"] for row in rows} == {Decimal("0.02")}
    assert len({row["priority"] for row in rows}) == 3


def row(hour: int, cell: int, **values: Any) -> dict[str, Any]:
    return {
        "bucket_start": DAY.replace(hour=hour),
        "cell_hash": bytes([cell]) * 16,
        "brand_id": "b",
        "partner_id": "p",
        "slot_id": "s",
        **dict.fromkeys(CONTEXT_DIMENSIONS, ""),
        "device_type": "mobile",
        "pricing_model": "CPC",
        "impressions": 0,
        "clicks": 0,
        "conversions": 0,
        "cost": Decimal(0),
        "revenue": Decimal(0),
        **values,
    }


def test_the_views_say_what_happened(migrated: Database) -> None:
    happened = [
        row(0, 1, impressions=1000, clicks=30, cost=Decimal("0.100001"), revenue=Decimal("0.25")),
        row(23, 2, impressions=500, conversions=2, cost=Decimal("0.3"), revenue=Decimal("0.75"), os="ios"),
        row(5, 3, device_type="desktop", revenue=Decimal(7)),
    ]
    now = {"version": 1, "created_at": DAY, "updated_at": DAY}
    with migrated.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(tables.partner.insert().values(id="p", name="p", quality=Decimal("0.4"), **now))
        connection.execute(tables.performance.insert(), happened)
        daily = connection.execute(
            select(views.brand_roas).order_by(views.brand_roas.c.device_type)
        ).mappings()
        assert [tuple(one.values()) for one in daily] == [
            ("b", "p", "s", "desktop", DAY.date(), 0, 0, 0, Decimal(0), Decimal(7), None),
            (
                *("b", "p", "s", "mobile", DAY.date(), 1500, 30, 2, Decimal("0.400001"), Decimal(1)),
                pytest.approx(1 / 0.400001, rel=1e-6),
            ),
        ]
        features = connection.execute(
            select(views.feature_store).order_by(views.feature_store.c.bucket_start)
        ).mappings()
        first = dict(next(iter(features)))
        assert first["partner_quality"] == Decimal("0.4")
        assert (first["vertical"], first["placement_score"]) == (None, None)  # unknown, not left out
        assert (first["bucket_start"], first["cost"]) == (DAY, Decimal("0.100001"))
        transaction.rollback()


@pytest.mark.parametrize("view", list(views.metadata.tables.values()), ids=str)
def test_the_views_have_the_columns_the_code_selects(migrated: Database, view: Any) -> None:
    found = [column["name"] for column in inspect(migrated.engine).get_columns(view.name)]
    assert found == view.c.keys()
