"""Reports, evidence and purging find their rows by an index of MySQL, and read hardly any others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, event, func, select, text

from adbid.data import events, evidence, reports, sealed_days, sealing
from adbid.data.database import Database
from adbid.data.reports import Scope
from adbid.data.tables import performance, performance_day, performance_event, performance_rollup
from tests.support import past
from tests.support.servers import fresh_database

SINCE = past.AT - timedelta(days=10)
BY_PLACE = "ix_performance_place"
BY_RECEIPT = "ix_performance_event_received_at"
SCOPES = [
    Scope(),
    Scope(brand_id="b1"),
    Scope(partner_id="p1"),
    Scope(slot_id="s2"),
    Scope(brand_id="b1", partner_id="p1"),
    Scope(brand_id="b1", slot_id="s2"),
    Scope(partner_id="p1", slot_id="s2"),
    Scope(frozenset({"b1"}), frozenset({"p1"})),
]


@dataclass(frozen=True)
class Step:
    """What MySQL says of one table of a query."""

    table: str
    access: str
    index: str | None


@pytest.fixture(scope="module", name="database", params=[False, True], ids=["unsealed", "sealed"])
def large_database(real_mysql_url: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    with fresh_database(real_mysql_url) as url, Database(url, statement_timeout=None) as made:
        past.catalog(made)
        past.store(made, past.random_rows(6_000))
        if request.param:
            past.seal(made, past.AT)
        with made.engine.begin() as connection:
            connection.execute(performance_event.insert(), [_received(n) for n in range(3_000)])
            for table in (performance, performance_rollup, performance_day, performance_event):
                connection.execute(text(f"ANALYZE TABLE {table.name}"))
        yield made


def _received(number: int) -> dict[str, Any]:
    columns = performance_event.columns
    row: dict[str, Any] = {
        column.name: 0 if column.type.python_type is int else "" for column in columns if _plain(column)
    }
    at = past.AT - timedelta(minutes=number)
    money = dict.fromkeys(("cost", "revenue", "current_cost", "current_revenue"), 0)
    moments = {"event_time": past.AT - timedelta(days=900), "received_at": at}
    return {**row, **money, **moments, "event_id": f"e{number}", "body_hash": bytes(32), "budget_day": None}


def _plain(column: Any) -> bool:
    return column.name not in (
        "cost",
        "revenue",
        "current_cost",
        "current_revenue",
        "body_hash",
        "budget_day",
    )


def plan(connection: Connection, work: Callable[[], object]) -> list[Step]:
    """How MySQL runs the queries of `work`, one step per table of ours."""
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(connection, "before_cursor_execute", note)
    steps = []
    for statement, parameters in sent:
        if statement.startswith("SELECT"):
            rows = connection.exec_driver_sql(
                f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters
            ).mappings()
            steps += [
                Step(row["table"], row["type"], row["key"])
                for row in rows
                if str(row["table"]).startswith("performance")
            ]
    how_far = Step("performance_seal", "const", "PRIMARY")  # one row, which says so
    assert steps.count(how_far) <= 1
    return [step for step in steps if step != how_far]


def sealed(connection: Connection) -> bool:
    """Whether the database has added up whole days."""
    return sealed_days.sealed_until(connection) is not None


def rows_read(connection: Connection, work: Callable[[], object]) -> int:
    """How many rows the storage engine was asked for by the last run of `work`."""

    def status() -> int:
        rows = connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
        return sum(int(row[1]) for row in rows)

    work()
    first, second = status(), status()
    work()
    return (status() - second) - (second - first)  # asking reads a few rows itself


@pytest.mark.parametrize("granularity", ["hour", "day"])
@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: str(SCOPES.index(scope)))
def test_value_over_time_reads_a_range_of_the_rollup(
    database: Database, scope: Scope, granularity: Any
) -> None:
    with database.read() as connection:

        def work() -> object:
            zone = ZoneInfo("Asia/Kolkata")
            return reports.slices(connection, scope, SINCE, past.AT, granularity, zone)

        for step in plan(connection, work):
            assert step in (
                Step("performance_rollup", "range", "PRIMARY"),
                Step("performance_rollup", "ref", "PRIMARY"),  # who has been in a slot
            )
        steps = len(plan(connection, work))
        assert steps >= 1
        quarters = 10 * 96
        currencies = 2
        assert 0 < rows_read(connection, work) <= steps * currencies * 4 * quarters


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_many_brands_days_are_read_as_such(database: Database, zone: str) -> None:
    scope = Scope(frozenset({"b0", "b1", "b2"}), frozenset({"p1"}))  # seven series of quarter hours
    with database.read() as connection:

        def work() -> object:
            return reports.slices(connection, scope, SINCE, past.AT, "day", ZoneInfo(zone))

        steps = plan(connection, work)
        read = rows_read(connection, work)
        assert {step.table for step in steps} == {
            "performance_rollup",
            *({"performance_day"} if sealed(connection) and zone == "UTC" else ()),
        }
        for step in steps:
            assert (step.access, step.index) == ("range", "PRIMARY")
        if sealed(connection) and zone == "UTC":
            quarters, days = 15 * 4 + 33 * 4, 8  # before the first midnight, since the last day, between
            assert read <= 7 * (quarters + days) * 2 + 100


def test_a_scope_reads_its_own_rows_and_no_others(database: Database) -> None:
    row = performance_rollup.c
    with database.read() as connection:
        own = connection.scalar(
            select(func.count()).where(
                row.slot_id == "", row.brand_id == "b1", row.partner_id == "", row.bucket_start >= SINCE
            )
        )
        every = connection.scalar(select(func.count()).select_from(performance_rollup))

        def work() -> object:
            return reports.slices(connection, Scope(brand_id="b1"), SINCE, past.AT, "day", ZoneInfo("UTC"))

        groups = len(reports.slices(connection, Scope(brand_id="b1"), SINCE, past.AT, "day", ZoneInfo("UTC")))
        read = rows_read(connection, work)
    assert own
    assert every
    # Each row once, and then again what it was gathered into: at most twice per row, never the rest.
    assert own <= read <= 2 * own + 2 * groups + 10 < every


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (("", "", "", "", ""), Step("performance_rollup", "range", "PRIMARY")),
        (("mobile", "", "", "", ""), Step("performance", "range", BY_PLACE)),
        (("", "", "", "US", ""), Step("performance", "range", BY_PLACE)),
        (("mobile", "banner", "", "US", ""), Step("performance", "range", BY_PLACE)),
    ],
)
def test_what_was_observed_is_found_by_index(
    database: Database, context: tuple[str, ...], expected: Step
) -> None:
    with database.read() as connection:

        def work() -> object:
            return reports.observed(connection, ("b0", "p1", "s2", context), SINCE, past.AT)

        access = "range" if context[0] or not any(context) else "ref"  # of a place, or of its device's days
        days = [Step("performance_day", access, "PRIMARY")] if sealed(connection) else []
        assert plan(connection, work) == [expected, *days]


def test_a_place_reads_the_quarter_hours_of_three_days_at_most(database: Database) -> None:
    """And else a row a day and context of the device asked for, however many quarter hours they had."""
    row, day = performance.c, performance_day.c
    with database.read() as connection:
        span = sealed_days.span(connection, SINCE, past.AT)

        def work() -> object:
            return reports.observed(connection, ("b0", "p1", "s2", ("mobile", *[""] * 4)), SINCE, past.AT)

        read = rows_read(connection, work)
        place = (row.slot_id == "s2", row.brand_id == "b0", span.rest(row.bucket_start))
        quarters = connection.scalar(select(func.count()).where(*place)) or 0
        days = 0
        if span.days:
            assert span.days == (SINCE.date() + timedelta(days=1), past.AT.date() - timedelta(days=1))
            device = (day.by_context == 1, day.slot_id == "s2", day.brand_id == "b0", span.whole())
            days = connection.scalar(select(func.count()).where(*device, day.device_type == "mobile")) or 0
            assert days
    assert read <= quarters + days + 10


def test_evidence_is_found_by_index(database: Database) -> None:
    paths = [past.path_of(cell) for cell in list(past.random_rows(6_000))[:2]]
    with database.read() as connection:
        steps = plan(connection, lambda: evidence.evidence_before(connection, paths, past.AT))
        days = {"performance_day"} if sealed(connection) else set()
    assert {step.table for step in steps} == {"performance_rollup", "performance", *days}
    for step in steps:
        assert step.access in ("range", "ref")
        assert step.index == (BY_PLACE if step.table == "performance" else "PRIMARY")


def test_evidence_reads_no_more_when_other_brands_have_more_of_a_past(database: Database) -> None:
    """Of other brands, it reads their sums; once it was every one of their rows."""
    path = past.path_of(next(iter(past.random_rows(1))))
    with database.read() as connection:
        rows = connection.scalar(select(func.count()).select_from(performance))
        read = rows_read(connection, lambda: evidence.evidence_before(connection, [path], past.AT))
        whole = sealed(connection)
    assert rows
    quarters = 36 + 96 if whole else 50 * 96  # since yesterday, or of 50 days
    days = 50 * (5 + 6) if whole else 0  # each level's, and a device's contexts
    assert read < (5 * quarters + days) * 6  # kept with their weights, and read again


@pytest.mark.parametrize("brand_id", ["b1", ""])
def test_a_day_is_added_up_from_its_own_rows(database: Database, brand_id: str) -> None:
    day = SINCE.date()
    with database.engine.connect() as connection:
        steps = plan(
            connection, lambda: sealing._mend(connection, brand_id, day, day + timedelta(days=1), count=True)
        )
        filled = sealed(connection)  # of an empty table any index will do
    found = {step.table: (step.access, step.index) for step in steps}
    if filled:
        assert found["performance_day"] == ("range", "ix_performance_day_brand_id_day")
    if brand_id:
        assert found["performance"] == ("range", "ix_performance_brand_id_bucket_start")
    else:
        assert found["performance_rollup"] == ("range", "PRIMARY")


def test_old_events_are_found_by_when_they_were_received(database: Database) -> None:
    """Also where all that is kept happened long ago, as in a log that was loaded yesterday."""
    with database.read() as connection:

        def work() -> object:
            return events.purge(connection, past.AT, 100)

        assert plan(connection, work) == [Step("performance_event", "range", BY_RECEIPT)]
        assert rows_read(connection, work) <= 10
