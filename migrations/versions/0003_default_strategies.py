"""The strategies every installation starts with. People may change or delete them."""

from datetime import UTC, datetime
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

from adbid.data.types import Id, Name, Ratio, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# id and name, value per impression times, priority when scores tie
STRATEGIES = (("balanced", "1.00", 20), ("growth", "1.20", 30), ("efficiency", "0.85", 10))

brand_strategy = sa.table(
    "brand_strategy",
    sa.column("id", Id),
    sa.column("name", Name),
    sa.column("vpi_multiplier", Ratio),
    sa.column("priority", sa.Integer()),
    sa.column("probe_share", Ratio),
    sa.column("exploration_share", Ratio),
    sa.column("version", sa.Integer()),
    sa.column("created_at", UtcDateTime),
    sa.column("updated_at", UtcDateTime),
)


def upgrade() -> None:
    now = datetime.now(UTC)
    query = sa.select(brand_strategy.c.id, brand_strategy.c.name)
    taken = {value for row in op.get_bind().execute(query) for value in row}
    op.bulk_insert(
        brand_strategy,
        [
            {
                "id": name,
                "name": name,
                "vpi_multiplier": Decimal(multiplier),
                "priority": priority,
                "probe_share": Decimal("0.05"),
                "exploration_share": Decimal("0.02"),
                "version": 1,
                "created_at": now,
                "updated_at": now,
            }
            for name, multiplier, priority in STRATEGIES
            if name not in taken  # left by a downgrade
        ],
    )


def downgrade() -> None:
    """Leaves the strategies: brands may use them by now, and the first revision drops the table."""
