"""A brand's days as they are read to be played again, on every database."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pytest

from adbid.data import replayed
from adbid.data.database import Database
from adbid.data.replayed import Place
from adbid.domain.decay import MEASURES
from adbid.domain.ledger import budget_day, day_bounds
from tests.support.past import AT, catalog, random_rows, store

ROWS = random_rows(800, days=12)


@pytest.fixture
def database(new_database_url: str) -> Iterator[Database]:
    found = Database(new_database_url)
    catalog(found)
    store(found, ROWS)
    yield found
    found.dispose()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_every_day_and_place_adds_up(database: Database, zone: str) -> None:
    today = budget_day(AT, zone)
    days = [today - timedelta(days=age) for age in range(7, 0, -1)]
    expected: dict[tuple[date, Place], np.ndarray] = defaultdict(lambda: np.zeros(len(MEASURES)))
    for cell, totals in ROWS.items():
        day = budget_day(cell.bucket_start, zone)
        if cell.brand_id == "b1" and day in days:
            place = (cell.partner_id, cell.slot_id, cell.context)
            expected[day, place] += [float(number) for number in totals]
    with database.read() as connection:
        found = replayed.bought(connection, "b1", [day_bounds(day, zone) for day in days])
    assert found.rows == len(expected) > 50
    assert found.places == sorted({place for _, place in expected})
    for number, day in enumerate(days):
        for place, one in enumerate(found.places):
            assert found.measures[:, number, place] == pytest.approx(expected[day, one], rel=1e-12)


def test_a_brand_with_too_many_rows_is_read_by_slot_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [day_bounds(AT.date() - timedelta(days=age), "UTC") for age in range(7, 0, -1)]
    with database.read() as connection:
        fine = replayed.bought(connection, "b1", days)
        monkeypatch.setattr(replayed, "MOST_ROWS", fine.rows)
        assert replayed.bought(connection, "b1", days).places == fine.places
        monkeypatch.setattr(replayed, "MOST_ROWS", fine.rows - 1)
        coarse = replayed.bought(connection, "b1", days)
    assert coarse.rows < fine.rows
    assert {context for _, _, context in coarse.places} == {("",) * 5}
    assert coarse.measures.sum(axis=2) == pytest.approx(fine.measures.sum(axis=2), rel=1e-12)


def test_contested_are_the_slots_that_others_were_shown_in(database: Database) -> None:
    since = AT - timedelta(hours=3)
    shown = {cell.slot_id for cell in ROWS if cell.brand_id != "b1" and cell.bucket_start >= since}
    alone = {f"s{n}" for n in range(3)} - shown
    with database.read() as connection:
        assert replayed.contested(connection, "b1", ["s0", "s1", "s2", "s9"], since) == shown
        assert replayed.contested(connection, "b1", sorted(alone), since) == set()
        assert replayed.contested(connection, "b1", ["s0", "s1", "s2"], AT) == set()
    assert shown
