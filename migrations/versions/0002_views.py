"""The views: ROAS per cell and day for reports, and what the learner trains on."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# `* 1.0` keeps SQLite, where money is whole micros, from dividing as integers.
BRAND_ROAS = """
CREATE VIEW brand_roas AS
SELECT brand_id, partner_id, slot_id, device_type,
       DATE(bucket_start) AS day,
       SUM(impressions) AS impressions,
       SUM(clicks) AS clicks,
       SUM(conversions) AS conversions,
       SUM(cost) AS cost,
       SUM(revenue) AS revenue,
       SUM(revenue) * 1.0 / NULLIF(SUM(cost), 0) AS roas
FROM performance
GROUP BY brand_id, partner_id, slot_id, device_type, DATE(bucket_start)
"""

FEATURE_STORE = """
CREATE VIEW feature_store AS
SELECT p.bucket_start, p.brand_id, p.partner_id, p.slot_id,
       p.device_type, p.creative_type, p.campaign_id, p.country, p.os, p.pricing_model,
       b.vertical, b.currency, b.timezone, b.target_roas,
       s.placement_score, s.floor, r.quality AS partner_quality,
       p.impressions, p.clicks, p.conversions, p.cost, p.revenue
FROM performance p
LEFT JOIN brand b ON b.id = p.brand_id
LEFT JOIN ad_slot s ON s.id = p.slot_id
LEFT JOIN partner r ON r.id = p.partner_id
"""


def upgrade() -> None:
    op.execute(BRAND_ROAS)
    op.execute(FEATURE_STORE)


def downgrade() -> None:
    op.execute("DROP VIEW feature_store")
    op.execute("DROP VIEW brand_roas")
