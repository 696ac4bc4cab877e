"""Prequential replay: a log walked in order of time, each row shown with what was known before it.

Learning, training and measuring all see the past through this one function, in the form in which serving
sees it, so nothing can be learned from what a bid at that moment could not have known
(Dawid, "The Prequential Approach", JRSS A 147, 1984).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, weights

Array = NDArray[np.float64]
Indexes = NDArray[np.intp]

ABSENT = -1
"""The code of an id that isn't there, and the cell index of a level that is skipped."""


@dataclass(frozen=True)
class Log:
    """Aggregate rows in order of time.

    days: [rows], the start of each row's time step, in days since any fixed moment, ascending.
    cells: [rows, levels], the index of each row's cell at each of `LEVELS`, `ABSENT` where skipped.
    measures: [rows, measures], in the order of `MEASURES`.
    cell_count: cells are numbered from 0 up to this.
    """

    days: Array
    cells: Indexes
    measures: Array
    cell_count: int

    def __post_init__(self) -> None:
        rows = len(self.days)
        if self.cells.shape != (rows, len(LEVELS)) or self.measures.shape != (rows, len(MEASURES)):
            raise ValueError("cells must be [rows, levels] and measures [rows, measures]")
        if rows and np.any(np.diff(self.days) < 0):
            raise ValueError("rows must be in order of time")
        if rows and (self.cells.min() < ABSENT or self.cells.max() >= self.cell_count):
            raise ValueError("cell indexes must lie in 0 .. cell_count - 1, or be ABSENT")

    def __len__(self) -> int:
        return len(self.days)

    @property
    def currencies(self) -> Indexes:
        """[rows]: a number for each row's currency, from 0 up."""
        top: Indexes = self.cells[:, 0]
        return top

    def steps(self) -> list[slice]:
        """The rows of each time step, in order."""
        if not len(self):
            return []
        starts = np.flatnonzero(np.diff(self.days, prepend=self.days[0] - 1.0))
        return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(self)], strict=True)]

    def between(self, first: float, end: float) -> "Log":
        """The rows of the days from `first` up to, not including, `end`."""
        rows = slice(*np.searchsorted(self.days, [first, end]))
        return Log(self.days[rows], self.cells[rows], self.measures[rows], self.cell_count)


@dataclass(frozen=True)
class Step:
    """One time step: its rows, when it starts, and what was known then.

    evidence: [rows of the step, levels, half-lives, measures], as `response.respond` takes it.
    """

    rows: slice
    day: float
    evidence: Array


def index_cells(columns: Sequence[Indexes], currencies: Indexes | None = None) -> tuple[Indexes, int]:
    """Numbers the cells of every row, as `context.chain` names them.

    columns: integer codes [rows] of vertical, brand, partner, slot and each context dimension, in the order
    of `LEVELS[1:]`, `ABSENT` where the value is "". currencies: codes [rows] of the brands'; by default they
    have one. Returns cells [rows, levels], the currencies' first, and how many there are.
    """
    if len(columns) != len(LEVELS) - 1:
        raise ValueError(f"one column for each of {LEVELS[1:]}")
    rows = len(columns[0])
    cells = np.full((rows, len(LEVELS)), ABSENT, dtype=np.intp)
    if not rows:
        return cells, 0
    if currencies is None:
        currencies = np.zeros(rows, dtype=np.intp)
    found, cells[:, 0] = np.unique(currencies, return_inverse=True)
    count = len(found)
    vertical, brand = columns[0], columns[1]
    path = np.zeros(rows, dtype=np.intp)
    for level, own in enumerate([vertical, brand, *columns[2:]], start=1):
        if level == 1:
            codes = _pair(cells[:, 0], vertical)
        else:  # the brand's cell doesn't depend on its market, every deeper one on all ids above it
            path = codes = _pair(path, own)
        present = own != ABSENT
        found, inverse = np.unique(codes[present], return_inverse=True)
        cells[present, level] = count + inverse
        count += len(found)
    return cells, count


def _pair(above: Indexes, own: Indexes) -> Indexes:
    """Numbers the distinct pairs; an absent value is a value of its own."""
    keys = above * (np.max(own) + 2) + own + 1
    inverse: Indexes = np.unique(keys, return_inverse=True)[1]
    return inverse


def replay(log: Log) -> Iterator[Step]:
    """Yields every time step of `log` with the evidence from strictly earlier steps, decayed to its start.

    Memory: 160 bytes a cell that occurs more than once, and 1.6 kB a row of one step.
    """
    numbers, count = _recurring(log)
    state = np.zeros((count + 1, len(HALF_LIVES_DAYS), len(MEASURES)))  # the last one stays empty
    landmark = log.days[0] if len(log) else 0.0
    for rows in log.steps():
        day = float(log.days[rows.start])
        cells = numbers[log.cells[rows]]
        # ABSENT is −1: it reads the last, empty cell.
        evidence = state[cells]
        evidence *= weights(landmark - day)[:, None]
        yield Step(rows, day, evidence)
        touched, sums = _sum_by_cell(cells, log.measures[rows])
        state[touched] += weights(day - landmark)[:, None] * sums[:, None, :]


def _recurring(log: Log) -> tuple[Indexes, int]:
    """Numbers the cells of more than one row; the others, which nobody will ask for again, are `ABSENT`.

    Returns [cells + 1], the last one for `ABSENT` itself, and how many there are.
    """
    rows = np.zeros(log.cell_count + 1, dtype=np.int32)
    for level in log.cells.T:
        rows[:-1] += np.bincount(level[level != ABSENT], minlength=log.cell_count).astype(np.int32)
    recurring = rows > 1
    count = int(recurring.sum())
    numbers = np.full(log.cell_count + 1, ABSENT, dtype=np.intp)
    numbers[recurring] = np.arange(count)
    return numbers, count


def _sum_by_cell(cells: Indexes, measures: Array) -> tuple[Indexes, Array]:
    """The distinct cells among `cells`, and the measures of their rows summed: [cells, measures]."""
    row, level = np.nonzero(cells != ABSENT)
    touched, inverse = np.unique(cells[row, level], return_inverse=True)
    sums = [np.bincount(inverse, column[row], minlength=len(touched)) for column in measures.T]
    return touched, np.stack(sums, axis=1)
