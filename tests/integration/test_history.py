"""What `performance` says: in a stream, as evidence at a past moment, and as exact sums, on every dialect."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlalchemy import event

from adbid.data import evidence, history, reports
from adbid.data.database import Database
from adbid.data.reports import Scope
from adbid.domain.events import Cell
from adbid.domain.reporting import Granularity, Slice, points
from tests.support.past import AT, CURRENCIES, added_up, catalog, market_of, path_of, random_rows, store

ROWS = random_rows(400)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    catalog(made)
    store(made, ROWS)
    yield made
    made.dispose()


@pytest.mark.parametrize("rows_per_page", [7, 400, 10_000])
def test_a_stream_holds_every_row_once(
    database: Database, rows_per_page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_ROWS_PER_PAGE", rows_per_page)
    since, until = AT - 40 * DAY, AT - 3 * DAY
    with database.read() as connection:
        chunks = list(history.stream(connection, since, until))
    found = [
        (start, path, *measures)
        for chunk in chunks
        for start, path, measures in zip(
            chunk.bucket_start, chunk.paths, chunk.measures.tolist(), strict=True
        )
    ]
    expected = []
    for cell, totals in ROWS.items():
        if since <= cell.bucket_start < until:
            *ids, context = path_of(cell)
            expected.append((cell.bucket_start, (*ids, *context), *map(float, totals)))
    assert sorted(found) == sorted(expected)
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert max(len(chunk.paths) for chunk in chunks) <= rows_per_page


def test_evidence_is_what_adding_up_by_hand_gives(database: Database) -> None:
    paths = [path_of(cell) for cell in list(ROWS)[:25]]
    paths += [
        (market_of("b0"), "b0", "p0", "s0", ("", "", "", "", "")),
        (market_of("b0"), "b0", "p0", "s0", ("", "banner", "", "", "")),  # no device is named, a creative is
        ("", "nobody", "p0", "s0", ("mobile", "", "", "", "")),
        (market_of("b2"), "b0", "p9", "s0", ("", "", "", "", "")),  # in another vertical, at a new partner
    ]
    with database.read() as connection:
        found = evidence.evidence_before(connection, paths, AT)
    np.testing.assert_allclose(found, added_up(ROWS, paths, AT), rtol=1e-12)
    assert found[25:28].any()


def test_evidence_knows_only_quarter_hours_that_have_ended(database: Database) -> None:
    moment = max(cell.bucket_start for cell in ROWS) + timedelta(minutes=14)
    before = {
        cell: totals for cell, totals in ROWS.items() if cell.bucket_start + timedelta(minutes=15) <= moment
    }
    assert len(before) < len(ROWS)
    paths = [path_of(cell) for cell in list(ROWS)[:5]]
    with database.read() as connection:
        np.testing.assert_allclose(
            evidence.evidence_before(connection, paths, moment), added_up(before, paths, moment), rtol=1e-12
        )
        assert not evidence.evidence_before(connection, paths, AT - 60 * DAY).any()
        assert evidence.evidence_before(connection, [], AT).shape[0] == 0


def test_evidence_takes_one_query_and_one_for_how_far_days_go(database: Database) -> None:
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with database.read() as connection:
        event.listen(connection, "before_cursor_execute", note)
        evidence.evidence_before(connection, [path_of(cell) for cell in ROWS], AT)
    assert len([statement for statement in statements if statement != "BEGIN"]) == 2


def test_evidence_forgets_what_is_past_the_horizon(database: Database) -> None:
    [cell] = [cell for cell in ROWS if cell.bucket_start == AT - timedelta(minutes=15)]
    at = AT + history.HORIZON
    with database.read() as connection:
        assert evidence.evidence_before(connection, [path_of(cell)], at - timedelta(minutes=15)).any()
        assert not evidence.evidence_before(connection, [path_of(cell)], at).any()


def test_what_was_observed_is_exact(database: Database) -> None:
    since, until = AT - 48 * DAY, AT - 2 * DAY
    for context in (("", "", "", "", ""), ("mobile", "", "", "", ""), ("", "", "", "US", "")):
        rows = [
            totals
            for cell, totals in ROWS.items()
            if (cell.brand_id, cell.partner_id, cell.slot_id) == ("b0", "p1", "s2")
            and since <= cell.bucket_start < until
            and all(asked in ("", said) for asked, said in zip(context, cell.context, strict=True))
        ]
        assert rows
        with database.read() as connection:
            found = reports.observed(connection, ("b0", "p1", "s2", context), since, until)
        sums = tuple(sum(column) for column in zip(*rows, strict=True))
        assert (found.impressions, found.clicks, found.conversions, found.cost, found.revenue) == sums
        assert isinstance(found.cost, Decimal)
        assert isinstance(found.impressions, int)


def test_nothing_observed_is_zero(database: Database) -> None:
    with database.read() as connection:
        found = reports.observed(connection, ("b0", "p1", "s2", ("tv", "", "", "", "")), AT - DAY, AT)
    assert found == reports.Totals(0, 0, 0, Decimal(0), Decimal(0))


def visible(scope: Scope, cell: Cell) -> bool:
    own = scope.brands is None or cell.brand_id in scope.brands
    if not own and scope.partners is not None and cell.partner_id not in scope.partners:
        return False
    named = (
        (scope.brand_id, cell.brand_id),
        (scope.partner_id, cell.partner_id),
        (scope.slot_id, cell.slot_id),
    )
    return all(asked in (None, said) for asked, said in named)


NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope(frozenset({"b0", "b2"}), NOBODY),
        Scope(NOBODY, frozenset({"p1"})),
        Scope(frozenset({"b0"}), frozenset({"p1"})),
        Scope(None, frozenset({"p1"})),
        Scope(NOBODY, NOBODY),
        Scope(brand_id="b1", slot_id="s1"),
        Scope(frozenset({"b0"}), NOBODY, partner_id="p2"),
    ],
)
@pytest.mark.parametrize("granularity", ["hour", "day"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_sums_over_time_are_exact_and_show_only_what_may_be_seen(
    database: Database, scope: Scope, granularity: Granularity, zone: str
) -> None:
    since, until = AT - 48 * DAY, AT - timedelta(minutes=10)  # New York's clocks go back within
    there = ZoneInfo(zone)
    alone = [
        Slice(cell.bucket_start, CURRENCIES[cell.brand_id], impressions, cost, revenue)
        for cell, (impressions, _, _, cost, revenue) in ROWS.items()
        if since <= cell.bucket_start < until and visible(scope, cell)
    ]
    with database.read() as connection:
        found = reports.slices(connection, scope, since, until, granularity, there)
    expected = points(alone, granularity, there)
    assert points(found, granularity, there) == expected
    # The database has gathered them: one a point, and another where the clocks were changed within.
    assert len(found) <= len(scope.parts()) * (len(expected) + 2)


def test_ids_are_told_apart_by_case(database: Database) -> None:
    [cell] = list(random_rows(1, seed=5))
    upper = replace(cell, brand_id="b0", partner_id="P1", bucket_start=AT + DAY)
    store(database, {upper: (1, 0, 0, Decimal(1), Decimal(1))})
    with database.read() as connection:
        place = ("b0", "p1", upper.slot_id, ("",) * 5)
        assert reports.observed(connection, place, AT + DAY, AT + 2 * DAY).impressions == 0
