"""What a decision knows of a brand, a partner and a slot: the part of the catalog that scoring reads.

`version` counts the writes of an object, so that an older copy never replaces a newer one in a cache.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from adbid.domain import context


@dataclass(frozen=True, slots=True)
class StrategyFeatures:
    """How a brand's bids are scored. Shares are 0 to 1; of two bids that tie, the higher priority wins."""

    id: str
    name: str
    multiplier: float
    priority: int
    probe_share: float
    exploration_share: float
    version: int


@dataclass(frozen=True, slots=True)
class BrandFeatures:
    """An advertiser with its strategy. `daily_budget` is in `currency`, None where spend is not limited;
    `timezone` is an IANA name; `status` is active or paused. `market` follows from currency and vertical."""

    id: str
    vertical: str
    currency: str
    timezone: str
    daily_budget: Decimal | None
    target_roas: float
    status: str
    version: int
    strategy: StrategyFeatures
    market: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "market", context.market(self.currency, self.vertical))


@dataclass(frozen=True, slots=True)
class PartnerFeatures:
    """A publisher; quality is 0 to 1."""

    id: str
    quality: float
    version: int


@dataclass(frozen=True, slots=True)
class SlotFeatures:
    """An ad slot, of one partner or (None) open to all; `floor` is per thousand impressions."""

    id: str
    partner_id: str | None
    placement_score: float
    floor: Decimal
    currency: str
    version: int


@dataclass(frozen=True, slots=True)
class PriorFeatures:
    """A click-through prior set by people: prior_clicks of prior_imps in a vertical, or in the cell of a
    brand, partner, slot and device ("" where it isn't narrowed)."""

    vertical: str
    brand_id: str
    partner_id: str
    slot_id: str
    device_type: str
    prior_clicks: float
    prior_imps: float
