"""Money of one currency says nothing of another's: there are no exchange rates.

Events in another currency change no prediction, at no level, wherever the evidence comes from; and what is
kept up in Redis stays what MySQL adds up to, also when a brand moves between markets.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import numpy as np
import pytest
import redis
from numpy.typing import NDArray
from sqlalchemy import update

from adbid.data import evidence, rebuild
from adbid.data.counters import Counters, Generation, Increment, decayed
from adbid.data.database import Database
from adbid.data.tables import brand
from adbid.domain.context import LEVELS, chain, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.events import Cell, Totals
from adbid.domain.learned import DEFAULT_PARAMETERS
from adbid.domain.response import respond
from adbid.engine.rows import payments_behind
from adbid.ml.model import PACKAGED, Rows
from tests.support.past import AT, added_up, catalog, path_of, random_rows, store

Evidence = NDArray[np.float64]
Past = Mapping[Cell, Totals]

FOREIGN = "b1"  # in EUR and retail, beside b0 in USD and retail; the others are in USD
ROWS = random_rows(200)
DOLLARS = {cell: totals for cell, totals in ROWS.items() if cell.brand_id != FOREIGN}
PATHS = [path_of(cell) for cell in list(DOLLARS)[:40]]
EUROS = [path_of(cell) for cell in ROWS if cell.brand_id == FOREIGN]


def dear(rows: Past) -> dict[Cell, Totals]:
    """The same, with twice the foreign brand's events, each worth 150 times as much."""
    return {
        cell: (2 * totals[0], 2 * totals[1], 2 * totals[2], 300 * totals[3], 300 * totals[4])
        if cell.brand_id == FOREIGN
        else totals
        for cell, totals in rows.items()
    }


def kept_up(rows: Past, counters: Counters, _: Database) -> None:
    generation = Generation.new(AT - timedelta(days=60))
    counters.publish(generation)
    for number, (cell, totals) in enumerate(rows.items()):
        *ids, context = path_of(cell)
        one = Increment(*ids, context, cell.bucket_start, tuple(map(float, totals)))
        assert counters.add(generation, str(number), [one])


def rebuilt(rows: Past, counters: Counters, database: Database) -> None:
    store(database, rows)
    rebuild.rebuild(database, counters, AT)


def from_redis(counters: Counters, paths: list[tuple[str, str, str, str, tuple[str, ...]]]) -> Evidence:
    generation = counters.current()
    assert generation is not None
    names = [cell for path in paths for cell in chain(*path)]
    values = counters.redis.mget([generation.key(name) if name else "nothing" for name in names])
    sums = decayed(values, generation.landmark, AT)
    return sums.reshape(len(paths), len(LEVELS), *sums.shape[1:])


@pytest.fixture
def counters(redis_client: redis.Redis) -> Counters:
    return Counters(redis_client)


@pytest.fixture
def empty(new_database_url: str) -> Iterator[Database]:
    with Database(new_database_url) as made:
        catalog(made)
        yield made


@pytest.mark.parametrize("how", [kept_up, rebuilt])
def test_in_redis_another_currencys_events_change_nothing_to_the_bit(
    how: Callable[[Past, Counters, Database], None], counters: Counters, empty: Database
) -> None:
    how(dear(ROWS), counters, empty)
    both = from_redis(counters, PATHS)
    euros = from_redis(counters, EUROS)
    counters.redis.flushdb()
    with Database("sqlite://") as alone:
        catalog(alone)
        how(DOLLARS, counters, alone)
    np.testing.assert_array_equal(both, from_redis(counters, PATHS))
    assert both.any(axis=(0, 2))[:5].all(), "something is known from everything down to the slot"
    assert not from_redis(counters, EUROS)[:, :2].any()
    assert euros[:, :2].any(axis=(2, 3)).all()


def test_in_mysql_another_currencys_events_change_nothing(empty: Database) -> None:
    store(empty, DOLLARS)
    with empty.read() as connection:
        alone = evidence.evidence_before(connection, PATHS, AT)
        before = evidence.evidence_before(connection, EUROS, AT)
    store(empty, {cell: totals for cell, totals in dear(ROWS).items() if cell.brand_id == FOREIGN})
    with empty.read() as connection:
        both = evidence.evidence_before(connection, PATHS, AT)
        after = evidence.evidence_before(connection, EUROS, AT)
        together = evidence.evidence_before(connection, PATHS + EUROS, AT)
    np.testing.assert_allclose(both, alone, rtol=1e-12)
    assert not before.any()
    np.testing.assert_allclose(after, added_up(dear(ROWS), EUROS, AT), rtol=1e-12)
    np.testing.assert_allclose(together, np.concatenate([both, after]), rtol=1e-12)


def test_a_new_brand_inherits_its_currencys_rates_and_no_others(counters: Counters, empty: Database) -> None:
    """In the same vertical, one's money worth 150 times the other's."""
    kept_up(dear(ROWS), counters, empty)
    place = ("new", "p0", "s0", ("mobile", "", "", "", ""))
    paths = [(market(currency, "retail"), *place) for currency in ("USD", "EUR", "JPY")]
    known = from_redis(counters, paths)
    dollars, euros, yen = respond(known, DEFAULT_PARAMETERS).levels.transpose(2, 0, 1)
    for rates, sums in ((dollars, known[0, 0, -1]), (euros, known[1, 0, -1])):
        impressions, _, _, cost, revenue = sums
        assert rates[2] == pytest.approx(revenue / impressions, rel=0.5)
        assert rates[3] == pytest.approx(cost / impressions, rel=0.5)
    assert euros[2, -1] > 50 * dollars[2, -1]
    assert np.isnan(yen[2:]).all()
    assert yen[:2] == pytest.approx(0.03)


def test_a_prediction_of_a_bundle_is_that_of_its_rows_alone(counters: Counters, empty: Database) -> None:
    kept_up(dear(ROWS), counters, empty)
    paths = [*PATHS[:3], *EUROS[:3], (market("JPY", "retail"), "new", "p0", "s0", ("",) * 5)]

    def predicted(some: list[tuple[str, str, str, str, tuple[str, ...]]]) -> Evidence:
        names = ["" for _ in some]
        columns = dict.fromkeys((*LEVELS[1:], "pricing_model"), names)
        scores = np.full(len(some), np.nan)
        rows = Rows(columns, placement_score=scores, partner_quality=scores, at=AT)
        known = from_redis(counters, some)
        rests_on = payments_behind(known, some, PACKAGED.parameters.response)
        return np.concatenate([PACKAGED.predict(rows, known).response.levels[:, -1], [rests_on]])

    apart = np.concatenate([predicted([path]) for path in paths], axis=1)
    np.testing.assert_allclose(predicted(paths), apart, rtol=1e-12)


def test_revenue_rests_on_clicks_where_its_currency_has_no_conversions() -> None:
    """Whatever the other currencies of the bundle have."""
    known = np.zeros((2, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    known[0, :5] = (10_000.0, 300.0, 20.0, 50.0, 90.0)
    known[1, :5] = (10_000.0, 300.0, 0.0, 50.0, 90.0)
    paths = [(market(currency, "v"), f"b{currency}", "p", "s", ("",) * 5) for currency in ("JPY", "USD")]
    rests_on = payments_behind(known, paths, DEFAULT_PARAMETERS)
    assert rests_on == pytest.approx([20.0, 300.0])


@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_a_move_leaves_what_a_rebuild_would_make(currency: str, counters: Counters, empty: Database) -> None:
    rows = {cell: totals for cell, totals in ROWS.items() if cell.brand_id != "b3"}
    rebuilt(rows, counters, empty)
    left, joined = market("USD", "retail"), market(currency, "travel")
    counters.move_brand("b0", left, joined)
    paths = [(one, "nobody", "p9", "s9", ("",) * 5) for one in (left, joined, market("EUR", "retail"))]
    moved = from_redis(counters, paths)
    empty.transaction(
        lambda connection: connection.execute(
            update(brand).where(brand.c.id == "b0").values(currency=currency, vertical="travel")
        )
    )
    rebuild.rebuild(empty, counters, AT)
    np.testing.assert_allclose(moved, from_redis(counters, paths), rtol=1e-9, atol=1e-6)
