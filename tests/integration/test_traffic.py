"""Each brand's traffic by local quarter hour: counted from what happened, once, newer days more."""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pytest

from adbid import wiring
from adbid.data import events
from adbid.data.traffic import NO_TRAFFIC, TrafficStore
from adbid.domain.events import Cell
from adbid.domain.pacing import QUARTERS
from tests.support.world import NOW, World, _world

ZONES = {"here": "UTC", "there": "Asia/Kolkata"}
FOREVER = math.inf


@pytest.fixture
def market(new_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    yield from _world(new_database_url, redis_url, monkeypatch)


def shown(brand: str, at: datetime, impressions: int) -> None:
    cell = Cell(at, brand, "p", "s", ("",) * 5, "CPM")
    wiring.database().transaction(
        lambda connection: events.add_totals(connection, {cell: (impressions, 0, 0, 0, 0)})
    )


def store() -> TrafficStore:
    """One that remembers nothing."""
    return TrafficStore(wiring.redis_client())


def advance(now: datetime, deadline: float = FOREVER) -> None:
    store().advance(wiring.database(), ZONES, now, deadline)


def test_local_quarters_and_newer_days_count_more(market: World) -> None:
    shown("here", NOW - timedelta(days=1), 100)  # 9:00
    shown("here", NOW - timedelta(days=8), 100)  # a week older: half as much
    shown("there", NOW - timedelta(days=1), 40)  # 14:30 in Kolkata
    shown("gone", NOW - timedelta(days=1), 1000)
    advance(NOW)
    found = store().read(["here", "there", "new"])
    assert set(found.brands) == {"here", "there"}
    here, there = found.brands["here"], found.brands["there"]
    assert np.flatnonzero(here).tolist() == [36]
    assert np.flatnonzero(there).tolist() == [58]
    # Six hours count together, from their end on: 9:00 is among those that ended at noon.
    age = (found.until - (NOW - timedelta(days=1) + timedelta(hours=3))) / timedelta(days=7)
    assert here[36] == pytest.approx(100 * 2**-age * 1.5, rel=1e-6)
    assert there[58] == pytest.approx(here[36] * 40 / 150, rel=1e-5)
    assert found.everyone.sum() == pytest.approx(here.sum() + there.sum(), rel=1e-5)
    curves = found.curves(["here", "new"])
    assert curves.shape == (2, QUARTERS)
    assert curves.sum(axis=1) == pytest.approx([1.0, 1.0])


def test_nothing_is_counted_twice_and_a_lost_hash_is_filled_again(market: World) -> None:
    shown("here", NOW - timedelta(days=2), 100)
    advance(NOW)
    first = store().read_all()
    advance(NOW)
    assert store().read_all().brands["here"].tolist() == first.brands["here"].tolist()
    store().forget()
    assert store().read_all() is NO_TRAFFIC
    advance(NOW)
    assert store().read_all().brands["here"].tolist() == pytest.approx(first.brands["here"].tolist())
    shown("here", NOW, 50)
    advance(NOW + timedelta(hours=2))  # not over yet
    assert store().read_all().until == first.until
    advance(NOW + timedelta(hours=5))
    assert store().read_all().brands["here"].sum() > first.brands["here"].sum()


def test_without_time_nothing_is_lost(market: World) -> None:
    shown("here", NOW - timedelta(days=2), 100)
    advance(NOW, deadline=-FOREVER)
    assert store().read_all() is NO_TRAFFIC
    advance(NOW)
    assert store().read_all().brands["here"].sum() > 0


def test_a_process_sees_what_another_added(market: World) -> None:
    mine = store()
    assert mine.read_all() is NO_TRAFFIC
    shown("here", NOW - timedelta(days=2), 100)
    advance(NOW)
    assert set(mine.read_all().brands) == {"here"}
    assert mine.read_all() is mine.read_all()
