"""The made-up market of `benchmarks.reporting`: 30 days of quarter hours, some places busier than others."""

import math
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from adbid.data import sealing, tables
from adbid.data.database import Database
from adbid.data.events import cell_hash
from adbid.domain.context import market
from adbid.domain.decay import MEASURES, QUARTER, quarter_hour
from adbid.domain.events import Cell

DAYS, QUARTERS = 30, 96
BRANDS, PARTNERS, SLOTS, VERTICALS = 40, 20, 100, 5
DEVICES, CREATIVES, COUNTRIES = 3, 3, 10
TABLES = (tables.performance, tables.performance_rollup, tables.performance_day)
_PER_STATEMENT = 5_000

_row = tables.performance.c


@dataclass(frozen=True)
class Seen:
    """A brand, partner and slot that something happened on."""

    brand_id: str
    partner_id: str
    slot_id: str

    @property
    def path(self) -> tuple[str, str, str, str, tuple[str, ...]]:
        """With its brand's market and a context, as evidence is asked for."""
        vertical = f"v{int(self.brand_id[1:]) % VERTICALS}"
        return market("USD", vertical), self.brand_id, self.partner_id, self.slot_id, ("d1", "c1", "", "", "")


def fill(database: Database, rows: int, now: datetime) -> dict[str, float]:
    """The tables up to the rollup, `rows` rows, then the rollup and the days: the seconds that each took."""
    import migrations

    seconds: dict[str, float] = {}
    started = time.monotonic()
    migrations.upgrade(database, "0004")
    with database.engine.connect() as connection:
        with suppress(DBAPIError):  # a second copy in the binary log, unless the user may do without
            connection.execute(text("SET SESSION sql_log_bin = 0"))
        connection.commit()
        _catalog(connection, now)
        indexes = inspect(connection).get_indexes("performance")  # made at the end in one go
        for index in indexes:
            connection.execute(text(f"DROP INDEX {index['name']} ON performance"))
        _one_day(connection, rows // DAYS, quarter_hour(now) - timedelta(days=1))
        connection.commit()
        for day in range(1, DAYS):
            _copy(connection, day)
            connection.commit()
        seconds["rows"] = round(time.monotonic() - started, 1)
        for index in indexes:
            columns = ", ".join(str(column) for column in index["column_names"])
            connection.execute(text(f"CREATE INDEX {index['name']} ON performance ({columns})"))
        connection.commit()
    seconds["indexes"] = round(time.monotonic() - started - seconds["rows"], 1)
    started = time.monotonic()
    migrations.upgrade(database)
    seconds["migration"] = round(time.monotonic() - started, 1)
    started = time.monotonic()
    sealing.seal(database, now, math.inf)
    seconds["days"] = round(time.monotonic() - started, 1)
    with database.engine.connect() as connection, connection.begin():
        for table in TABLES:
            connection.execute(text(f"ANALYZE TABLE {table.name}"))
    return seconds


def places(database: Database) -> list[Seen]:
    """Every place of one quarter hour, the one with most cells first."""
    with database.read() as connection:
        at = connection.scalar(select(func.max(_row.bucket_start)))
        ids = (_row.brand_id, _row.partner_id, _row.slot_id)
        query = select(*ids).where(_row.bucket_start == at).group_by(*ids).order_by(func.count().desc(), *ids)
        return [Seen(*one) for one in connection.execute(query)]


def newest(database: Database) -> datetime:
    """The last quarter hour with anything in it."""
    with database.read() as connection:
        at: datetime = connection.execute(select(func.max(_row.bucket_start))).scalar_one()
        return at


def sizes(database: Database) -> dict[str, Any]:
    """Rows and megabytes of each table."""
    found: dict[str, Any] = {}
    with database.read() as connection:
        for table in TABLES:
            rows = connection.execute(select(func.count()).select_from(table)).scalar_one()
            query = text(
                "SELECT SUM(data_length), SUM(index_length) FROM information_schema.tables "
                "WHERE table_schema = DATABASE() AND table_name = :name"
            )
            data, indexes = connection.execute(query, {"name": table.name}).one()
            found[table.name] = {"rows": rows, "data_mb": int(data) >> 20, "index_mb": int(indexes) >> 20}
    return found


def plain_place(connection: Connection, one: Seen, since: datetime) -> None:
    """One place's sums from `performance`."""
    query = select(*(func.sum(_row[name]) for name in MEASURES)).where(
        _row.slot_id == one.slot_id,
        _row.brand_id == one.brand_id,
        _row.partner_id == one.partner_id,
        _row.bucket_start >= since,
    )
    connection.execute(query).all()


def plain_time(connection: Connection, since: datetime, named: dict[str, str]) -> None:
    """The hours' sums of what is named, from `performance`."""
    sums = (func.sum(_row[name]) for name in ("impressions", "cost", "revenue"))
    query = (
        select(func.min(_row.bucket_start), tables.brand.c.currency, *sums)
        .join_from(tables.performance, tables.brand, tables.brand.c.id == _row.brand_id)
        .where(_row.bucket_start >= since, *(_row[name] == value for name, value in named.items()))
        .group_by(func.date(_row.bucket_start), func.hour(_row.bucket_start), tables.brand.c.currency)
    )
    connection.execute(query).all()


def _catalog(connection: Connection, now: datetime) -> None:
    stamp = {"version": 1, "created_at": now, "updated_at": now}
    brand = {"strategy_id": "balanced", "timezone": "UTC", "daily_budget": None, "target_roas": 2}
    brand |= {"currency": "USD", "status": "active"}
    slot = {"placement_score": 0.5, "floor": 0, "currency": "USD"}
    rows: dict[Table, list[dict[str, Any]]] = {
        tables.brand: [{"vertical": f"v{n % VERTICALS}", **brand} for n in range(BRANDS)],
        tables.partner: [{"quality": 0.5} for _ in range(PARTNERS)],
        tables.ad_slot: [{"partner_id": f"p{n % PARTNERS}", **slot} for n in range(SLOTS)],
    }
    for table, letter in ((tables.brand, "b"), (tables.partner, "p"), (tables.ad_slot, "s")):
        made = [
            {"id": f"{letter}{n}", "name": f"{letter}{n}", **row, **stamp}
            for n, row in enumerate(rows[table])
        ]
        connection.execute(table.insert(), made)


def _one_day(connection: Connection, rows: int, start: datetime) -> None:
    """A day's rows from `start` on: the same cells in each quarter hour, more of the first brands."""
    random = np.random.default_rng(1)
    cells = _cells(random, max(1, rows // QUARTERS), start)
    rate = random.lognormal(-4, 0.5, len(cells))
    waiting: list[dict[str, Any]] = []
    for quarter in range(QUARTERS):
        at = start + quarter * QUARTER
        shown = random.integers(20, 200, len(cells))
        clicks = random.binomial(shown, np.minimum(rate, 0.5))
        sold = random.binomial(clicks, 0.1)
        counts = zip(cells, shown.tolist(), clicks.tolist(), sold.tolist(), strict=True)
        for (names, digest), impressions, clicked, conversions in counts:
            money = {"cost": clicked * 4, "revenue": conversions * 23}
            numbers = {"impressions": impressions, "clicks": clicked, "conversions": conversions, **money}
            waiting.append({"bucket_start": at, "cell_hash": digest, **names, **numbers})
            if len(waiting) == _PER_STATEMENT:
                connection.execute(tables.performance.insert(), waiting)
                waiting = []
    if waiting:
        connection.execute(tables.performance.insert(), waiting)


def _cells(random: np.random.Generator, number: int, start: datetime) -> list[tuple[dict[str, str], bytes]]:
    """So many different cells, or as many as there are."""
    found: dict[bytes, dict[str, str]] = {}
    brands, slots = (1 / np.arange(1, n + 1) ** 0.7 for n in (BRANDS, SLOTS))
    for _ in range(50):
        n = 2 * number
        brand, slot = (random.choice(len(w), n, p=w / w.sum()).tolist() for w in (brands, slots))
        context = [random.integers(0, k, n).tolist() for k in (DEVICES, CREATIVES, COUNTRIES)]
        for b, s, device, creative, country in zip(brand, slot, *context, strict=True):
            names = (f"d{device}", f"c{creative}", "", f"C{country}", "")
            cell = Cell(start, f"b{b}", f"p{s % PARTNERS}", f"s{s}", names, "CPC")
            if len(found) < number:
                found[cell_hash(cell)] = {
                    "brand_id": cell.brand_id,
                    "partner_id": cell.partner_id,
                    "slot_id": cell.slot_id,
                    "device_type": names[0],
                    "creative_type": names[1],
                    "campaign_id": "",
                    "country": names[3],
                    "os": "",
                    "pricing_model": "CPC",
                }
        if len(found) == number:
            break
    return [(names, digest) for digest, names in sorted(found.items())]


def _copy(connection: Connection, day: int) -> None:
    """The first day's rows once more, so many days earlier."""
    names = [column.name for column in tables.performance.columns][1:]
    columns = ", ".join(names)
    connection.execute(
        text(
            f"INSERT INTO performance (bucket_start, {columns}) "
            f"SELECT bucket_start - INTERVAL :day DAY, {columns} FROM performance "
            "WHERE bucket_start >= (SELECT latest - INTERVAL 1 DAY FROM "
            "(SELECT MAX(bucket_start) AS latest FROM performance) AS newest) + INTERVAL 15 MINUTE"
        ),
        {"day": day},
    )
