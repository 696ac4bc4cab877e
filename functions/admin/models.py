"""The documents of the admin endpoints: what people send, and what they get back."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from adbid.domain.money import format_money
from adbid.web.schema import Currency, Id, Money, TimeZone, exact_number, utc


def _addressable(item_id: str) -> str:
    if item_id in (".", ".."):  # clients and gateways resolve such a path away (RFC 3986, 5.2.4)
        raise PydanticCustomError("dot_segment", "no address leads to this id")
    return item_id


Name = Annotated[
    str,
    Strict(),
    StringConstraints(
        min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
    ),
]
NewId = Annotated[Id, AfterValidator(_addressable)]
Amount = Annotated[Money, PlainSerializer(format_money, return_type=str, when_used="json")]
_Number = Annotated[
    Decimal,
    BeforeValidator(exact_number),
    Field(decimal_places=6, allow_inf_nan=False),
    PlainSerializer(float, return_type=float, when_used="json"),
]
Share = Annotated[_Number, Field(ge=0, le=1)]
Factor = Annotated[_Number, Field(gt=0, le=1000)]
Count = Annotated[_Number, Field(ge=0, le=1_000_000_000)]
Scope = Annotated[
    Id | None, PlainSerializer(lambda value: value or None, return_type=str | None, when_used="json")
]
Time = Annotated[
    datetime,
    PlainSerializer(utc, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


class ListQuery(BaseModel):
    """Which page of a list is asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class Body(BaseModel):
    """What may be sent for any kind. The times may be sent back as they were read; they are ignored."""

    model_config = ConfigDict(extra="forbid")

    id: NewId | None = None
    created_at: Annotated[AwareDatetime | None, Field(json_schema_extra={"readOnly": True})] = None
    updated_at: Annotated[AwareDatetime | None, Field(json_schema_extra={"readOnly": True})] = None

    def values(self) -> dict[str, Any]:
        """The fields people set; the id is None where it was left out."""
        return self.model_dump(exclude={"created_at", "updated_at"})


class Stored(BaseModel):
    """What every kind answers beside its own fields."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    id: Id
    created_at: Time
    updated_at: Time


class StrategyFields(BaseModel):
    """How a brand's bids are scored."""

    name: Name
    vpi_multiplier: Annotated[Factor, Field(description="times the score of every bid")]
    priority: Annotated[
        int, Strict(), Field(ge=-1_000_000, le=1_000_000, description="the higher wins when scores tie")
    ] = 0
    probe_share: Annotated[
        Share, Field(description="share of bids that pass while the brand is held back")
    ] = Decimal("0.05")
    exploration_share: Annotated[Share, Field(description="share of bids that pass to learn from")] = Decimal(
        "0.02"
    )


class StrategyBody(StrategyFields, Body):
    """A strategy as it is sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "st-1",
                "name": "spring growth",
                "vpi_multiplier": "1.2",
                "priority": 30,
                "probe_share": "0.05",
                "exploration_share": "0.02",
            }
        }
    )


class Strategy(StrategyFields, Stored):
    """A strategy as it is stored."""


class BrandFields(BaseModel):
    """An advertiser, its budget and its target."""

    name: Name
    vertical: Id
    strategy_id: Id
    currency: Currency
    timezone: Annotated[TimeZone, Field(description="IANA time zone of the budget day")] = "UTC"
    daily_budget: Annotated[Amount | None, Field(description="null is without limit")] = None
    target_roas: Annotated[Factor, Field(description="least revenue per cost")]
    status: Literal["active", "paused"] = "active"


class BrandBody(BrandFields, Body):
    """A brand as it is sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "1l1007802",
                "name": "Example Travel",
                "vertical": "travel",
                "strategy_id": "growth",
                "currency": "EUR",
                "timezone": "Europe/Berlin",
                "daily_budget": "250.00",
                "target_roas": "2.5",
                "status": "active",
            }
        }
    )


class Brand(BrandFields, Stored):
    """A brand as it is stored."""


class PartnerFields(BaseModel):
    """A publisher."""

    name: Name
    quality: Share


class PartnerBody(PartnerFields, Body):
    """A partner as it is sent."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": "p7", "name": "Example News", "quality": "0.8"}}
    )


class Partner(PartnerFields, Stored):
    """A partner as it is stored."""


class SlotFields(BaseModel):
    """An ad slot."""

    name: Name
    partner_id: Annotated[Id | None, Field(description="null is open to every partner")] = None
    placement_score: Share
    floor: Annotated[Amount, Field(description="least cost per thousand impressions")] = Decimal(0)
    currency: Currency


class SlotBody(SlotFields, Body):
    """A slot as it is sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "s3",
                "name": "News, top banner",
                "partner_id": "p7",
                "placement_score": "0.7",
                "floor": "1.50",
                "currency": "EUR",
            }
        }
    )


class Slot(SlotFields, Stored):
    """A slot as it is stored."""


_SCOPE_ABOVE = {"partner_id": "brand_id", "slot_id": "partner_id", "device_type": "slot_id"}


class PriorFields(BaseModel):
    """What is known of the click-through rate of a vertical, or of a cell from its brand downwards: it
    replaces the mean and strength that the level would take from its parent."""

    vertical: Scope = None
    brand_id: Scope = None
    partner_id: Scope = None
    slot_id: Scope = None
    device_type: Scope = None
    prior_clicks: Count
    prior_imps: Annotated[Count, Field(gt=0)]


class PriorBody(PriorFields, Body):
    """A prior as it is sent."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"brand_id": "1l1007802", "partner_id": "p7", "prior_clicks": 30, "prior_imps": 1000}
        }
    )

    @field_validator("brand_id")
    @classmethod
    def _either(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("vertical"):
            raise PydanticCustomError("scope", "a prior is for a vertical or for a brand, not for both")
        return value

    @field_validator("partner_id", "slot_id", "device_type")
    @classmethod
    def _below(cls, value: str | None, info: ValidationInfo) -> str | None:
        above = _SCOPE_ABOVE[str(info.field_name)]
        if value and above in info.data and not info.data[above]:
            raise PydanticCustomError("scope", "this needs {above} too", {"above": above})
        return value

    @field_validator("prior_imps")
    @classmethod
    def _at_least_the_clicks(cls, value: Decimal, info: ValidationInfo) -> Decimal:
        if value < info.data.get("prior_clicks", 0):
            raise PydanticCustomError("prior", "must not be less than prior_clicks")
        return value

    @model_validator(mode="after")
    def _anything(self) -> "PriorBody":
        if not (self.vertical or self.brand_id):
            raise PydanticCustomError("scope", "say which vertical or which brand the prior is for")
        return self

    def values(self) -> dict[str, Any]:
        """As stored: "" where the scope is not narrowed."""
        scope = ("vertical", "brand_id", "partner_id", "slot_id", "device_type")
        values = super().values()
        return values | {name: values[name] or "" for name in scope}


class Prior(PriorFields, Stored):
    """A prior as it is stored."""
