"""The last weeks of the feature store as a `History`, read in bounded memory.

One query per day, newest first, adds the quarter hours up to hours. A log too large for hours is read again
by days, and where even that is too much the oldest days are left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, extract, func, select

from adbid.data.views import feature_store
from adbid.domain.context import CONTEXT_DIMENSIONS, LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.replay import ABSENT, Log, index_cells
from functions.retrain.samples import Column, History

Array = NDArray[np.float64]

WINDOW = timedelta(days=30)
MAX_ROWS = 3_000_000
"""Of the log as it is learned from: what keeps a retrain under 3 GB."""

_ROWS_AT_ONCE = 20_000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

_COLUMNS = (*LEVELS[1:], "pricing_model", "currency")
_STORE = feature_store.c
_KEY = tuple(
    _STORE[name] for name in ("brand_id", "partner_id", "slot_id", *CONTEXT_DIMENSIONS, "pricing_model")
)
_MEASURED = tuple(func.sum(_STORE[name]) for name in MEASURES)
# Known by the ids above: one value a group, which ONLY_FULL_GROUP_BY wants to be told.
_VERTICAL, _CURRENCY, _PLACEMENT, _QUALITY = (
    func.max(_STORE[name]) for name in ("vertical", "currency", "placement_score", "partner_quality")
)


class _TooMany(Exception):
    """More rows than `MAX_ROWS`."""


@dataclass(frozen=True)
class TrainingData:
    """What a retrain learns from: events of [since, until). `step`: of the time steps of its log."""

    history: History
    since: datetime
    until: datetime
    step: timedelta


def read(
    connection: Connection,
    until: datetime,
    *,
    window: timedelta = WINDOW,
    max_rows: int = MAX_ROWS,
    each_day: Callable[[int], None] = lambda rows: None,
) -> TrainingData:
    """The feature store's rows of [`until` − `window`, `until`). `each_day` hears how many rows a day had."""
    try:
        return _read(connection, until, window, max_rows, each_day, by_hour=True)
    except _TooMany:
        return _read(connection, until, window, max_rows, each_day, by_hour=False)


def day_number(moment: datetime) -> float:
    """The unit of `Log.days`: days since 1970, UTC."""
    return (moment - EPOCH) / DAY


def moment_of(day: float) -> datetime:
    """The inverse of `day_number`, to the second."""
    return EPOCH + timedelta(seconds=round(day * 86_400))


def _read(
    connection: Connection,
    until: datetime,
    window: timedelta,
    max_rows: int,
    each_day: Callable[[int], None],
    *,
    by_hour: bool,
) -> TrainingData:
    numbers: dict[str, dict[str, int]] = {name: {"": ABSENT} for name in _COLUMNS}
    newest_first: list[list[_Part]] = []
    total = 0
    end = until
    while end > until - window:
        start = max(until - window, _midnight_before(end))
        day = []
        for part in _parts(connection, start, end, numbers, by_hour=by_hour):
            day.append(part)
            total += len(part)
            if total > max_rows:
                break
        if total > max_rows:
            if by_hour:
                raise _TooMany
            break  # this day and those before it are left out
        newest_first.append(day)
        each_day(sum(map(len, day)))
        end = start
    step = timedelta(hours=1) if by_hour else DAY
    parts = [part for day in reversed(newest_first) for part in day]
    return TrainingData(_history(parts, numbers, by_hour=by_hour), end, until, step)


@dataclass(frozen=True)
class _Part:
    """Some rows of a day, in order of time. codes: [columns, rows]; scores: [placement and partner, rows]."""

    days: Array
    codes: NDArray[np.intp]
    measures: Array
    scores: Array

    def __len__(self) -> int:
        return len(self.days)


def _parts(
    connection: Connection,
    start: datetime,
    end: datetime,
    numbers: dict[str, dict[str, int]],
    *,
    by_hour: bool,
) -> Iterator[_Part]:
    midnight = day_number(_midnight_before(end))
    query = _query(start, end, by_hour=by_hour)
    for rows in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query).partitions():
        hour, vertical, currency, placement, quality, *rest = zip(*rows, strict=True)
        ids, measures = rest[: len(_KEY)], rest[len(_KEY) :]
        named = zip(_COLUMNS, (vertical, *ids, currency), strict=True)
        yield _Part(
            days=midnight + np.array(hour, dtype=np.float64) / 24,
            codes=np.array([_code(numbers[name], column) for name, column in named]),
            # A restatement may leave less than nothing: no rate is below zero.
            measures=np.maximum(np.array(measures, dtype=np.float64).T, 0.0),
            scores=np.array([placement, quality], dtype=np.float64),
        )


def _query(start: datetime, end: datetime, *, by_hour: bool) -> Select[Any]:
    """Hour, what is known of brand, slot and partner, ids and sums of each cell and hour, or of each cell, in
    order of time."""
    hour = extract("hour", _STORE.bucket_start)
    first_hour = func.min(hour).label("first_hour")
    query = (
        select(first_hour, _VERTICAL, _CURRENCY, _PLACEMENT, _QUALITY, *_KEY, *_MEASURED)
        .where(_STORE.bucket_start >= start, _STORE.bucket_start < end)
        .group_by(*_KEY)
    )
    return query.group_by(hour).order_by(first_hour) if by_hour else query


def _code(numbers: dict[str, int], column: tuple[Any, ...]) -> NDArray[np.intp]:
    """The numbers of a column's values; new values get the next ones."""
    known = [numbers.setdefault(value or "", len(numbers) - 1) for value in column]
    return np.array(known, dtype=np.intp)


def _history(parts: list[_Part], numbers: dict[str, dict[str, int]], *, by_hour: bool) -> History:
    days = np.concatenate([np.empty(0), *(part.days for part in parts)])
    no_codes = np.empty((len(_COLUMNS), 0), dtype=np.intp)
    codes = np.concatenate([no_codes, *(part.codes for part in parts)], axis=1)
    measures = np.concatenate([np.empty((0, len(MEASURES))), *(part.measures for part in parts)])
    placement, quality = np.concatenate([np.empty((2, 0)), *(part.scores for part in parts)], axis=1)
    if not by_hour:
        days = np.floor(days)
    cells, count = index_cells([codes[index] for index in range(len(LEVELS) - 1)], codes[-1])
    columns = {
        name: Column([value for value in numbers[name] if value], codes[index])
        for index, name in enumerate(_COLUMNS[:-1])
    }
    whole = np.floor(days + 1e-9)
    return History(
        log=Log(days, cells, measures, count),
        columns=columns,
        placement_score=placement,
        partner_quality=quality,
        hour=np.round((days - whole) * 24) if by_hour else np.full(len(days), np.nan),
        day_of_week=(whole + 3) % 7,  # 1 January 1970 was a Thursday
    )


def _midnight_before(moment: datetime) -> datetime:
    """The start of the UTC day that ends at `moment` or that `moment` lies in."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if moment > midnight else midnight - DAY
