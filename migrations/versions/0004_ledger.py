"""The ledger: what brands spent by budget day, and snapshots of what Redis holds."""

from collections import defaultdict
from datetime import UTC, date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from alembic import op

from adbid.data.types import CHARSET, COLLATION, Blob, Id, Money, UtcDateTime, text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MEASURES = ("impressions", "clicks", "conversions", "cost", "revenue")


def required(name: str, column_type: Any) -> sa.Column[Any]:
    return sa.Column(name, column_type, nullable=False)


def create(name: str, *items: Any) -> None:
    op.create_table(
        name,
        required("brand_id", Id),
        required("day", sa.Date()),
        *items,
        sa.PrimaryKeyConstraint("brand_id", "day", name=op.f(f"pk_{name}")),
        mysql_engine="InnoDB",
        mysql_charset=CHARSET,
        mysql_collate=COLLATION,
    )
    op.create_index(op.f(f"ix_{name}_day"), name, ["day"])


def upgrade() -> None:
    op.add_column("performance_event", sa.Column("budget_day", sa.Date()))
    create(
        "brand_day",
        required("impressions", sa.BigInteger()),
        required("clicks", sa.BigInteger()),
        required("conversions", sa.BigInteger()),
        required("cost", Money),
        required("revenue", Money),
        required("spent", Money),
        required("revision", sa.BigInteger()),
    )
    create(
        "ledger_snapshot",
        required("taken_at", UtcDateTime),
        sa.Column("budget", Money),
        required("reserved", Money),
        required("granted", Money),
        required("reservations", Blob),
    )
    _fill()


def _fill() -> None:
    """Days of what was counted before: without decisions to book it on, spent is what it cost."""
    connection = op.get_bind()
    performance = sa.table(
        "performance",
        sa.column("brand_id", Id),
        sa.column("bucket_start", UtcDateTime),
        *(sa.column(name, Money if name in ("cost", "revenue") else sa.BigInteger()) for name in MEASURES),
    )
    brand = sa.table("brand", sa.column("id", Id), sa.column("timezone", text(64)))
    zones = {key: ZoneInfo(name) for key, name in connection.execute(sa.select(brand.c.id, brand.c.timezone))}
    sums = [sa.func.sum(performance.c[name], type_=performance.c[name].type) for name in MEASURES]
    query = sa.select(performance.c.brand_id, performance.c.bucket_start, *sums).group_by(
        performance.c.brand_id, performance.c.bucket_start
    )
    days: dict[tuple[str, date], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * len(MEASURES))
    for brand_id, start, *totals in connection.execute(query):
        key = (brand_id, start.astimezone(zones.get(brand_id, UTC)).date())
        days[key] = [known + more for known, more in zip(days[key], totals, strict=True)]
    table = sa.table(
        "brand_day",
        sa.column("brand_id", Id),
        sa.column("day", sa.Date()),
        *(sa.column(name, Money if name in ("cost", "revenue") else sa.BigInteger()) for name in MEASURES),
        sa.column("spent", Money),
        sa.column("revision", sa.BigInteger()),
    )
    rows = []
    for (brand_id, day), (impressions, clicks, conversions, cost, revenue) in days.items():
        counts = {"impressions": int(impressions), "clicks": int(clicks), "conversions": int(conversions)}
        money = {"cost": cost, "revenue": revenue, "spent": cost}
        rows.append({"brand_id": brand_id, "day": day, **counts, **money, "revision": 1})
    for start in range(0, len(rows), 1_000):
        op.bulk_insert(table, rows[start : start + 1_000])


def downgrade() -> None:
    op.drop_table("ledger_snapshot")
    op.drop_table("brand_day")
    op.drop_column("performance_event", "budget_day")
