"""The nightly prices in MySQL, and the recent days that they are solved on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from adbid.data.database import upsert
from adbid.data.tables import brand_dual, performance

_ROW = performance.c
_NIGHT = brand_dual.c
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """Impressions of brand × partner × slot on one past day, `age` days ago (0: the last 24 hours)."""

    brand_id: str
    partner_id: str
    slot_id: str
    age: int
    impressions: int


@dataclass(frozen=True, slots=True)
class Night:
    """One brand's prices of one night."""

    nu: float
    mu: float
    lambda_: float


def shown(connection: Connection, now: datetime, days: int) -> list[Shown]:
    """The last `days` times 24 hours, by day."""
    found: list[Shown] = []
    for age in range(days):
        end = now - timedelta(days=age)
        query = (
            select(_ROW.brand_id, _ROW.partner_id, _ROW.slot_id, func.sum(_ROW.impressions))
            .where(_ROW.bucket_start >= end - timedelta(days=1), _ROW.bucket_start < end)
            .group_by(_ROW.brand_id, _ROW.partner_id, _ROW.slot_id)
            .having(func.sum(_ROW.impressions) > 0)
        )
        found += [Shown(*row[:3], age, int(row[3])) for row in connection.execute(query)]
    return found


def latest(connection: Connection) -> dict[str, Night]:
    """Each brand's newest prices."""
    newest = select(_NIGHT.brand_id, func.max(_NIGHT.day).label("day")).group_by(_NIGHT.brand_id).subquery()
    query = select(_NIGHT.brand_id, _NIGHT.nu, _NIGHT.mu, _NIGHT.lam).join(
        newest, (newest.c.brand_id == _NIGHT.brand_id) & (newest.c.day == _NIGHT.day)
    )
    return {brand: Night(nu, mu, lam) for brand, nu, mu, lam in connection.execute(query)}


def store(connection: Connection, nights: Mapping[str, Night], day: date, now: datetime) -> None:
    """Keeps the prices of the night before `day`; a second solve of that night replaces the first."""
    rows: Sequence[dict[str, object]] = [
        {"brand_id": brand, "day": day, "nu": one.nu, "mu": one.mu, "lam": one.lambda_, "created_at": now}
        for brand, one in sorted(nights.items())
    ]
    for start in range(0, len(rows), _AT_ONCE):
        upsert(
            connection, brand_dual, rows[start : start + _AT_ONCE], replace=("nu", "mu", "lam", "created_at")
        )
