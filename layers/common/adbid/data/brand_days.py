"""What each brand did and spent, day by day of its own time zone.

Impressions, clicks, conversions, cost and revenue belong to the day they happened on; `spent` is the same
cost by the day whose budget pays for it. A row's revision grows by 1 with every transaction that changes it:
of two copies the one with the higher revision is newer.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice

from sqlalchemy import Connection, bindparam, func, select, tuple_

from adbid.data.database import upsert
from adbid.data.ledger import Spent
from adbid.data.tables import brand_day
from adbid.domain.decay import MEASURES
from adbid.domain.events import Totals
from adbid.domain.money import to_micros

_KEYS_PER_QUERY = 500  # as in `adbid.data.events`

Day = tuple[str, date]
"""(brand, day in the brand's time zone)."""

_key = tuple_(brand_day.c.brand_id, brand_day.c.day)
_SPENT = select(brand_day.c.brand_id, brand_day.c.day, brand_day.c.spent, brand_day.c.revision).where(
    _key.in_(bindparam("days", expanding=True))
)
_COLUMNS = ("brand_id", "day", *MEASURES, "spent", "revision")
_ROWS = select(*(brand_day.c[name] for name in _COLUMNS))
_SUMS = select(
    brand_day.c.brand_id, *(func.sum(brand_day.c[name], type_=brand_day.c[name].type) for name in MEASURES)
).group_by(brand_day.c.brand_id)


@dataclass(frozen=True, slots=True)
class Gain:
    """What one day gains: by what happened on it, and by what is paid from its budget."""

    totals: Totals
    spent: Decimal


@dataclass(frozen=True, slots=True)
class BrandDay:
    """One brand's day. Money in the brand's currency."""

    brand_id: str
    day: date
    impressions: int
    clicks: int
    conversions: int
    cost: Decimal
    revenue: Decimal
    spent: Decimal
    revision: int


def add(connection: Connection, gains: Mapping[Day, Gain]) -> None:
    """Add to each day, and count the change. Raises DataError when a day adds up to more than fits."""
    rows = [
        {
            "brand_id": brand_id,
            "day": day,
            **dict(zip(MEASURES, gain.totals, strict=True)),
            "spent": gain.spent,
            "revision": 1,
        }
        for (brand_id, day), gain in gains.items()
    ]
    upsert(connection, brand_day, rows, add=(*MEASURES, "spent", "revision"))


def spent(connection: Connection, days: Collection[Day]) -> list[Spent]:
    """What those of `days` that exist have spent, in any order.

    In the transaction that added to them nobody else changes them: each revision comes with its own amount.
    """
    found = []
    ordered = iter(sorted(set(days)))
    while some := list(islice(ordered, _KEYS_PER_QUERY)):
        for brand_id, day, amount, revision in connection.execute(_SPENT, {"days": some}):
            found.append(Spent(brand_id, day, to_micros(amount), revision))
    return found


def recent(connection: Connection, since: date) -> Iterator[BrandDay]:
    """Every brand's days from `since` on, in the order of brands and days."""
    query = _ROWS.where(brand_day.c.day >= since).order_by(brand_day.c.brand_id, brand_day.c.day)
    return (BrandDay(*row) for row in connection.execute(query))


def sums(connection: Connection, since: date) -> dict[str, Totals]:
    """Each brand's totals (per `decay.MEASURES`) from the day `since` on, added up in the database."""
    rows = connection.execute(_SUMS.where(brand_day.c.day >= since))
    return {
        brand: (int(impressions), int(clicks), int(conversions), cost, revenue)
        for brand, impressions, clicks, conversions, cost, revenue in rows
    }


def of_brand(connection: Connection, brand_id: str, since: date) -> list[BrandDay]:
    """One brand's days from `since` on, oldest first; a day without events may be missing."""
    one = (brand_day.c.brand_id == brand_id) & (brand_day.c.day >= since)
    return [BrandDay(*row) for row in connection.execute(_ROWS.where(one).order_by(brand_day.c.day))]
