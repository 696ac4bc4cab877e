"""Sums by day, also of contexts and decayed: empty at first, the monitor fills them day by day.

With them only a place's last quarter hours are looked up: its index has the time before the context.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from adbid.data.types import CHARSET, COLLATION, Id, Real, TotalMoney, code, text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

IDS = ("slot_id", "brand_id", "partner_id", "device_type")
CONTEXT = ("creative_type", "campaign_id", "country", "os")
KEY = ("by_context", *IDS, "day", *CONTEXT, "currency")
MEASURES = ("impressions", "clicks", "conversions", "cost", "revenue")
DECAYED = tuple(f"{measure}_{days}d" for days in (1, 3, 7, 30) for measure in MEASURES)
BY_PLACE = "ix_performance_place"
KIND: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": CHARSET, "mysql_collate": COLLATION}


def required(name: str, column_type: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, column_type, nullable=False, **options)


def upgrade() -> None:
    op.create_table(
        "performance_day",
        required("by_context", sa.SmallInteger(), autoincrement=False),
        *(required(name, Id) for name in IDS),
        required("day", sa.Date()),
        *(required(name, Id) for name in CONTEXT),
        required("currency", code(3)),
        *(required(name, sa.BigInteger()) for name in MEASURES[:3]),
        *(required(name, TotalMoney) for name in MEASURES[3:]),
        *(required(name, Real) for name in DECAYED),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_performance_day")),
        **KIND,
    )
    op.create_index(op.f("ix_performance_day_brand_id_day"), "performance_day", ["brand_id", "day"])
    seal = op.create_table(
        "performance_seal",
        required("name", text(16)),
        sa.Column("until_day", sa.Date()),
        required("finished", Id),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_performance_seal")),
        **KIND,
    )
    _index("slot_id", "brand_id", "bucket_start", "device_type")
    op.bulk_insert(seal, [{"name": name, "finished": ""} for name in ("counted", "sealed")])


def _index(*columns: str) -> None:
    """Anew with other columns. On a server it never lacks: what runs meanwhile names it."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(BY_PLACE, "performance")
        op.create_index(BY_PLACE, "performance", list(columns))
    else:
        new = f"ADD INDEX {BY_PLACE} ({', '.join(columns)})"
        op.execute(f"ALTER TABLE performance DROP INDEX {BY_PLACE}, {new}")


def downgrade() -> None:
    _index("slot_id", "brand_id", "device_type", "creative_type", "bucket_start")
    op.drop_table("performance_seal")
    op.drop_table("performance_day")
