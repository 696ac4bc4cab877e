"""What `performance` adds up to by whole UTC day, for whoever would otherwise add up months of quarter hours.

`performance_day` holds, of every day that is *sealed*, the rollup's sums (`by_context` 0; not those of slots
over all brands) and each context of a place (`by_context` 1): exact, and decayed as the evidence of a score
needs them. Ingest doesn't touch it for what happens today. The monitor seals a day when it is long over
(`adbid.data.sealing`); from then on ingest adds to it what comes late, in the transaction that counts it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, or_, select

from adbid.data.database import upsert
from adbid.data.tables import ALL, DECAYED, performance_day, performance_seal
from adbid.data.types import Money
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES, age_days, weights
from adbid.domain.events import Cell, Totals, plus
from adbid.domain.money import MICROS

Array = NDArray[np.float64]

COUNTED, SEALED = "counted", "sealed"
"""The rows of `performance_seal`: ingest adds to days before the one; those before the other are whole."""

KEY = ("by_context", "slot_id", "brand_id", "partner_id", *CONTEXT_DIMENSIONS, "day", "currency")
NUMBERS = (*MEASURES, *DECAYED)

_DAY = timedelta(days=1)
_NO_CONTEXT = ("",) * len(CONTEXT_DIMENSIONS)

_ROW = performance_day.c


def sealed_until(connection: Connection) -> date | None:
    """The day that the sealed ones end before; None when there are none."""
    return until_day(connection, SEALED)


@dataclass(frozen=True)
class Span:
    """A stretch of quarter hours: `days` of it (first, and the one after the last) are read from
    `performance_day`, the rest quarter hour by quarter hour."""

    since: datetime
    until: datetime
    days: tuple[date, date] | None

    def rest(self, bucket: ColumnElement[datetime]) -> ColumnElement[bool]:
        """Quarter hours that no day holds."""
        if self.days is None:
            return (bucket >= self.since) & (bucket < self.until)
        first, end = (midnight(day) for day in self.days)
        late = (bucket >= end) & (bucket < self.until)
        return late if self.since == first else or_((bucket >= self.since) & (bucket < first), late)

    def whole(self) -> ColumnElement[bool]:
        """The days."""
        assert self.days is not None
        return (_ROW.day >= self.days[0]) & (_ROW.day < self.days[1])


def span(connection: Connection, since: datetime, until: datetime) -> Span:
    """The quarter hours that start in [since, until), in as many sealed days as there are."""
    end = sealed_until(connection)
    if end is None:
        return Span(since, until, None)
    first = since.astimezone(UTC).date()
    first += _DAY if midnight(first) < since else timedelta()
    end = min(end, until.astimezone(UTC).date())
    return Span(since, until, (first, end) if first < end else None)


def add(connection: Connection, gains: Mapping[Cell, Totals], currencies: Mapping[str, str]) -> None:
    """Add what the totals of counted days gained. `currencies` by brand. Raises DataError for what no sum can
    hold. Until the transaction ends, no other day begins to be counted."""
    until = until_day(connection, COUNTED, hold=True)
    if until is None:
        return
    late = [(cell, gain) for cell, gain in gains.items() if cell.bucket_start.date() < until]
    if not late:
        return
    sums: dict[tuple[Any, ...], Totals] = {}
    places: dict[tuple[Any, ...], int] = {}
    of: list[list[int]] = []
    for cell, gain in late:
        keys = _keys(cell, currencies[cell.brand_id])
        for key in keys:
            sums[key] = plus(sums[key], gain) if key in sums else gain
        of.append([places.setdefault(key, len(places)) for key in keys])
    ages = np.array([age_days(midnight(cell.bucket_start.date()), cell.bucket_start) for cell, _ in late])
    measures = np.array([gain for _, gain in late], dtype=np.float64) * _units(connection)
    decayed = np.zeros((len(sums), len(DECAYED)))
    gained = (weights(ages)[:, :, None] * measures[:, None, :]).reshape(len(late), 1, len(DECAYED))
    np.add.at(decayed, np.array(of), gained)
    rows = [
        dict(zip((*KEY, *NUMBERS), (*key, *totals, *more), strict=True))
        for (key, totals), more in zip(sums.items(), decayed.tolist(), strict=True)
    ]
    upsert(connection, performance_day, rows, add=NUMBERS)


def _keys(cell: Cell, currency: str) -> list[tuple[Any, ...]]:
    """The rows that a cell is counted in."""
    end = (cell.bucket_start.date(), currency)
    levels = (
        (cell.slot_id, cell.brand_id, cell.partner_id),
        (ALL, cell.brand_id, cell.partner_id),
        (ALL, cell.brand_id, ALL),
        (ALL, ALL, cell.partner_id),
        (ALL, ALL, ALL),
    )
    above = [(0, *ids, *_NO_CONTEXT, *end) for ids in levels]
    return [(1, *levels[0], *cell.context, *end), *above]


def until_day(connection: Connection, name: str, *, hold: bool = False, change: bool = False) -> date | None:
    """Which day the counted or the sealed ones end before. Until the transaction ends, nobody else changes it
    (`hold`), or holds it (`change`)."""
    query = select(performance_seal.c.until_day).where(performance_seal.c.name == name)
    until: date | None = connection.scalar(query.with_for_update(read=hold) if hold or change else query)
    return until


def _units(connection: Connection) -> Array:
    """What one of each measure is in decayed sums: SQLite has whole micros."""
    micros = connection.dialect.name == "sqlite"
    return np.array([MICROS if micros and isinstance(_ROW[name].type, Money) else 1 for name in MEASURES])


def midnight(day: date) -> datetime:
    """When a day begins, in UTC."""
    return datetime.combine(day, datetime.min.time(), UTC)
