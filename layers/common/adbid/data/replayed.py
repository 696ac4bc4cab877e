"""A brand's days as they can be played again: what was bought where, day by day, from `performance`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, func, select

from adbid.data.tables import ad_slot, performance
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import MEASURES

Array = NDArray[np.float64]

Place = tuple[str, str, tuple[str, ...]]
"""(partner, slot, context values)."""

Span = tuple[datetime, datetime]
"""[start, end)."""

MOST_ROWS = 60_000
"""Of a day and a place. A brand with more is read by partner and slot alone, so that an answer takes about a
second however finely its context is told."""

_ROW = performance.c
_SLOT = (_ROW.partner_id, _ROW.slot_id)
_CONTEXT = tuple(_ROW[name] for name in CONTEXT_DIMENSIONS)
_AT_ONCE = 500

_Row = tuple[int, Place, list[float]]  # the day's number, the place, its measures


@dataclass(frozen=True)
class Bought:
    """What one brand bought: measures [measures, days, places] in the order of `decay.MEASURES`; money in its
    currency. rows: how many sums of a day and a place that is."""

    places: list[Place]
    measures: Array
    rows: int


def bought(connection: Connection, brand_id: str, days: Sequence[Span]) -> Bought:
    """What `brand_id` bought on each of `days`, by place in the order of their ids. One query a day."""
    rows: list[_Row] = []
    for number, span in enumerate(days):
        rows += _day(connection, brand_id, number, span, _CONTEXT, MOST_ROWS + 1 - len(rows))
        if len(rows) > MOST_ROWS:
            rows = [
                row for number, span in enumerate(days) for row in _day(connection, brand_id, number, span)
            ]
            break
    places = sorted({place for _, place, _ in rows})
    index = {place: number for number, place in enumerate(places)}
    measures = np.zeros((len(MEASURES), len(days), len(places)))
    for day, place, values in rows:
        measures[:, day, index[place]] = values
    return Bought(places, measures, len(rows))


def _day(
    connection: Connection,
    brand_id: str,
    number: int,
    span: Span,
    context: tuple[ColumnElement[str], ...] = (),
    limit: int | None = None,
) -> list[_Row]:
    """One day by partner, slot and `context`, which may be left out."""
    place = (*_SLOT, *context)
    query = (
        select(*place, *(func.sum(_ROW[name]) for name in MEASURES))
        .where(_ROW.brand_id == brand_id, _ROW.bucket_start >= span[0], _ROW.bucket_start < span[1])
        .group_by(*place)
        .limit(limit)
    )
    missing = ("",) * (len(CONTEXT_DIMENSIONS) - len(context))
    return [
        (
            number,
            (row[0], row[1], tuple(row[2 : len(place)]) + missing),
            [float(n) for n in row[len(place) :]],
        )
        for row in connection.execute(query)
    ]


def contested(connection: Connection, brand_id: str, slots: Sequence[str], since: datetime) -> set[str]:
    """Those of `slots` that other brands were shown in since then."""
    other = (
        select(_ROW.slot_id)
        .where(
            _ROW.slot_id == ad_slot.c.id,
            _ROW.brand_id != brand_id,
            _ROW.bucket_start >= since,
            _ROW.impressions > 0,
        )
        .exists()
    )
    found: set[str] = set()
    for start in range(0, len(slots), _AT_ONCE):
        query = select(ad_slot.c.id).where(ad_slot.c.id.in_(slots[start : start + _AT_ONCE]), other)
        found.update(connection.scalars(query))
    return found
