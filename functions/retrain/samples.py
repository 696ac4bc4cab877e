"""From a log to training rows: what each row's features were when it happened, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import follow
from adbid.domain.learned import LearnedParameters
from adbid.domain.learning import one_unit
from adbid.domain.replay import ABSENT, Indexes, Log, replay
from adbid.domain.response import Response, respond
from adbid.ml.features import CATEGORIES, LIFTED, Inputs, Vocabulary, drop_unit, feature_matrix

Array = NDArray[np.float64]

LIFT_STRENGTH = 1_000.0
"""Impressions of the mean that a value's lift is shrunk with."""

LIFT_HALF_LIFE = max(HALF_LIVES_DAYS)
MAX_CATEGORIES = 60
MAX_LIFTS = 5_000
"""Values kept per dimension, the ones with the most impressions: a bound on the artefact's size."""

_IMPRESSIONS, _CLICKS, _REVENUE = (MEASURES.index(name) for name in ("impressions", "clicks", "revenue"))


@dataclass(frozen=True)
class Column:
    """A dimension's values, coded: row i has values[codes[i]], or "" where the code is `ABSENT`."""

    values: Sequence[str]
    codes: Indexes

    def between(self, rows: slice) -> "Column":
        return Column(self.values, self.codes[rows])


@dataclass(frozen=True)
class History:
    """A log with what else is known of its rows, which stand in order of time.

    columns: one per `LIFTED` dimension and "pricing_model". The rest is [rows], NaN where unknown: scores
    from 0 to 1, the hour (UTC) and the day of the week (0 is Monday).
    """

    log: Log
    columns: Mapping[str, Column]
    placement_score: Array
    partner_quality: Array
    hour: Array
    day_of_week: Array

    def between(self, first: float, end: float) -> "History":
        """The rows of the days from `first` up to, not including, `end`."""
        rows = slice(*(int(i) for i in np.searchsorted(self.log.days, [first, end])))
        return History(
            self.log.between(first, end),
            {name: column.between(rows) for name, column in self.columns.items()},
            self.placement_score[rows],
            self.partner_quality[rows],
            self.hour[rows],
            self.day_of_week[rows],
        )


@dataclass(frozen=True)
class Samples:
    """Training rows. rows: their numbers in the history. cell_impressions: of their own cells, decayed.
    currencies: a number for each row's. without_unit: whether the features are (`features.drop_unit`)."""

    rows: Indexes
    days: Array
    features: Array
    impressions: Array
    clicks: Array
    revenue: Array
    posterior_ctr: Array
    posterior_revenue: Array
    cell_impressions: Array
    currencies: Indexes
    without_unit: bool

    def __len__(self) -> int:
        return len(self.rows)


class LiftSums:
    """Revenue, expected revenue and impressions by currency, dimension and value, decayed; the lifts made of
    them. A lift is a ratio: each currency's money is taken over what an impression brings in it."""

    def __init__(self, columns: Mapping[str, Column], currencies: Indexes, landmark: float) -> None:
        self._columns = columns
        self._currencies = currencies
        self._landmark = landmark
        count = int(currencies.max(initial=0)) + 1
        self._sums = {name: np.zeros((count, len(columns[name].values), 3)) for name in LIFTED}
        self._totals = np.zeros((count, 3))

    def tables(self, day: float) -> dict[str, Array]:
        """By dimension, [2, values + 1]: lift and residual lift as of `day`; the last column is no lift."""
        remaining = 2.0 ** ((self._landmark - day) / LIFT_HALF_LIFE)
        revenue, _, impressions = self._totals.T
        units = one_unit(revenue, impressions, np.arange(len(revenue)))
        largest = int(np.argmax(np.where(units > 0, impressions, -1.0)))
        mean = revenue[largest] / impressions[largest] if units[largest] > 0 else 0.0
        scales = [np.array([unit, unit, 1.0]) * remaining for unit in units.tolist()]
        prior = mean * LIFT_STRENGTH
        found = {}
        for name, sums in self._sums.items():
            table = np.zeros((2, sums.shape[1] + 1))
            if prior > 0:
                parts = [one * scale for one, scale in zip(sums, scales, strict=True) if scale[0] > 0]
                got, expected, shown = sum(parts[1:], start=parts[0]).T
                table[0, :-1] = np.log((got + prior) / (mean * shown + prior))
                table[1, :-1] = np.log((got + prior) / (expected + prior))
            found[name] = table
        return found

    def add(self, rows: slice, day: float, revenue: Array, expected: Array, impressions: Array) -> None:
        """Adds rows of `day`, the ones whose revenue was expected at all."""
        weight = 2.0 ** ((day - self._landmark) / LIFT_HALF_LIFE)
        known = np.isfinite(expected)
        amounts = [np.where(known, amount, 0.0) * weight for amount in (revenue, expected, impressions)]
        currencies = self._currencies[rows]
        for currency, totals in enumerate(self._totals):
            totals += [amount[currencies == currency].sum() for amount in amounts]
        for name, sums in self._sums.items():
            codes = self._columns[name].codes[rows]
            seen = codes != ABSENT
            places = currencies[seen] * sums.shape[1] + codes[seen]
            for index, amount in enumerate(amounts):
                gained = np.bincount(places, amount[seen], minlength=sums[..., index].size)
                sums[..., index] += gained.reshape(sums.shape[:2])


def build(history: History, parameters: LearnedParameters, wanted: Indexes) -> tuple[Samples, Vocabulary]:
    """Features and outcomes of the rows `wanted` (ascending), each as of its own time step, and the
    vocabulary as of the log's end. One pass, in the memory of the wanted rows and one time step.

    Where the log has several currencies, the features are without their units."""
    log = history.log
    categories = {name: _most_shown(history, name, MAX_CATEGORIES) for name in CATEGORIES}
    codes = {name: _recode(history.columns[name], kept) for name, kept in categories.items()}
    sums = LiftSums(history.columns, log.currencies, float(log.days[0]) if len(log) else 0.0)
    several = len(np.unique(log.currencies)) > 1
    depth = np.where(log.cells != ABSENT, np.arange(len(LEVELS), dtype=np.int8), 0).max(axis=1, initial=0)
    matrices, rates, seen = [], [], []
    for step in replay(log):
        base = respond(step.evidence, parameters.response)
        current = follow(step.evidence, base, parameters.drift)
        begin, end = np.searchsorted(wanted, [step.rows.start, step.rows.stop])
        rows = wanted[begin:end]
        if len(rows):
            place = rows - step.rows.start
            tables = sums.tables(step.day)
            inputs = Inputs(
                placement_score=history.placement_score[rows],
                partner_quality=history.partner_quality[rows],
                hour=history.hour[rows],
                day_of_week=history.day_of_week[rows],
                categories=np.array([codes[name][rows] for name in CATEGORIES]),
                lifts=np.stack(
                    [tables[name][:, history.columns[name].codes[rows]] for name in LIFTED], axis=1
                ),
            )
            part = Response(current.levels[:, :, place])
            evidence = step.evidence[place]
            matrix = feature_matrix(inputs, evidence, Response(base.levels[:, :, place]), part)
            if several:
                drop_unit(matrix, part)
            matrices.append(matrix)
            rates.append(np.array([part.ctr, part.revenue]))
            seen.append(evidence[np.arange(len(rows)), depth[rows], -1, _IMPRESSIONS])
        measures = log.measures[step.rows]
        shown = measures[:, _IMPRESSIONS]
        sums.add(step.rows, step.day, measures[:, _REVENUE], current.revenue * shown, shown)
    samples = _samples(log, wanted, matrices, rates, seen, several)
    end_day = float(log.days[-1]) if len(log) else 0.0
    return samples, _vocabulary(history, categories, sums.tables(end_day))


def _samples(
    log: Log, wanted: Indexes, matrices: list[Array], rates: list[Array], seen: list[Array], several: bool
) -> Samples:
    ctr, revenue = np.concatenate([np.empty((2, 0)), *rates], axis=1)
    outcome = log.measures[wanted]
    return Samples(
        rows=wanted,
        days=log.days[wanted],
        features=np.concatenate(matrices) if matrices else np.empty((0, 0)),
        impressions=outcome[:, _IMPRESSIONS],
        clicks=outcome[:, _CLICKS],
        revenue=outcome[:, _REVENUE],
        posterior_ctr=ctr,
        posterior_revenue=revenue,
        cell_impressions=np.concatenate([np.empty(0), *seen]),
        currencies=log.currencies[wanted],
        without_unit=several,
    )


def _most_shown(history: History, name: str, limit: int) -> NDArray[np.intp]:
    """The codes of the values with the most impressions, most first; ties by value."""
    column = history.columns[name]
    present = column.codes != ABSENT
    shown = np.bincount(
        column.codes[present],
        history.log.measures[present, _IMPRESSIONS],
        minlength=len(column.values),
    )
    order = np.lexsort((np.array(column.values, dtype=str), -shown)) if len(shown) else np.empty(0, np.intp)
    return order[shown[order] > 0][:limit].astype(np.intp)


def _recode(column: Column, kept: NDArray[np.intp]) -> Array:
    """[rows]: the place of each row's value among the kept ones, NaN for the others."""
    places = np.full(len(column.values) + 1, np.nan)
    places[kept] = np.arange(len(kept))
    return places[column.codes]


def _vocabulary(
    history: History, categories: Mapping[str, NDArray[np.intp]], tables: Mapping[str, Array]
) -> Vocabulary:
    values = {name: history.columns[name].values for name in history.columns}
    lifts = {}
    for name in LIFTED:
        table = tables[name]
        kept = _most_shown(history, name, MAX_LIFTS)
        lifts[name] = {values[name][code]: (float(table[0, code]), float(table[1, code])) for code in kept}
    return Vocabulary(
        {name: tuple(values[name][code] for code in kept) for name, kept in categories.items()}, lifts
    )
