"""What brands did within a trailing window of their own days, added up in the database.

At any moment people live in two or three dates. All brands of one date share a window, so that two or three
queries tell the whole portfolio's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from adbid.data.tables import brand_day

_DAY = brand_day.c
_PAID = ("conversions", "cost", "revenue")
_NAMED_AT_MOST = 1_000  # of more brands, all rows are read and the others left out

Paid = tuple[int, Decimal, Decimal]
"""Conversions, cost and revenue."""


@dataclass(frozen=True, slots=True)
class Window:
    """One brand's days up to and with `today`. Money in units of its currency.

    total: the whole window's. last, before: today's and yesterday's. first: the first day with cost. spent:
    what today's budget has paid.
    """

    today: date
    impressions: int
    total: Paid
    last: Paid
    before: Paid
    first: date | None
    spent: Decimal

    def days_run(self, share: float, days: int) -> float:
        """How many of the window's `days` the brand has run, today counting `share` of one."""
        return 0.0 if self.first is None else min((self.today - self.first).days + share, float(days))


def nothing(today: date) -> Window:
    """The window of a brand without any row."""
    none = (0, Decimal(0), Decimal(0))
    return Window(today, 0, none, none, none, None, Decimal(0))


def windows(connection: Connection, todays: Mapping[str, date], days: int) -> dict[str, Window]:
    """The windows of `days` days that end with each brand's local date; only of brands with rows there."""
    found: dict[str, Window] = {}
    for today, brands in _by_date(todays).items():
        query = _sums(today, days)
        if len(todays) <= _NAMED_AT_MOST:
            query = query.where(_DAY.brand_id.in_(sorted(brands)))
        for row in connection.execute(query):
            if row[0] in brands:
                found[row[0]] = _window(today, row)
    return found


def _by_date(todays: Mapping[str, date]) -> dict[date, set[str]]:
    found: dict[date, set[str]] = {}
    for brand, today in todays.items():
        found.setdefault(today, set()).add(brand)
    return found


def _sums(today: date, days: int) -> Select[Any]:
    return (
        select(
            _DAY.brand_id,
            func.min(case((_DAY.cost > 0, _DAY.day)), type_=_DAY.day.type),
            func.sum(_DAY.impressions),
            _on(today, "spent"),
            *(func.sum(_DAY[name], type_=_DAY[name].type) for name in _PAID),
            *(_on(today, name) for name in _PAID),
            *(_on(today - timedelta(days=1), name) for name in _PAID),
        )
        .where(_DAY.day.between(today - timedelta(days=days - 1), today))
        .group_by(_DAY.brand_id)
    )


def _on(day: date, name: str) -> Any:
    return func.sum(case((_DAY.day == day, _DAY[name]), else_=0), type_=_DAY[name].type)


def _window(today: date, row: Sequence[Any]) -> Window:
    _, first, impressions, spent, *paid = row
    total, last, before = ((int(n), cost, revenue) for n, cost, revenue in _triples(paid))
    return Window(today, int(impressions), total, last, before, first, spent)


def _triples(numbers: Sequence[Any]) -> Iterable[tuple[Any, Any, Any]]:
    return ((numbers[i], numbers[i + 1], numbers[i + 2]) for i in range(0, len(numbers), 3))
