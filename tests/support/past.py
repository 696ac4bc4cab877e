"""A past to read: rows of `performance`, and what they add up to the slow and obvious way."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.data import events, rollup, sealing, tables
from adbid.data.database import Database
from adbid.domain.context import LEVELS, chain, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.events import Cell, Totals
from tests.support.world import BRAND, PARTNER, SLOT, STRATEGY

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
VERTICALS = {"b0": "retail", "b1": "retail", "b2": "travel", "b3": "travel"}
CURRENCIES = {"b0": "USD", "b1": "EUR", "b2": "USD", "b3": "USD"}

Rows = Mapping[Cell, Totals]


def catalog(database: Database) -> None:
    """Four brands in two verticals and two currencies, three partners, three slots, in a new database."""
    tables.metadata.create_all(database.engine)
    catalog_rows(database)


def catalog_rows(database: Database) -> None:
    """The same where the tables exist."""
    written = {"version": 1, "created_at": AT, "updated_at": AT}
    brand: dict[str, Any] = {**BRAND, "strategy_id": "plain"}
    items = [
        (tables.brand_strategy, [{"id": "plain", "name": "plain", **STRATEGY, "vpi_multiplier": 1}]),
        (
            tables.brand,
            [
                {"id": b, "name": b, **brand, "vertical": v, "currency": CURRENCIES[b]}
                for b, v in VERTICALS.items()
            ],
        ),
        (tables.partner, [{"id": f"p{n}", "name": f"p{n}", **PARTNER} for n in range(3)]),
        (tables.ad_slot, [{"id": f"s{n}", "name": f"s{n}", **SLOT} for n in range(3)]),
    ]
    with database.engine.begin() as connection:
        for table, rows in items:
            connection.execute(table.insert(), [{**row, **written} for row in rows])


def random_rows(number: int, seed: int = 1, days: int = 50) -> dict[Cell, Totals]:
    """So many rows over the `days` before `AT`, the last quarter hour among them."""
    random = Random(seed)
    rows: dict[Cell, Totals] = {}
    while len(rows) < number:
        steps = 1 if not rows else random.randrange(1, days * 96)
        context = tuple(
            random.choice(values) for values in (("", "mobile", "desktop"), ("", "banner"), ("",))
        )
        cell = Cell(
            AT - steps * timedelta(minutes=15),
            f"b{random.randrange(4)}",
            f"p{random.randrange(3)}",
            f"s{random.randrange(3)}",
            (*context, random.choice(("", "DE", "US")), ""),
            random.choice(("CPM", "CPC")),
        )
        counts = random.randrange(1, 5_000), random.randrange(100), random.randrange(5)
        money = [Decimal(random.randrange(10**9)).scaleb(-6) for _ in range(2)]
        rows[cell] = (*counts, *money)  # type: ignore[assignment]
    return rows


def store(database: Database, rows: Rows) -> None:
    """Puts `rows` into `performance`, and what they add up to into its rollup."""

    store_cells(database, rows)
    database.transaction(lambda connection: rollup.add(connection, rows, CURRENCIES))


def store_cells(database: Database, rows: Rows) -> None:
    """Puts `rows` into `performance` alone."""
    database.transaction(lambda connection: events.add_totals(connection, rows))


def seal(database: Database, now: datetime) -> None:
    """Seals every day that is over `now`."""
    for _ in range(2):  # tables that no migration made have nothing to begin with
        sealing.seal(database, now, math.inf)


Path = tuple[str, str, str, str, tuple[str, ...]]


def market_of(brand_id: str) -> str:
    return market(CURRENCIES[brand_id], VERTICALS[brand_id])


def path_of(cell: Cell) -> Path:
    return market_of(cell.brand_id), cell.brand_id, cell.partner_id, cell.slot_id, cell.context


def added_up(rows: Rows, paths: Sequence[Path], at: datetime) -> NDArray[np.float64]:
    """The evidence [n, L, H, M] of `paths` at `at`, row by row and cell by cell."""
    evidence = np.zeros((len(paths), len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    for cell, totals in rows.items():
        age = (at - cell.bucket_start) / timedelta(days=1)
        own = chain(*path_of(cell))
        for row, path in enumerate(paths):
            for level, name in enumerate(chain(*path)):
                if name is not None and name == own[level]:
                    for tempo, half_life in enumerate(HALF_LIVES_DAYS):
                        evidence[row, level, tempo] += 2.0 ** (-age / half_life) * np.array(
                            totals, dtype=float
                        )
    return evidence
