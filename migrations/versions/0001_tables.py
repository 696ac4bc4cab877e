"""The first tables: what people set, what happened, what is learned, and the audit log."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from adbid.data.types import (
    CHARSET,
    COLLATION,
    Blob,
    Id,
    Json,
    Money,
    Name,
    Ratio,
    Serial,
    UtcDateTime,
    code,
    digest,
    text,
)

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CONTEXT = ("device_type", "creative_type", "campaign_id", "country", "os")


def required(name: str, column_type: Any) -> sa.Column[Any]:
    return sa.Column(name, column_type, nullable=False)


def history() -> tuple[sa.Column[Any], ...]:
    return (
        required("version", sa.Integer()),
        required("created_at", UtcDateTime),
        required("updated_at", UtcDateTime),
    )


def share(table: str, column: str) -> sa.CheckConstraint:
    return check(table, column, f"{column} >= 0 AND {column} <= 1")


def check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def create(name: str, *items: Any, key: tuple[str, ...] = ("id",), **options: Any) -> None:
    op.create_table(
        name,
        *items,
        sa.PrimaryKeyConstraint(*key, name=op.f(f"pk_{name}")),
        mysql_engine="InnoDB",
        mysql_charset=CHARSET,
        mysql_collate=COLLATION,
        **options,
    )


def index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def upgrade() -> None:
    create(
        "brand_strategy",
        required("id", Id),
        required("name", Name),
        required("vpi_multiplier", Ratio),
        required("priority", sa.Integer()),
        required("probe_share", Ratio),
        required("exploration_share", Ratio),
        *history(),
        sa.UniqueConstraint("name", name=op.f("uq_brand_strategy_name")),
        check("brand_strategy", "vpi_multiplier", "vpi_multiplier > 0"),
        share("brand_strategy", "probe_share"),
        share("brand_strategy", "exploration_share"),
    )
    create(
        "brand",
        required("id", Id),
        required("name", Name),
        required("vertical", Id),
        required("strategy_id", Id),
        required("currency", code(3)),
        required("timezone", text(64)),
        sa.Column("daily_budget", Money),
        required("target_roas", Ratio),
        required("status", text(16)),
        *history(),
        sa.UniqueConstraint("name", name=op.f("uq_brand_name")),
        sa.ForeignKeyConstraint(["strategy_id"], ["brand_strategy.id"], name=op.f("fk_brand_strategy_id")),
        check("brand", "daily_budget", "daily_budget >= 0"),
        check("brand", "target_roas", "target_roas > 0"),
        check("brand", "status", "status IN ('active', 'paused')"),
    )
    index("brand", "strategy_id")
    create(
        "partner",
        required("id", Id),
        required("name", Name),
        required("quality", Ratio),
        *history(),
        sa.UniqueConstraint("name", name=op.f("uq_partner_name")),
        share("partner", "quality"),
    )
    create(
        "ad_slot",
        required("id", Id),
        required("name", Name),
        sa.Column("partner_id", Id),
        required("placement_score", Ratio),
        required("floor", Money),
        required("currency", code(3)),
        *history(),
        sa.UniqueConstraint("name", name=op.f("uq_ad_slot_name")),
        sa.ForeignKeyConstraint(["partner_id"], ["partner.id"], name=op.f("fk_ad_slot_partner_id")),
        share("ad_slot", "placement_score"),
        check("ad_slot", "floor", "floor >= 0"),
    )
    index("ad_slot", "partner_id")
    scope = ("vertical", "brand_id", "partner_id", "slot_id", "device_type")
    create(
        "prior",
        required("id", Id),
        *(required(column, Id) for column in scope),
        required("prior_clicks", Ratio),
        required("prior_imps", Ratio),
        *history(),
        sa.UniqueConstraint(*scope, name=op.f("uq_prior_scope")),
        check("prior", "prior_clicks", "prior_clicks >= 0 AND prior_clicks <= prior_imps"),
        check("prior", "prior_imps", "prior_imps > 0"),
    )
    index("prior", "brand_id")
    index("prior", "partner_id")
    index("prior", "slot_id")
    create(
        "performance_event",
        required("partner_id", Id),
        required("event_id", Id),
        required("event_type", text(16)),
        required("event_time", UtcDateTime),
        required("received_at", UtcDateTime),
        required("brand_id", Id),
        required("slot_id", Id),
        *(required(dimension, Id) for dimension in CONTEXT),
        required("pricing_model", text(8)),
        required("currency", code(3)),
        required("decision_id", Id),
        required("bid_id", Id),
        required("adjusts_event_id", Id),
        required("event_count", sa.BigInteger()),
        required("cost", Money),
        required("revenue", Money),
        required("current_count", sa.BigInteger()),
        required("current_cost", Money),
        required("current_revenue", Money),
        required("state", text(16)),
        required("body_hash", digest(32)),
        key=("partner_id", "event_id"),
    )
    index("performance_event", "event_time")
    create(
        "performance",
        required("bucket_start", UtcDateTime),
        required("cell_hash", digest(16)),
        required("brand_id", Id),
        required("partner_id", Id),
        required("slot_id", Id),
        *(required(dimension, Id) for dimension in CONTEXT),
        required("pricing_model", text(8)),
        required("impressions", sa.BigInteger()),
        required("clicks", sa.BigInteger()),
        required("conversions", sa.BigInteger()),
        required("cost", Money),
        required("revenue", Money),
        key=("bucket_start", "cell_hash"),
    )
    index("performance", "slot_id", "brand_id", "bucket_start")
    index("performance", "brand_id", "bucket_start")
    index("performance", "partner_id", "bucket_start")
    create(
        "performance_delta",
        sa.Column("id", Serial, nullable=False, autoincrement=True),
        required("created_at", UtcDateTime),
        sa.Column("applied_at", UtcDateTime),
        required("payload", Blob),
        sqlite_autoincrement=True,
    )
    index("performance_delta", "applied_at")
    create(
        "model_version",
        required("version", Id),
        required("created_at", UtcDateTime),
        required("status", text(16)),
        sa.Column("training_from", UtcDateTime),
        sa.Column("training_to", UtcDateTime),
        required("checksum", text(64)),
        required("parameters", Json),
        required("metrics", Json),
        key=("version",),
    )
    index("model_version", "status", "created_at")
    create(
        "brand_dual",
        required("brand_id", Id),
        required("day", sa.Date()),
        required("nu", sa.Double()),
        required("mu", sa.Double()),
        required("lam", sa.Double()),
        required("created_at", UtcDateTime),
        sa.ForeignKeyConstraint(
            ["brand_id"], ["brand.id"], name=op.f("fk_brand_dual_brand_id"), ondelete="CASCADE"
        ),
        key=("brand_id", "day"),
    )
    create(
        "audit_log",
        sa.Column("id", Serial, nullable=False, autoincrement=True),
        required("occurred_at", UtcDateTime),
        required("actor", text(255)),
        required("request_id", text(128)),
        required("kind", text(32)),
        required("object_id", Id),
        required("action", text(16)),
        sa.Column("old_value", Json),
        sa.Column("new_value", Json),
        sqlite_autoincrement=True,
    )
    index("audit_log", "kind", "object_id", "id")
    index("audit_log", "occurred_at")


def downgrade() -> None:
    for name in (
        "audit_log",
        "brand_dual",
        "model_version",
        "performance_delta",
        "performance",
        "performance_event",
        "prior",
        "ad_slot",
        "partner",
        "brand",
        "brand_strategy",
    ):
        op.drop_table(name)
