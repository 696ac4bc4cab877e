"""The rollup and what it should hold, added up one by one in Python."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np
from sqlalchemy import select

from adbid.data.database import Database
from adbid.data.tables import DECAYED, brand, performance_day, performance_event, performance_rollup
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, quarter_hour
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
    return [(*one[:3], *one[4:]) for one in happened_in_context(database)]


def happened_in_context(
    database: Database,
) -> list[tuple[str, str, str, tuple[str, ...], datetime, str, tuple[Any, ...]]]:
    """The same, with the context after the partner."""
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
            context = tuple(row[name] for name in CONTEXT_DIMENSIONS)
            found.append((*ids, context, quarter_hour(row["event_time"]), row["unit"], numbers))
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


def days_stored(database: Database) -> Sums:
    """The exact and the decayed sums of every sealed or counted day that aren't nothing, by their key."""
    row = performance_day.c
    key = (row.by_context, row.slot_id, row.brand_id, row.partner_id)
    context = (row[name] for name in CONTEXT_DIMENSIONS)
    numbers = (*(row[name] for name in MEASURES), *(row[name] for name in DECAYED))
    with database.read() as connection:
        rows = connection.execute(select(*key, *context, row.day, row.currency, *numbers)).all()
    unit = 10**6 if database.engine.dialect.name == "sqlite" else 1  # of decayed money
    found = {}
    for one in rows:
        exact, decayed = tuple(one[11:16]), np.array(one[16:]).reshape(-1, len(MEASURES))
        if any(exact):
            found[tuple(one[:11])] = (exact, decayed / [1, 1, 1, unit, unit])
    return found


def days_expected(outcomes: Iterable[tuple[Any, ...]]) -> Sums:
    """The same from (slot, brand, partner, context, quarter hour, currency, a number per measure)."""
    sums: Sums = {}
    for slot, brand_id, partner, context, at, currency, numbers in outcomes:
        age = (at - at.replace(hour=0, minute=0)) / timedelta(days=1)
        decayed = np.array([[2 ** (age / life) * float(n) for n in numbers] for life in HALF_LIVES_DAYS])
        none = ("",) * len(CONTEXT_DIMENSIONS)
        end = (at.date(), currency)
        for key in (
            (1, slot, brand_id, partner, *context, *end),
            (0, slot, brand_id, partner, *none, *end),
            (0, "", brand_id, partner, *none, *end),
            (0, "", brand_id, "", *none, *end),
            (0, "", "", partner, *none, *end),
            (0, "", "", "", *none, *end),
        ):
            exact, before = sums.get(key, (NOTHING, np.zeros_like(decayed)))
            sums[key] = (tuple(a + b for a, b in zip(exact, numbers, strict=True)), before + decayed)
    return {key: both for key, both in sums.items() if any(both[0])}
