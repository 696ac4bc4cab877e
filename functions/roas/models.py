"""What GET /api/roas and GET /api/metrics/vpi take and answer."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)
from pydantic_core import PydanticCustomError

from adbid.web.schema import Country, Id, TimeZone

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)([Zz]|[+\- ]\d\d:\d\d)")


def _rfc_3339(text: Any) -> str:
    """`text` with its offset's plus sign, which an unescaped query string turns into a space."""
    match = _RFC_3339.fullmatch(str(text))
    if match is None:
        raise PydanticCustomError("rfc_3339", "not a time with an offset, like 2026-11-20T09:00:00Z")
    return match[1] + match[2].replace(" ", "+")


def _utc(moment: datetime) -> datetime:
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        utc = _LATEST
    if not _EARLIEST <= utc < _LATEST:
        raise PydanticCustomError("out_of_range", "not between the years 2000 and 2200")
    return utc


Moment = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_utc)]

_PARTNER = AliasChoices("partner_id", "publisher_id")


class RoasQuery(BaseModel):
    """What to report on, and which time to observe."""

    model_config = ConfigDict(extra="forbid")

    brand_id: Id
    partner_id: Annotated[
        Id,
        Field(alias="partner_id", validation_alias=_PARTNER, description="`publisher_id` is accepted too"),
    ]
    slot_id: Id
    device_type: Id | None = None
    creative_type: Id | None = None
    campaign_id: Id | None = None
    country: Country | None = None
    os: Id | None = None
    since: Annotated[
        Moment | None, Field(alias="from", description="RFC 3339; 30 days before `to` where left out")
    ] = None
    until: Annotated[Moment | None, Field(alias="to", description="RFC 3339; now where left out")] = None


class VpiQuery(BaseModel):
    """Which rows, and how to divide time."""

    model_config = ConfigDict(extra="forbid")

    granularity: Annotated[Literal["hour", "day"], Field(description="what one point covers")] = "hour"
    since: Annotated[
        Moment | None,
        Field(alias="from", description="RFC 3339; 24 hours or 30 days before `to` where left out"),
    ] = None
    until: Annotated[Moment | None, Field(alias="to", description="RFC 3339; now where left out")] = None
    timezone: Annotated[TimeZone, Field(description="IANA time zone of the hours and days")] = "UTC"
    brand_id: Id | None = None
    partner_id: Annotated[
        Id | None,
        Field(alias="partner_id", validation_alias=_PARTNER, description="`publisher_id` is accepted too"),
    ] = None
    slot_id: Id | None = None


class IntervalAnswer(BaseModel):
    """Holds the true ROAS with probability `level`."""

    low: float
    high: float
    level: float


class ObservedAnswer(BaseModel):
    """Exact sums over the quarter hours that start in [from, to)."""

    since: Annotated[AwareDatetime, Field(alias="from")]
    until: Annotated[AwareDatetime, Field(alias="to")]
    impressions: int
    clicks: int
    conversions: int
    cost: Annotated[str, Field(description="in the brand's currency")]
    revenue: Annotated[str, Field(description="in the brand's currency")]
    roas: Annotated[float | None, Field(description="revenue per cost, to four places; null without cost")]


class RoasAnswer(BaseModel):
    """Predictions are per impression, as of now, and null where nothing is known."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "brand_id": "1l1007802",
                "partner_id": "p7",
                "slot_id": "s3",
                "predicted_roas": 2.41,
                "predicted_revenue": 0.0191,
                "predicted_cost": 0.0079,
                "interval": {"low": 1.9, "high": 3.0, "level": 0.9},
                "target_roas": 2.0,
                "model_version": "packaged-1",
                "observed": {
                    "from": "2026-10-21T09:00:00+00:00",
                    "to": "2026-11-20T09:00:00+00:00",
                    "impressions": 120000,
                    "clicks": 3100,
                    "conversions": 88,
                    "cost": "940.20",
                    "revenue": "2260.75",
                    "roas": 2.4045,
                },
            }
        }
    )

    brand_id: str
    partner_id: str
    slot_id: str
    predicted_roas: float | None
    predicted_revenue: float | None
    predicted_cost: float | None
    interval: IntervalAnswer | None
    target_roas: float
    model_version: str
    observed: ObservedAnswer


class PointAnswer(BaseModel):
    """One hour or day in one currency; amounts of different currencies are never added."""

    at: Annotated[AwareDatetime, Field(description="the start, in the time zone asked for")]
    hour: Annotated[int | None, Field(description="0 to 23, local; null for a day")]
    impressions: int
    value_per_impression: Annotated[float | None, Field(description="revenue per impression")]
    revenue: str
    cost: str
    currency: str


class VpiAnswer(BaseModel):
    """Value per impression over time: only hours or days that anything happened in."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "granularity": "hour",
                "timezone": "UTC",
                "points": [
                    {
                        "at": "2026-11-20T09:00:00+00:00",
                        "hour": 9,
                        "impressions": 1200,
                        "value_per_impression": 0.0078,
                        "revenue": "9.36",
                        "cost": "4.10",
                        "currency": "USD",
                    }
                ],
            }
        }
    )

    granularity: Literal["hour", "day"]
    timezone: str
    points: list[PointAnswer]
