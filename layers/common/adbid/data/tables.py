"""Every table of the product. The migrations create exactly this: a test compares the two."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from adbid.data.types import (
    CHARSET,
    COLLATION,
    Blob,
    Id,
    Json,
    Money,
    Name,
    Ratio,
    Real,
    Serial,
    TotalMoney,
    UtcDateTime,
    code,
    digest,
    text,
)
from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _table(name: str, *items: Any, **options: Any) -> Table:
    return Table(
        name,
        metadata,
        *items,
        mysql_engine="InnoDB",
        mysql_charset=CHARSET,
        mysql_collate=COLLATION,
        **options,
    )


def _required(name: str, column_type: Any, *items: Any, **options: Any) -> Column[Any]:
    return Column(name, column_type, *items, nullable=False, **options)


def _key() -> Column[Any]:
    return _required("id", Id, primary_key=True)


def _serial() -> Column[Any]:
    return _required("id", Serial, primary_key=True, autoincrement=True)


def _history() -> tuple[Column[Any], ...]:
    """What every object that people edit carries; `version` is its ETag."""
    return (
        _required("version", Integer),
        _required("created_at", UtcDateTime),
        _required("updated_at", UtcDateTime),
    )


def _context() -> tuple[Column[Any], ...]:
    """One column per context dimension, "" where the bid or event did not say."""
    return tuple(_required(dimension, Id) for dimension in CONTEXT_DIMENSIONS)


def _check(name: str, condition: str) -> CheckConstraint:
    return CheckConstraint(condition, name=name)


def _share(column: str) -> CheckConstraint:
    return _check(column, f"{column} >= 0 AND {column} <= 1")


# What people set ---------------------------------------------------------------------------------

brand_strategy = _table(
    "brand_strategy",
    _key(),
    _required("name", Name),
    _required("vpi_multiplier", Ratio),
    _required("priority", Integer),
    _required("probe_share", Ratio),
    _required("exploration_share", Ratio),
    *_history(),
    UniqueConstraint("name"),
    _check("vpi_multiplier", "vpi_multiplier > 0"),
    _share("probe_share"),
    _share("exploration_share"),
)

brand = _table(
    "brand",
    _key(),
    _required("name", Name),
    _required("vertical", Id),
    _required("strategy_id", Id, ForeignKey("brand_strategy.id")),
    _required("currency", code(3)),
    _required("timezone", text(64)),
    Column("daily_budget", Money),
    _required("target_roas", Ratio),
    _required("status", text(16)),
    *_history(),
    UniqueConstraint("name"),
    Index(None, "strategy_id"),
    _check("daily_budget", "daily_budget >= 0"),
    _check("target_roas", "target_roas > 0"),
    _check("status", "status IN ('active', 'paused')"),
)

partner = _table(
    "partner",
    _key(),
    _required("name", Name),
    _required("quality", Ratio),
    *_history(),
    UniqueConstraint("name"),
    _share("quality"),
)

ad_slot = _table(
    "ad_slot",
    _key(),
    _required("name", Name),
    Column("partner_id", Id, ForeignKey("partner.id")),
    _required("placement_score", Ratio),
    _required("floor", Money),
    _required("currency", code(3)),
    *_history(),
    UniqueConstraint("name"),
    Index(None, "partner_id"),
    _share("placement_score"),
    _check("floor", "floor >= 0"),
)

SCOPE = ("vertical", "brand_id", "partner_id", "slot_id", "device_type")
"""What an operator's prior applies to: a vertical, or a cell from the brand downwards."""

prior = _table(
    "prior",
    _key(),
    *(_required(column, Id) for column in SCOPE),
    _required("prior_clicks", Ratio),
    _required("prior_imps", Ratio),
    *_history(),
    UniqueConstraint(*SCOPE, name="uq_prior_scope"),
    Index(None, "brand_id"),
    Index(None, "partner_id"),
    Index(None, "slot_id"),
    _check("prior_clicks", "prior_clicks >= 0 AND prior_clicks <= prior_imps"),
    _check("prior_imps", "prior_imps > 0"),
)

# What happened -----------------------------------------------------------------------------------
# No foreign keys here: these tables take every event, and their writers have looked the ids up.

performance_event = _table(
    "performance_event",
    _required("partner_id", Id, primary_key=True),
    _required("event_id", Id, primary_key=True),
    _required("event_type", text(16)),
    _required("event_time", UtcDateTime),
    _required("received_at", UtcDateTime),
    _required("brand_id", Id),
    _required("slot_id", Id),
    *_context(),
    _required("pricing_model", text(8)),
    _required("currency", code(3)),
    _required("decision_id", Id),
    _required("bid_id", Id),
    _required("adjusts_event_id", Id),
    # as the partner sent it
    _required("event_count", BigInteger),
    _required("cost", Money),
    _required("revenue", Money),
    # what it adds to `performance` now, after restatements and retractions
    _required("current_count", BigInteger),
    _required("current_cost", Money),
    _required("current_revenue", Money),
    _required("state", text(16)),
    _required("body_hash", digest(32)),
    Column(
        "budget_day", Date
    ),  # in the brand's time zone, what its cost is booked on; unknown for old events
    Index(None, "event_time"),
    Index(None, "received_at"),
)

performance = _table(
    "performance",
    _required("bucket_start", UtcDateTime, primary_key=True),  # the quarter hour
    _required("cell_hash", digest(16), primary_key=True),  # of every id and dimension below
    _required("brand_id", Id),
    _required("partner_id", Id),
    _required("slot_id", Id),
    *_context(),
    _required("pricing_model", text(8)),
    _required("impressions", BigInteger),
    _required("clicks", BigInteger),
    _required("conversions", BigInteger),
    _required("cost", Money),
    _required("revenue", Money),
    # of a place's quarter hours only those of the devices asked for are looked up
    Index("ix_performance_place", "slot_id", "brand_id", "bucket_start", "device_type"),
    Index(None, "brand_id", "bucket_start"),
    Index(None, "partner_id", "bucket_start"),
)

ALL = ""
"""In place of an id in the sums below: all of them together."""

performance_rollup = _table(
    "performance_rollup",  # what `performance` adds up to, without context; "" stands for all
    _required("slot_id", Id, primary_key=True),
    _required("brand_id", Id, primary_key=True),
    _required("partner_id", Id, primary_key=True),
    _required("bucket_start", UtcDateTime, primary_key=True),
    _required("currency", code(3), primary_key=True),
    _required("impressions", BigInteger),
    _required("clicks", BigInteger),
    _required("conversions", BigInteger),
    _required("cost", TotalMoney),
    _required("revenue", TotalMoney),
)

DECAYED = tuple(f"{measure}_{days:g}d" for days in HALF_LIVES_DAYS for measure in MEASURES)
"""Sums in which each quarter hour weighs 2^((its start - the day's start) / half-life), by half-life and then
by measure. Money is in what the database counts it in: units of the currency, or micros."""

performance_day = _table(
    "performance_day",  # whole days in UTC; without context as in the rollup, or a place's contexts apart
    _required("by_context", SmallInteger, primary_key=True, autoincrement=False),  # 0 or 1
    _required("slot_id", Id, primary_key=True),
    _required("brand_id", Id, primary_key=True),
    _required("partner_id", Id, primary_key=True),
    _required(CONTEXT_DIMENSIONS[0], Id, primary_key=True),
    _required("day", Date, primary_key=True),  # before the rest: a stretch of one device's days is one range
    *(_required(dimension, Id, primary_key=True) for dimension in CONTEXT_DIMENSIONS[1:]),
    _required("currency", code(3), primary_key=True),
    _required("impressions", BigInteger),
    _required("clicks", BigInteger),
    _required("conversions", BigInteger),
    _required("cost", TotalMoney),
    _required("revenue", TotalMoney),
    *(_required(name, Real) for name in DECAYED),
    Index(None, "brand_id", "day"),
)

performance_seal = _table(
    "performance_seal",  # two rows: how far `performance_day` goes
    _required("name", text(16), primary_key=True),  # counted or sealed: see `adbid.data.sealed_days`
    Column("until_day", Date),
    _required("finished", Id),  # sealed: of the next day, all brands up to this one; "" is none
)

brand_day = _table(
    "brand_day",  # a brand's days in its own time zone: by the events' time, and what was spent by budget day
    _required("brand_id", Id, primary_key=True),
    _required("day", Date, primary_key=True),
    _required("impressions", BigInteger),
    _required("clicks", BigInteger),
    _required("conversions", BigInteger),
    _required("cost", Money),
    _required("revenue", Money),
    _required("spent", Money),
    _required("revision", BigInteger),  # counts its changes: of two copies the higher one is newer
    Index(None, "day"),
)

performance_delta = _table(
    "performance_delta",  # the outbox: increments committed here, still to be added in Redis
    _serial(),
    _required("created_at", UtcDateTime),
    Column("applied_at", UtcDateTime),
    _required("payload", Blob),
    Index(None, "applied_at"),
    sqlite_autoincrement=True,  # a number is never given twice, even after its row is gone
)

ledger_snapshot = _table(
    "ledger_snapshot",  # what Redis held of a budget day when the monitor last looked
    _required("brand_id", Id, primary_key=True),
    _required("day", Date, primary_key=True),
    _required("taken_at", UtcDateTime),
    Column("budget", Money),
    _required("reserved", Money),
    _required("granted", Money),
    _required("reservations", Blob),  # the open ones
    Index(None, "day"),
)

# What is learned ---------------------------------------------------------------------------------

model_version = _table(
    "model_version",
    _required("version", Id, primary_key=True),
    _required("created_at", UtcDateTime),
    _required("status", text(16)),
    Column("training_from", UtcDateTime),
    Column("training_to", UtcDateTime),
    _required("checksum", text(64)),  # SHA-256 of the stored model, hexadecimal
    _required("parameters", Json),
    _required("metrics", Json),
    Index(None, "status", "created_at"),
)

brand_dual = _table(
    "brand_dual",
    _required("brand_id", Id, ForeignKey("brand.id", ondelete="CASCADE"), primary_key=True),
    _required("day", Date, primary_key=True),
    _required("nu", Real),  # price of the ROAS constraint
    _required("mu", Real),  # price of the budget
    _required("lam", Real),  # (nu * target + mu) / (1 + nu)
    _required("created_at", UtcDateTime),
)

# What people did ---------------------------------------------------------------------------------

audit_log = _table(
    "audit_log",
    _serial(),
    _required("occurred_at", UtcDateTime),
    _required("actor", text(255)),
    _required("request_id", text(128)),
    _required("kind", text(32)),
    _required("object_id", Id),
    _required("action", text(16)),
    Column("old_value", Json),
    Column("new_value", Json),
    Index(None, "kind", "object_id", "id"),
    Index(None, "occurred_at"),
    sqlite_autoincrement=True,
)
