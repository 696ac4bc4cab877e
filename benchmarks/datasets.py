"""The two real logs, read into the form the product learns from. Their files are not part of the project."""

import csv
import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.replay import ABSENT, Log, index_cells
from functions.retrain.samples import Column, History

Array = NDArray[np.float64]
Table = Mapping[str, NDArray[np.str_]]


@dataclass(frozen=True)
class Dataset:
    """What a log measures: its targets' names, and how its columns are read."""

    targets: tuple[str, ...]
    columns: Mapping[str, str]
    measures: Callable[[Table], Array]
    pricing_model: str


def _advertiser(table: Table) -> Array:
    displays = _number(table, "displays")
    clicks = np.minimum(_number(table, "clicks"), displays)
    rest = [_number(table, name) for name in ("post_click_conversions", "cost", "revenue")]
    return np.stack([displays, clicks, *rest], axis=1)


def _publisher(table: Table) -> Array:
    impressions = _number(table, "total_impressions")
    nothing = np.zeros(len(impressions))
    revenue = np.maximum(_number(table, "total_revenue"), 0.0)
    return np.stack([impressions, nothing, nothing, nothing, revenue], axis=1)


DATASETS = {
    "online_advertising": Dataset(
        targets=("revenue", "ctr", "cvr"),
        columns={
            "brand": "campaign_number",
            "partner": "user_engagement",
            "slot": "placement",
            "creative_type": "banner",
        },
        measures=_advertiser,
        pricing_model="CPM",
    ),
    "publisher_revenue": Dataset(
        targets=("revenue",),
        columns={
            "brand": "advertiser_id",
            "partner": "site_id",
            "slot": "ad_unit_id",
            "device_type": "device_category_id",
            "creative_type": "ad_type_id",
            "campaign_id": "order_id",
            "country": "geo_id",
            "os": "os_id",
        },
        measures=_publisher,
        pricing_model="CPM",
    ),
}
"""By name: how columns map to the product's ids. What a log doesn't have is absent."""


def day_number(day: date) -> float:
    """The unit of `Log.days`."""
    return float(day.toordinal())


def load(name: str, path: Path) -> History:
    """The log in the file at `path`, in order of time, without rows that showed nothing.

    Raises FileNotFoundError when there is no file, ValueError when it isn't this dataset.
    """
    dataset = DATASETS[name]
    table = _read(path, dataset)
    measures = dataset.measures(table)
    days = np.array([day_number(date.fromisoformat(day)) for day in table["date"].tolist()])
    kept = np.flatnonzero(measures[:, 0] > 0)
    order = kept[np.argsort(days[kept], kind="stable")]
    columns = {level: _column(table, dataset.columns.get(level), order) for level in LEVELS[1:]}
    cells, count = index_cells([columns[level].codes for level in LEVELS[1:]])
    unknown = np.full(len(order), np.nan)
    return History(
        log=Log(days[order], cells, measures[order], count),
        columns={
            **columns,
            "pricing_model": Column((dataset.pricing_model,), np.zeros(len(order), dtype=np.intp)),
        },
        placement_score=unknown,
        partner_quality=unknown,
        hour=unknown,
        day_of_week=(days[order] - 1.0) % 7.0,
    )


def _read(path: Path, dataset: Dataset) -> Table:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    with io.StringIO(text, newline="") as file:
        rows = csv.reader(file)
        header = next(rows, [])
        missing = {"date", *dataset.columns.values()} - set(header)
        if missing:
            raise ValueError(f"{path} has no column {', '.join(sorted(missing))}")
        return {name: np.array(values) for name, values in zip(header, zip(*rows, strict=True), strict=True)}


def _column(table: Table, name: str | None, order: NDArray[np.intp]) -> Column:
    if name is None:
        return Column((), np.full(len(order), ABSENT, dtype=np.intp))
    values, codes = np.unique(table[name][order], return_inverse=True)
    return Column(tuple(str(value) for value in values), codes.astype(np.intp))


def _number(table: Table, name: str) -> Array:
    if name not in table:
        raise ValueError(f"no column {name}")
    return table[name].astype(np.float64)
