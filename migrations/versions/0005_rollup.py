"""Sums for reports: a row per quarter hour and combination of slot, brand and partner. Two better indexes."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

from adbid.data.types import CHARSET, COLLATION, Id, TotalMoney, UtcDateTime, code

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE = "performance_rollup"
KEY = ("slot_id", "brand_id", "partner_id", "bucket_start", "currency")
MEASURES = ("impressions", "clicks", "conversions", "cost", "revenue")
BY_SLOT = "ix_performance_slot_id_brand_id_bucket_start"
PLACE = ("slot_id", "brand_id", "device_type", "creative_type", "bucket_start")
KEPT = (  # of a slot, a brand and a partner, which are told apart
    ("slot_id", "brand_id", "partner_id"),
    ("slot_id", "partner_id"),
    ("brand_id", "partner_id"),
    ("brand_id",),
    ("partner_id",),
    (),
)


def required(name: str, column_type: Any) -> sa.Column[Any]:
    return sa.Column(name, column_type, nullable=False)


def upgrade() -> None:
    op.create_table(
        TABLE,
        required("slot_id", Id),
        required("brand_id", Id),
        required("partner_id", Id),
        required("bucket_start", UtcDateTime),
        required("currency", code(3)),
        required("impressions", sa.BigInteger()),
        required("clicks", sa.BigInteger()),
        required("conversions", sa.BigInteger()),
        required("cost", TotalMoney),
        required("revenue", TotalMoney),
        sa.PrimaryKeyConstraint(*KEY, name=op.f(f"pk_{TABLE}")),
        mysql_engine="InnoDB",
        mysql_charset=CHARSET,
        mysql_collate=COLLATION,
    )
    op.create_index(op.f("ix_performance_event_received_at"), "performance_event", ["received_at"])
    op.create_index("ix_performance_place", "performance", list(PLACE))
    op.drop_index(op.f(BY_SLOT), "performance")
    _fill()


def _fill() -> None:
    """From what was counted before, a day at a time: no statement sorts more than a day's rows."""
    connection = op.get_bind()
    performance = sa.table(
        "performance",
        *(sa.column(name, Id) for name in KEY[:3]),
        sa.column("bucket_start", UtcDateTime),
        *(sa.column(name) for name in MEASURES),
    )
    brand = sa.table("brand", sa.column("id", Id), sa.column("currency", code(3)))
    rollup = sa.table(TABLE, *(sa.column(name) for name in (*KEY, *MEASURES)))
    bucket = performance.c.bucket_start
    first: datetime | None
    last: datetime | None
    first, last = connection.execute(sa.select(sa.func.min(bucket), sa.func.max(bucket))).one()
    while first is not None and last is not None and first <= last:
        for kept in KEPT:
            keys = [*(performance.c[name] for name in kept), bucket, brand.c.currency]
            sums = (
                sa.select(
                    *(performance.c[name] if name in kept else sa.literal("") for name in KEY[:3]),
                    bucket,
                    brand.c.currency,
                    *(sa.func.sum(performance.c[name]) for name in MEASURES),
                )
                .join_from(performance, brand, brand.c.id == performance.c.brand_id)
                .where(bucket >= first, bucket < first + timedelta(days=1))
                .group_by(*keys)
            )
            connection.execute(sa.insert(rollup).from_select([*KEY, *MEASURES], sums))
        first += timedelta(days=1)


def downgrade() -> None:
    op.create_index(op.f(BY_SLOT), "performance", ["slot_id", "brand_id", "bucket_start"])
    op.drop_index("ix_performance_place", "performance")
    op.drop_index(op.f("ix_performance_event_received_at"), "performance_event")
    op.drop_table(TABLE)
