"""A month of events to learn from, straight into `performance`: six brands whose evenings earn the most."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert

from adbid import wiring
from adbid.data.database import Database
from adbid.data.tables import performance
from adbid.domain.context import CONTEXT_DIMENSIONS
from tests.support.world import NOW, World

BRANDS = tuple(f"b{number}" for number in range(6))
SLOTS = tuple(f"s{number}" for number in range(4))
HOURS = (1, 9, 13, 20)
EVENING = 20
LIFT = 6.0
"""What an evening's impression earns, against any other's: the hour is nothing a posterior knows."""

CATALOG: Mapping[str, Any] = {
    "strategies": [{"id": "plain", "vpi_multiplier": 1}],
    "partners": [{"id": "p1"}, {"id": "p2"}],
    "slots": [{"id": slot, "placement_score": (1 + n) / 5} for n, slot in enumerate(SLOTS)],
    "brands": [
        {"id": brand, "strategy_id": "plain", "vertical": f"v{n % 2}"} for n, brand in enumerate(BRANDS)
    ],
}

Row = dict[str, Any]


def month(until: datetime = NOW, days: int = 30, seed: int = 1) -> list[Row]:
    """Rows of `performance` for the days before `until`."""
    random = np.random.default_rng(seed)
    rows = []
    first = until.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    for day in range(days):
        for hour in HOURS:
            at = first + timedelta(days=day, hours=hour)
            if at >= until:
                continue
            for b, brand in enumerate(BRANDS):
                for s, slot in enumerate(SLOTS):
                    rows.append(_row(at, brand, f"p{1 + s % 2}", slot, 0.02 * (1 + b / 3), 0.5 + b, random))
    return rows


def _row(
    at: datetime, brand: str, partner: str, slot: str, ctr: float, value: float, random: np.random.Generator
) -> Row:
    shown = int(random.integers(500, 1500))
    clicks = int(random.binomial(shown, ctr))
    lift = LIFT if at.hour == EVENING else 1.0
    revenue = clicks * 0.05 * value * lift * random.lognormal(0, 0.1)
    ids = {"brand_id": brand, "partner_id": partner, "slot_id": slot}
    context = {**dict.fromkeys(CONTEXT_DIMENSIONS, ""), "device_type": "mobile"}
    name = "|".join([at.isoformat(), brand, partner, slot])
    return {
        "bucket_start": at,
        "cell_hash": hashlib.blake2b(name.encode(), digest_size=16).digest(),
        **ids,
        **context,
        "pricing_model": "CPC",
        "impressions": shown,
        "clicks": clicks,
        "conversions": clicks // 10,
        "cost": Decimal(clicks) * Decimal("0.2"),
        "revenue": Decimal(str(round(revenue, 4))),
    }


def store(database: Database, rows: list[Row]) -> None:
    """Puts rows in place of all that `performance` holds."""

    def write(connection: Connection) -> None:
        connection.execute(performance.delete())
        for start in range(0, len(rows), 1000):
            connection.execute(insert(performance), rows[start : start + 1000])

    database.transaction(write)


def scrambled(rows: list[Row], share: float = 0.5, seed: int = 7) -> list[Row]:
    """The same rows, with the revenue of a share of them dealt out anew among these."""
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(random.random(len(rows)) < share)
    dealt = random.permutation(chosen)
    revenue = [row["revenue"] for row in rows]
    changed = [dict(row) for row in rows]
    for here, there in zip(chosen.tolist(), dealt.tolist(), strict=True):
        changed[here]["revenue"] = revenue[there]
    return changed


def create_views(database: Database) -> None:
    """The views, which `World` leaves out."""
    views = import_module("migrations.versions.0002_views")

    def create(connection: Connection) -> None:
        for view in (views.BRAND_ROAS, views.FEATURE_STORE):
            connection.exec_driver_sql(view)

    database.transaction(create)


def open_market(world: World) -> None:
    """Catalog, views and a month of events in the world's database."""
    world.set(CATALOG)
    create_views(wiring.database())
    store(wiring.database(), month(world.clock))
