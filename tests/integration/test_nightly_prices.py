"""The nightly solve, from rows in MySQL and sums in Redis to prices in `brand_dual`."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from adbid import wiring
from adbid.data import rebuild
from adbid.data.tables import brand_dual, performance
from adbid.domain.errors import Unavailable
from adbid.domain.events import Cell
from tests.support.world import NOW, World, _world

CONTEXT = ("",) * 5


@pytest.fixture
def market(new_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Brands that cost 1 per 100 impressions, 10,000 a day on slots of their own, for a week."""
    for world in _world(new_database_url, redis_url, monkeypatch):
        world.set(
            {
                "strategies": [{"id": "plain", "vpi_multiplier": 1}],
                "brands": [
                    {"id": "calm", "strategy_id": "plain", "target_roas": 2},
                    {"id": "poor", "strategy_id": "plain", "target_roas": 2, "daily_budget": 40},
                    {"id": "weak", "strategy_id": "plain", "target_roas": 4},
                ],
                "partners": [{"id": "p"}],
                "slots": [{"id": "good"}, {"id": "bad"}],
            }
        )
        yield world


def fill(days: int = 7) -> None:
    """`good` slots earn 6 per unit of cost, `bad` ones 1.5; half of the impressions are on each."""
    from adbid.data import events

    def count(connection) -> None:
        gains = {}
        for day in range(days):
            at = NOW - timedelta(days=day, hours=6)
            for brand in ("calm", "poor", "weak"):
                for slot, revenue in (("good", 300), ("bad", 75)):
                    gains[Cell(at, brand, "p", slot, CONTEXT, "CPM")] = (5000, 200, 50, 50, revenue)
        events.add_totals(connection, gains)

    wiring.database().transaction(count)
    rebuild.rebuild(wiring.database(), wiring.counters(), NOW)


def rows() -> dict[str, tuple[float, float, float]]:
    with wiring.database().read() as connection:
        query = select(brand_dual.c.brand_id, brand_dual.c.nu, brand_dual.c.mu, brand_dual.c.lam)
        return {brand: (nu, mu, lam) for brand, nu, mu, lam in connection.execute(query)}


def test_each_constraint_gets_a_price_where_it_binds(market: World) -> None:
    fill()
    nights = wiring.nightly_prices().solve(NOW)
    assert rows() == {brand: (one.nu, one.mu, one.lambda_) for brand, one in nights.items()}
    calm, poor, weak = nights["calm"], nights["poor"], nights["weak"]
    assert calm.mu == weak.mu == 0.0  # no budget
    assert calm.nu == pytest.approx(0.0, abs=0.05)  # (6 + 1.5) / 2 is well above its target
    # Of 100 a day only 40 may be spent: the good slot's 50 at a ROAS of 6 already are too much.
    assert poor.lambda_ > 1.5
    # Only all of the good slot and some of the bad one keep to 4: the bad one must look worse than it is.
    assert weak.nu > 0.1
    assert weak.lambda_ > 1.0


def test_a_second_solve_of_a_night_replaces_the_first_and_starts_from_it(market: World) -> None:
    fill()
    first = wiring.nightly_prices().solve(NOW)
    again = wiring.nightly_prices().solve(NOW)
    assert len(rows()) == 3
    assert again["poor"].lambda_ == pytest.approx(first["poor"].lambda_, rel=0.05)


def test_nothing_shown_means_nothing_stored(market: World) -> None:
    rebuild.rebuild(wiring.database(), wiring.counters(), NOW)
    assert wiring.nightly_prices().solve(NOW) == {}
    assert rows() == {}


def test_without_the_sums_last_nights_prices_stay(market: World) -> None:
    fill()
    wiring.nightly_prices().solve(NOW)
    before = rows()
    wiring.redis_client().flushdb()
    with pytest.raises(Unavailable):
        wiring.nightly_prices().solve(NOW + timedelta(days=1))
    assert rows() == before


def test_days_out_of_the_window_do_not_count(market: World) -> None:
    fill(days=1)
    with wiring.database().read() as connection:
        (oldest,) = connection.scalars(select(performance.c.bucket_start).distinct())
    assert isinstance(oldest, datetime)
    assert wiring.nightly_prices().solve(oldest + timedelta(days=8)) == {}
