"""Fits the quality tables: a ridge Poisson regression of clicks, with the posterior as offset."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adbid.domain.quality_tables import HOURS, SCORE_BINS, QualityTables, hour_bins, score_bins
from adbid.domain.replay import ABSENT, Indexes
from functions.retrain.samples import MAX_CATEGORIES, Column, History, Samples

Array = NDArray[np.float64]

STRENGTHS = (100.0, 1_000.0, 10_000.0, 100_000.0)
"""Impressions of its own at which a cell's lift is halved: one is chosen on later days."""

RIDGE = 10.0
"""A table's entry that knows as much as this, in expected clicks over their dispersion, goes half way."""

_SWEEPS = 30
_VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class _Part:
    """One part's bin per row; the last bin of `size` + 1 is the unknown, which has no lift."""

    bins: Indexes
    size: int


@dataclass(frozen=True)
class _Clicks:
    """What is regressed. All [rows]: expected by the posterior, in order of time."""

    clicks: Array
    expected: Array
    impressions: Array
    cell_impressions: Array

    def take(self, rows: slice) -> "_Clicks":
        return _Clicks(
            self.clicks[rows], self.expected[rows], self.impressions[rows], self.cell_impressions[rows]
        )


def fit_quality(samples: Samples, history: History, weight: Array) -> QualityTables | None:
    """The tables that predict later days' clicks best; None where the posterior alone does as well."""
    impressions = samples.impressions * weight
    rows = _Clicks(
        samples.clicks * weight, samples.posterior_ctr * impressions, impressions, samples.cell_impressions
    )
    days = np.unique(np.floor(samples.days))
    if len(days) < 3 or not rows.clicks.sum() > 0:
        return None
    device, devices = _values(history.columns["device_type"], samples, impressions)
    creative, creatives = _values(history.columns["creative_type"], samples, impressions)
    parts = [
        _Part(score_bins(history.placement_score[samples.rows]), SCORE_BINS),
        _Part(score_bins(history.partner_quality[samples.rows]), SCORE_BINS),
        device,
        creative,
        _Part(hour_bins(history.hour[samples.rows]), HOURS),
    ]
    cut = int(np.searchsorted(samples.days, days[-max(1, round(_VALIDATION_SHARE * len(days)))]))
    past, later = slice(0, cut), slice(cut, None)
    past_parts = [_Part(part.bins[past], part.size) for part in parts]
    best = _deviance(rows.take(later), np.zeros(len(samples) - cut))
    chosen = None
    for strength in STRENGTHS:
        tables = _regress(rows.take(past), past_parts, strength)
        logs = sum(table[part.bins[later]] for table, part in zip(tables, parts, strict=True))
        loss = _deviance(rows.take(later), _share(rows.take(later), strength) * logs)
        if loss < best:
            best, chosen = loss, strength
    if chosen is None:
        return None
    placement, partner, device_table, creative_table, hour = _regress(rows, parts, chosen)
    return QualityTables(
        placement=tuple(placement[:-1].tolist()),
        partner=tuple(partner[:-1].tolist()),
        device=dict(zip(devices, device_table[:-1].tolist(), strict=True)),
        creative=dict(zip(creatives, creative_table[:-1].tolist(), strict=True)),
        hour=tuple(hour[:-1].tolist()),
        strength=chosen,
    )


def _regress(rows: _Clicks, parts: list[_Part], strength: float) -> list[Array]:
    """Log lifts of each part's bins, whose impression-weighted mean lift over the rows is 1.

    Newton steps for all bins of one part at a time: they share no rows, so each has its own equation.
    """
    share = _share(rows, strength)
    tables = [np.zeros(part.size + 1) for part in parts]
    logs = np.zeros(len(share))
    noise = max(float(np.mean((rows.clicks - rows.expected) ** 2 / np.maximum(rows.expected, 1e-9))), 1.0)
    for _ in range(_SWEEPS):
        for table, part in zip(tables, parts, strict=True):
            mean = rows.expected * np.exp(share * logs) / noise
            gap = np.bincount(part.bins, share * (rows.clicks / noise - mean), minlength=part.size + 1)
            known = np.bincount(part.bins, share**2 * mean, minlength=part.size + 1)
            step = np.clip((gap - RIDGE * table) / (known + RIDGE), -1.0, 1.0)
            step[-1] = 0.0
            table += step
            logs += step[part.bins]
    return _centred(rows, parts, tables, share)


def _centred(rows: _Clicks, parts: list[_Part], tables: list[Array], share: Array) -> list[Array]:
    """Moves every used table by the same amount, so that the lifts' impression-weighted mean is 1."""
    used = [part.bins != part.size for part in parts]
    reach = np.sum(used, axis=0) * share
    logs = share * sum(table[part.bins] for table, part in zip(tables, parts, strict=True))
    shift = 0.0
    for _ in range(_SWEEPS):
        lifts = rows.impressions * np.exp(logs + shift * reach)
        slope = float(lifts @ reach)
        if slope <= 0:
            break
        shift -= float(np.clip((lifts.sum() - rows.impressions.sum()) / slope, -1.0, 1.0))
    for table in tables:
        table[:-1] += shift
    return tables


def _share(rows: _Clicks, strength: float) -> Array:
    return strength / (strength + rows.cell_impressions)


def _deviance(rows: _Clicks, logs: Array) -> float:
    """Poisson deviance up to a constant."""
    return float(np.sum(rows.expected * np.exp(logs) - rows.clicks * logs))


def _values(column: Column, samples: Samples, impressions: Array) -> tuple[_Part, list[str]]:
    """The part of a column's values, and these, the ones with the most impressions."""
    codes = column.codes[samples.rows]
    present = codes != ABSENT
    shown = np.bincount(codes[present], impressions[present], minlength=len(column.values))
    kept = np.argsort(-shown, kind="stable")[:MAX_CATEGORIES]
    kept = kept[shown[kept] > 0]
    places = np.full(len(column.values) + 1, len(kept))
    places[kept] = np.arange(len(kept))
    return _Part(places[codes], len(kept)), [column.values[code] for code in kept]
