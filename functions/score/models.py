"""What POST /api/score takes and answers."""

from typing import Annotated, Literal, NotRequired, Required  # of `typing` only from 3.12 on

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, Strict, StringConstraints, TypeAdapter
from typing_extensions import TypedDict

from adbid.web.schema import Country, Currency, Id, Moment
from functions.score.request import AMOUNT_LIMIT, MOST_BIDS

Amount = (
    Annotated[float, Strict(), Field(ge=0, le=AMOUNT_LIMIT, allow_inf_nan=False)]
    | Annotated[str, Strict(), StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$")]
)


class Bid(TypedDict, total=False):
    """One bid of a brand for a partner's slot."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    id: Required[Id]
    brand_id: Required[Id]
    partner_id: Required[
        Annotated[
            Id,
            Field(
                validation_alias=AliasChoices("partner_id", "publisher_id"),
                description="`publisher_id` is accepted too",
            ),
        ]
    ]
    slot_id: Required[Id]
    pricing_model: Required[Literal["CPM", "CPC", "CPA"]]
    amount: Required[
        Annotated[
            Amount, Field(description="per thousand impressions (CPM), per click (CPC) or conversion (CPA)")
        ]
    ]
    currency: Required[Currency]
    device_type: Id | None
    creative_type: Id | None
    campaign_id: Id | None
    country: Country | None
    os: Id | None


class ScoreRequest(TypedDict):
    """A bundle of bids."""

    __pydantic_config__ = ConfigDict(  # type: ignore[misc]
        extra="forbid",
        json_schema_extra={
            "example": {
                "id": "req-1",
                "dry_run": False,
                "bids": [
                    {
                        "id": "b1",
                        "brand_id": "1l1007802",
                        "partner_id": "p7",
                        "slot_id": "s3",
                        "pricing_model": "CPA",
                        "amount": "12.50",
                        "currency": "USD",
                        "device_type": "mobile",
                        "creative_type": "banner",
                    }
                ],
            }
        },
    )

    id: Annotated[Id, Field(description="names the request: a repeat with the same id is the same decision")]
    bids: Annotated[list[Bid], Field(min_length=1, max_length=MOST_BIDS)]
    dry_run: NotRequired[Annotated[bool, Strict(), Field(description="nothing is reserved or counted")]]
    explore: NotRequired[
        Annotated[
            bool,
            Strict(),
            Field(
                description="let bids probe and explore as their strategy says; by default unless `dry_run`"
            ),
        ]
    ]
    explain: NotRequired[
        Annotated[bool, Strict(), Field(description="take each predicted revenue apart (at most 100 bids)")]
    ]
    at: NotRequired[
        Annotated[
            Moment | None,
            Field(
                description="with `dry_run`: score as of this time, from events of quarter hours before it"
            ),
        ]
    ]


REQUEST: TypeAdapter[ScoreRequest] = TypeAdapter(ScoreRequest)


class StrategyAnswer(BaseModel):
    """The strategy that scored the bid."""

    id: str
    name: str
    multiplier: float


class QualityAnswer(BaseModel):
    """The quality lift: the parts multiply to the factor."""

    factor: float
    placement: float
    partner: float
    device: float
    creative: float
    hour: float


class TermAnswer(BaseModel):
    """One addend of log(predicted_revenue), named in plain words."""

    feature: str
    words: str
    value: float | None = Field(description="the feature's own value, for admins")
    contribution: float


class ExplanationAnswer(BaseModel):
    """The largest terms first; with `others` they sum to `log_revenue`, the natural logarithm."""

    log_revenue: float
    terms: list[TermAnswer]
    others: float


class Result(BaseModel):
    """One bid's place and what it is worth per impression; null where a number can't be computed."""

    bid_id: str
    slot_id: str
    rank: int | None
    status: Literal["won", "ranked", "rejected"]
    reasons: list[str]
    score: float | None
    value_per_impression: float | None
    predicted_ctr: float | None
    predicted_cvr: float | None
    predicted_revenue: float | None
    predicted_cost: float | None
    predicted_roas: float | None
    lambda_: float | None = Field(alias="lambda")
    portfolio_weight: float | None
    pick: Literal["probe", "exploration"] | None = Field(
        default=None,
        description="of picked bids only, which pass `roas_throttled` and `negative_margin`: a probe is"
        " scored without the price of the ROAS target, an exploration with a draw of its revenue",
    )
    strategy: StrategyAnswer | None
    quality: QualityAnswer
    explanation: ExplanationAnswer | None = Field(default=None, description="with `explain` only")


class ScoreAnswer(BaseModel):
    """The ranked bundle: slots by their top score, bids by rank, then the rejected."""

    id: str
    decision_id: str
    model_version: str
    degraded: list[str]
    results: list[Result]


class Health(BaseModel):
    """Liveness; asks no database."""

    status: Literal["ok"]
    model_version: str
    degraded: list[str]
