"""What POST /api/performance takes and answers."""

from collections.abc import Iterator
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # of `typing` only from 3.12 on
)

import orjson
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic_core import to_json
from typing_extensions import TypedDict

from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.errors import Invalid
from adbid.domain.events import ADJUSTMENTS, OUTCOMES, Event
from adbid.engine.batch import Result, rejected
from adbid.web.problems import field_errors
from adbid.web.schema import Country, Currency, Id, Moment, Money

Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000_000_000)]
PartnerId = Annotated[
    Id,
    Field(
        validation_alias=AliasChoices("partner_id", "publisher_id"),
        description="`publisher_id` is accepted too",
    ),
]
PricingModel = Literal["CPM", "CPC", "CPA"]

_TYPES = ", ".join([*OUTCOMES, *sorted(ADJUSTMENTS)])
_NO_TYPE = {
    "union_tag_not_found": {"type": "missing", "loc": ("type",), "msg": "Field required"},
    "union_tag_invalid": {"type": "enum", "loc": ("type",), "msg": f"Input should be one of {_TYPES}"},
}
_STRICT = ConfigDict(extra="forbid")


class _Optional(TypedDict, total=False):
    """What any event may say besides."""

    device_type: Id | None
    creative_type: Id | None
    campaign_id: Id | None
    country: Country | None
    os: Id | None
    pricing_model: PricingModel | None
    decision_id: Annotated[Id | None, Field(description="the decision this event follows from")]
    bid_id: Annotated[Id | None, Field(description="the bid of that decision")]
    currency: Annotated[Currency | None, Field(description="the brand's; required with a cost or a revenue")]


class Outcome(_Optional):
    """Impressions, clicks or conversions; `count` of them with their cost and revenue together."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    event_id: Annotated[Id, Field(description="unique within the partner")]
    type: Literal["impression", "click", "conversion"]
    event_time: Moment
    partner_id: PartnerId
    brand_id: Id
    slot_id: Id
    count: NotRequired[Annotated[Count | None, Field(description="1 where absent")]]
    cost: NotRequired[Annotated[Money | None, Field(description="what the brand pays; 0 where absent")]]
    revenue: NotRequired[Annotated[Money | None, Field(description="what the brand earns; 0 where absent")]]


class Restatement(_Optional):
    """Replaces amounts of an earlier event; those that are absent stay as they are."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    event_id: Annotated[Id, Field(description="unique within the partner")]
    type: Literal["restatement"]
    event_time: Moment
    partner_id: PartnerId
    adjusts_event_id: Annotated[Id, Field(description="the event whose amounts change, of the same partner")]
    brand_id: NotRequired[Id | None]
    slot_id: NotRequired[Id | None]
    count: NotRequired[Count | None]
    cost: NotRequired[Money | None]
    revenue: NotRequired[Money | None]


class Retraction(_Optional):
    """Takes back all that an earlier event counts; its own amounts aren't looked at."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    event_id: Annotated[Id, Field(description="unique within the partner")]
    type: Literal["retraction"]
    event_time: Moment
    partner_id: PartnerId
    adjusts_event_id: Annotated[Id, Field(description="the event that is taken back, of the same partner")]
    brand_id: NotRequired[Id | None]
    slot_id: NotRequired[Id | None]
    count: NotRequired[Count | None]
    cost: NotRequired[Money | None]
    revenue: NotRequired[Money | None]


AnyEvent = Annotated[Outcome | Restatement | Retraction, Field(discriminator="type")]


class PerformanceBatch(TypedDict):
    """What happened. Each event is counted once, however often it is sent."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        extra="forbid",
        json_schema_extra={
            "example": {
                "events": [
                    {
                        "event_id": "e-1",
                        "type": "click",
                        "event_time": "2026-11-20T09:15:02+00:00",
                        "brand_id": "1l1007802",
                        "partner_id": "p7",
                        "slot_id": "s3",
                        "device_type": "mobile",
                        "creative_type": "banner",
                        "pricing_model": "CPC",
                        "decision_id": "d-1",
                        "bid_id": "b1",
                        "count": 1,
                        "cost": "0.40",
                        "revenue": "0",
                        "currency": "USD",
                    },
                    {
                        "event_id": "e-2",
                        "type": "retraction",
                        "event_time": "2026-11-20T11:00:00+00:00",
                        "partner_id": "p7",
                        "adjusts_event_id": "e-1",
                    },
                ]
            }
        },
    )

    events: Annotated[list[AnyEvent], Field(min_length=1, max_length=1000)]


class _Envelope(TypedDict):
    __pydantic_config__ = _STRICT  # type: ignore[misc]

    events: Annotated[list[Any], Field(min_length=1, max_length=1000)]


BATCH: TypeAdapter[PerformanceBatch] = TypeAdapter(PerformanceBatch)
ENVELOPE: TypeAdapter[_Envelope] = TypeAdapter(_Envelope)
_EVENT: TypeAdapter[Any] = TypeAdapter(AnyEvent)


class EventResult(BaseModel):
    """What became of one event; `code` and `message` say why it was rejected."""

    event_id: str | None
    status: Literal["accepted", "duplicate", "conflict", "rejected"]
    code: str | None = None
    message: str | None = None


class PerformanceAnswer(BaseModel):
    """One result per event, in the order sent."""

    results: list[EventResult]


def read_events(envelope: _Envelope) -> Iterator[Event | Result]:
    """Each event of the batch, or why it can't be read."""
    for item in envelope["events"]:
        try:
            # As JSON again, because only there do strings that mean times or amounts pass strict types.
            yield _event(_EVENT.validate_json(to_json(item, inf_nan_mode="constants")))
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False, include_context=False)
            yield rejected(_echo(item), _why(details))


def answer(results: list[Result]) -> bytes:
    """The JSON answer."""
    return orjson.dumps(
        {
            "results": [
                {"event_id": one.event_id, "status": one.status, "code": one.code, "message": one.message}
                if one.code
                else {"event_id": one.event_id, "status": one.status}
                for one in results
            ]
        }
    )


def _event(said: dict[str, Any]) -> Event:
    get = said.get
    return Event(
        partner_id=said["partner_id"],
        event_id=said["event_id"],
        type=said["type"],
        event_time=said["event_time"],
        brand_id=get("brand_id") or "",
        slot_id=get("slot_id") or "",
        context=tuple([get(dimension) or "" for dimension in CONTEXT_DIMENSIONS]),
        pricing_model=get("pricing_model") or "",
        currency=get("currency") or "",
        decision_id=get("decision_id") or "",
        bid_id=get("bid_id") or "",
        adjusts_event_id=get("adjusts_event_id") or "",
        count=get("count"),
        cost=get("cost"),
        revenue=get("revenue"),
    )


def _why(details: list[Any]) -> Invalid:
    # The first part of a location is the type that chose the schema, not a property.
    fields = field_errors([_NO_TYPE.get(one["type"]) or {**one, "loc": one["loc"][1:]} for one in details])
    reasons = [": ".join(filter(None, (field.property[:64], field.message))) for field in fields[:5]]
    return Invalid("invalid_event", "; ".join(reasons))


def _echo(item: Any) -> str | None:
    event_id = item.get("event_id") if isinstance(item, dict) else None
    return event_id if isinstance(event_id, str) and len(event_id) <= 64 else None
