"""The database's views, as tables to select from. The migrations create them; nothing writes to them."""

from sqlalchemy import BigInteger, Column, Date, MetaData, Table

from adbid.data.types import Id, Money, Ratio, Real, UtcDateTime, code, text
from adbid.domain.context import CONTEXT_DIMENSIONS

metadata = MetaData()

brand_roas = Table(
    "brand_roas",  # a row per brand, partner, slot, device type and UTC day; roas is null without cost
    metadata,
    Column("brand_id", Id),
    Column("partner_id", Id),
    Column("slot_id", Id),
    Column("device_type", Id),
    Column("day", Date),
    Column("impressions", BigInteger),
    Column("clicks", BigInteger),
    Column("conversions", BigInteger),
    Column("cost", Money),
    Column("revenue", Money),
    Column("roas", Real),
)

feature_store = Table(
    "feature_store",  # a row per cell and quarter hour, with what is known of its brand, slot and partner
    metadata,
    Column("bucket_start", UtcDateTime),
    Column("brand_id", Id),
    Column("partner_id", Id),
    Column("slot_id", Id),
    *(Column(dimension, Id) for dimension in CONTEXT_DIMENSIONS),
    Column("pricing_model", text(8)),
    Column("vertical", Id),
    Column("currency", code(3)),
    Column("timezone", text(64)),
    Column("target_roas", Ratio),
    Column("placement_score", Ratio),
    Column("floor", Money),
    Column("partner_quality", Ratio),
    Column("impressions", BigInteger),
    Column("clicks", BigInteger),
    Column("conversions", BigInteger),
    Column("cost", Money),
    Column("revenue", Money),
)
