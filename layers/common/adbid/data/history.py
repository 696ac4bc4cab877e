"""What happened, read from `performance` row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, or_, select

from adbid.data.evidence import HORIZON as HORIZON
from adbid.data.tables import brand, performance
from adbid.domain.context import CONTEXT_DIMENSIONS, chain, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, weights

Array = NDArray[np.float64]

_ROWS_PER_PAGE = 10_000

_ROW = performance.c
_MEASURES = tuple(_ROW[name] for name in MEASURES)
_CONTEXT = tuple(_ROW[name] for name in CONTEXT_DIMENSIONS)
_MARKET = (func.coalesce(brand.c.currency, ""), func.coalesce(brand.c.vertical, ""))
_PATH = (*_MARKET, _ROW.brand_id, _ROW.partner_id, _ROW.slot_id, *_CONTEXT)
_JOINED = performance.outerjoin(brand, brand.c.id == _ROW.brand_id)


@dataclass(frozen=True)
class Chunk:
    """Rows of `performance` in columns. `paths` are (market, brand, partner, slot, context values…), flat;
    `measures` is [rows, `decay.MEASURES`]."""

    bucket_start: list[datetime]
    paths: list[tuple[str, ...]]
    measures: Array


def stream(connection: Connection, since: datetime, until: datetime) -> Iterator[Chunk]:
    """The rows of [since, until) by primary key, page by page, each with its brand's market."""
    query = (
        select(_ROW.bucket_start, _ROW.cell_hash, *_PATH, *_MEASURES)
        .select_from(_JOINED)
        .where(_ROW.bucket_start < until)
        .order_by(_ROW.bucket_start, _ROW.cell_hash)
        .limit(_ROWS_PER_PAGE)
    )
    last = 2 + len(_PATH)
    page = query.where(_ROW.bucket_start >= since)
    while True:
        rows = connection.execute(page).all()
        if rows:
            yield Chunk(
                [row[0] for row in rows],
                [(market(row[2], row[3]), *row[4:last]) for row in rows],
                np.array([row[last:] for row in rows], dtype=np.float64),
            )
        if len(rows) < _ROWS_PER_PAGE:
            return
        start, cell = rows[-1][:2]
        after = or_(_ROW.bucket_start > start, _ROW.cell_hash > cell)
        page = query.where(_ROW.bucket_start >= start, after)


def cells_of(path: tuple[str, ...]) -> list[str | None]:
    """The cells of one of `Chunk.paths`, as `context.chain` names them."""
    market, brand_id, partner_id, slot_id, *context = path
    return chain(market, brand_id, partner_id, slot_id, tuple(context))


def decayed_sums(groups: Sequence[int] | NDArray[np.intp], count: int, ages: Array, measures: Array) -> Array:
    """[count, H, M]: the rows' measures weighed by 2^(ages / half-life) and summed by group.

    `groups` numbers each row's group below `count`; `ages` are days, as `decay.weights` takes them.
    """
    weighed = weights(ages)
    sums = np.empty((count, len(HALF_LIVES_DAYS), len(MEASURES)))
    for tempo in range(len(HALF_LIVES_DAYS)):
        for measure in range(len(MEASURES)):
            values = weighed[:, tempo] * measures[:, measure]
            sums[:, tempo, measure] = np.bincount(groups, values, count)
    return sums
