"""What a retrain reads: the feature store on every database, added up to hours, or to days."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

import migrations
from adbid.data import tables
from adbid.data.database import Database
from adbid.domain.context import LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.replay import ABSENT
from functions.retrain.training_data import TrainingData, day_number, moment_of, read
from tests.support.market import Row, store
from tests.support.world import BRAND, NOW, PARTNER, SLOT, STRATEGY

SINCE = NOW - timedelta(days=30)
HISTORY = {"version": 1, "created_at": NOW, "updated_at": NOW}


def row(at: object, number: int = 0, **values: object) -> Row:
    ids = {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "pricing_model": "CPC"}
    context = dict.fromkeys(("device_type", "creative_type", "campaign_id", "country", "os"), "")
    measures = {"impressions": 0, "clicks": 0, "conversions": 0, "cost": Decimal(0), "revenue": Decimal(0)}
    key = {"bucket_start": at, "cell_hash": number.to_bytes(16, "big")}
    return {**key, **ids, **context, **measures, **values}


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """The tables and views of the migrations, and a catalog: brand b1, slot s1 and partner p1."""
    with Database(database_url, statement_timeout=None) as database:
        migrations.upgrade(database)

        def write(connection: object) -> None:
            for table, values in (
                (tables.brand_strategy, {"id": "plain", "vpi_multiplier": 1, **STRATEGY}),
                (tables.brand, {"id": "b1", "strategy_id": "plain", **BRAND}),
                (tables.partner, {"id": "p1", **PARTNER, "quality": Decimal("0.8")}),
                (tables.ad_slot, {"id": "s1", **SLOT, "placement_score": Decimal("0.3")}),
            ):
                connection.execute(table.insert().values({"name": values["id"], **values, **HISTORY}))  # type: ignore[attr-defined]

        database.transaction(write)
        yield database


def learned(database: Database, rows: list[Row], **limits: int) -> TrainingData:
    store(database, rows)
    with database.read() as connection:
        return read(connection, NOW, **limits)  # type: ignore[arg-type]


def test_quarter_hours_are_added_up_to_hours(database: Database) -> None:
    nine = NOW - timedelta(hours=24)
    quarters = [
        row(nine, 1, impressions=10, clicks=1, cost=Decimal("0.25")),
        row(nine + timedelta(minutes=45), 2, impressions=5, revenue=Decimal("1.000001")),
        row(nine + timedelta(hours=1), 3, impressions=7),
    ]
    data = learned(database, quarters)
    log = data.history.log
    assert log.days.tolist() == [day_number(nine), day_number(nine + timedelta(hours=1))]
    assert log.measures.tolist() == [[15, 1, 0, 0.25, 1.000001], [7, 0, 0, 0, 0]]
    assert (data.since, data.until, data.step) == (SINCE, NOW, timedelta(hours=1))
    assert data.history.hour.tolist() == [9, 10]
    assert data.history.day_of_week.tolist() == [nine.weekday()] * 2


def test_only_the_window_counts_and_time_goes_forward(database: Database) -> None:
    ends = [SINCE - timedelta(minutes=15), SINCE, NOW - timedelta(minutes=15), NOW]
    data = learned(database, [row(at, n, impressions=1 + n) for n, at in enumerate(ends)])
    assert data.history.log.measures[:, 0].tolist() == [2, 3]
    assert np.all(np.diff(data.history.log.days) > 0)


def test_what_is_known_of_brand_slot_and_partner_comes_along(database: Database) -> None:
    data = learned(database, [row(NOW - timedelta(days=1), impressions=1, device_type="mobile")])
    history = data.history
    assert [
        history.columns[name].values[history.columns[name].codes[0]] for name in ("vertical", "brand")
    ] == [
        "retail",
        "b1",
    ]
    assert history.columns["country"].codes.tolist() == [ABSENT]
    assert (history.placement_score.tolist(), history.partner_quality.tolist()) == ([0.3], [0.8])


def test_rows_are_told_apart_by_the_currencies_of_their_brands(database: Database) -> None:
    yen = {"id": "yen", "strategy_id": "plain", "name": "yen", **BRAND, "currency": "JPY", **HISTORY}
    database.transaction(lambda connection: connection.execute(tables.brand.insert().values(yen)))
    at = NOW - timedelta(days=1)
    rows = [row(at, n, impressions=1, brand_id=brand) for n, brand in enumerate(("b1", "yen", "gone"))]
    history = learned(database, rows).history
    assert len(set(history.log.currencies.tolist())) == 3
    assert history.columns["vertical"].values == ["retail"]
    top = history.log.cells[:, : LEVELS.index("brand")]
    assert len(np.unique(top[top != ABSENT])) == 5, "two of dollars, two of yen, one of what is gone"


def test_what_is_gone_from_the_catalog_is_unknown(database: Database) -> None:
    at = NOW - timedelta(days=1)
    data = learned(database, [row(at, impressions=1, brand_id="gone", slot_id="gone", partner_id="gone")])
    assert data.history.columns["vertical"].codes.tolist() == [ABSENT]
    assert np.isnan(data.history.placement_score[0])
    assert np.isnan(data.history.partner_quality[0])


def test_ids_are_told_apart_by_case(database: Database) -> None:
    at = NOW - timedelta(days=1)
    data = learned(
        database, [row(at, 1, impressions=1, brand_id="x"), row(at, 2, impressions=2, brand_id="X")]
    )
    assert len(data.history.log) == 2
    assert sorted(data.history.columns["brand"].values) == ["X", "x"]


def test_more_rows_than_fit_are_added_up_to_days(database: Database) -> None:
    rows = [row(NOW - timedelta(hours=3 * n + 1), n, impressions=1) for n in range(40)]
    hourly = learned(database, rows)
    assert len(hourly.history.log) == 40
    daily = learned(database, rows, max_rows=39)
    assert daily.step == timedelta(days=1)
    assert daily.history.log.measures.sum() == hourly.history.log.measures.sum() == 40
    assert len(daily.history.log) == 6
    assert np.isnan(daily.history.hour).all()


def test_the_oldest_days_are_left_out_where_even_days_are_too_many(database: Database) -> None:
    rows = [row(NOW - timedelta(days=n, hours=1), n, impressions=n + 1) for n in range(10)]
    data = learned(database, rows, max_rows=4)
    assert data.history.log.measures[:, 0].tolist() == [4, 3, 2, 1]
    assert SINCE < data.since < NOW - timedelta(days=3)
    assert data.history.log.days[0] >= day_number(data.since)


def test_nothing_is_less_than_nothing(database: Database) -> None:
    data = learned(database, [row(NOW - timedelta(days=1), impressions=3, revenue=Decimal("-2"))])
    assert data.history.log.measures.tolist() == [[3, 0, 0, 0, 0]]


def test_nothing_at_all(database: Database) -> None:
    data = learned(database, [])
    assert len(data.history.log) == 0
    assert data.history.log.measures.shape == (0, len(MEASURES))


def test_day_numbers_come_back() -> None:
    assert moment_of(day_number(NOW)) == NOW
