"""The rollup and what it should hold, added up one by one in Python."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Any

from sqlalchemy import select

from adbid.data.database import Database
from adbid.data.tables import brand, performance_event, performance_rollup
from adbid.domain.decay import MEASURES, quarter_hour
from adbid.domain.events import OUTCOMES
from adbid.domain.reporting import Slice

Sums = dict[tuple[Any, ...], tuple[Any, ...]]
NOTHING = (0, 0, 0, Decimal(0), Decimal(0))


def stored(database: Database) -> Sums:
    """Every row of the rollup that isn't nothing, by its key."""
    with database.read() as connection:
        rows = connection.execute(select(performance_rollup)).all()
    return {tuple(row[:5]): tuple(row[5:]) for row in rows if any(row[5:])}


def happened(database: Database) -> list[tuple[str, str, str, datetime, str, tuple[Any, ...]]]:
    """Slot, brand, partner, quarter hour and currency of every outcome, and what it counts now."""
    event = performance_event.c
    with database.read() as connection:
        query = select(performance_event, brand.c.currency.label("unit"))
        rows = connection.execute(query.join(brand, brand.c.id == event.brand_id)).mappings().all()
    found = []
    for row in rows:
        if row["event_type"] in OUTCOMES:
            counts = [0, 0, 0]
            counts[OUTCOMES.index(row["event_type"])] = row["current_count"]
            numbers = (*counts, row["current_cost"], row["current_revenue"])
            ids = (row["slot_id"], row["brand_id"], row["partner_id"])
            found.append((*ids, quarter_hour(row["event_time"]), row["unit"], numbers))
    return found


def expected(outcomes: Iterable[tuple[Any, ...]]) -> Sums:
    """The rows that such outcomes add up to; a slot's sums and a slot's with a brand aren't kept."""
    sums: Sums = {}
    for *ids, at, currency, numbers in outcomes:
        for keep in product((True, False), repeat=3):
            if keep not in ((True, False, False), (True, True, False)):
                key = (*(one if kept else "" for one, kept in zip(ids, keep, strict=True)), at, currency)
                known = sums.get(key, NOTHING)
                sums[key] = tuple(a + b for a, b in zip(known, numbers, strict=True))
    return {key: numbers for key, numbers in sums.items() if any(numbers)}


def slices(outcomes: Iterable[tuple[Any, ...]]) -> Iterator[Slice]:
    """The same outcomes as reports over time take them."""
    for _, _, _, at, currency, numbers in outcomes:
        yield Slice(
            at, currency, *(numbers[MEASURES.index(name)] for name in ("impressions", "cost", "revenue"))
        )
