"""What POST /api/simulate takes and answers."""

from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, TypeAdapter

from adbid.domain.money import format_money
from adbid.engine.portfolio import LEVEL
from adbid.engine.simulation import Figures, Point, Question, Simulation
from adbid.web.schema import Id, Money, exact_number
from functions.roas.models import IntervalAnswer

MOST_DAYS = 60
MOST_TARGETS = 50


def _number(target: Any) -> Any:
    """A decimal string as a number; what a program multiplied out may have any number of digits."""
    return float(exact_number(target)) if isinstance(target, str) else target


Target = Annotated[
    float,
    Strict(),
    Field(ge=0.000001, le=1000, allow_inf_nan=False, description="a decimal string or number"),
    BeforeValidator(_number),
    AfterValidator(lambda target: round(target, 6)),
]


class SimulateRequest(BaseModel):
    """Which days to play again, and how. What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "brand_id": "1l1007802",
                "days": 14,
                "targets": [1.5, 2.0, 2.5],
                "daily_budget": "300.00",
            }
        },
    )

    brand_id: Id
    days: Annotated[
        int, Strict(), Field(ge=1, le=MOST_DAYS, description="the last whole days in the brand's time zone")
    ] = 14
    targets: Annotated[
        list[Target] | None,
        Field(
            min_length=1,
            max_length=MOST_TARGETS,
            description="ROAS; half to twice the present one where left out",
        ),
    ] = None
    daily_budget: Annotated[
        Money | None, Field(description="null is without limit; the present one where left out")
    ] = None
    strategy_id: Annotated[Id | None, Field(description="the present one where left out")] = None

    def question(self) -> Question:
        return Question(
            brand_id=self.brand_id,
            days=self.days,
            targets=self.targets,
            strategy_id=self.strategy_id,
            other_budget="daily_budget" in self.model_fields_set,
            daily_budget=self.daily_budget,
        )


REQUEST: TypeAdapter[SimulateRequest] = TypeAdapter(SimulateRequest)


class SimulatedFigures(BaseModel):
    """What the days come to with one target. Money in the brand's currency."""

    target: float
    impressions: int
    conversions: int
    spend: str
    revenue: str
    roas: Annotated[float | None, Field(description="revenue per cost; null without cost")]
    budget_use: Annotated[float | None, Field(description="of all the days' budgets; null without one")]


class SimulatedPoint(SimulatedFigures):
    """One target played."""

    interval: IntervalAnswer | None
    lambda_: Annotated[float, Field(alias="lambda", description="the ROAS under which bids are passed over")]
    ended_days: Annotated[int, Field(description="on how many days the budget ends before the traffic")]
    beyond_data: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="of the spend that this allows, the share that the log can't vouch for: 0 is none",
        ),
    ]
    note: Annotated[str | None, Field(description="what to keep in mind, in words")]


class SimulatedCurrent(SimulatedFigures):
    """The days as they were, and as the replay has them with the present setting: the replay's own error."""

    simulated: Annotated[SimulatedPoint | None, Field(description="null with too little data")]


class SimulatedSetting(BaseModel):
    """What the curve was played with beside its targets."""

    daily_budget: Annotated[str | None, Field(description="null: without limit")]
    strategy_id: str


class SimulateAnswer(BaseModel):
    """The curve, targets ascending; empty where there is too little data, which `confidence` explains."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "brand_id": "1l1007802",
                "currency": "USD",
                "timezone": "Europe/London",
                "from": "2026-11-07",
                "to": "2026-11-20",
                "days": 14,
                "immature_days": 2,
                "places": 12,
                "rows": 168,
                "setting": {"daily_budget": "300.00", "strategy_id": "growth"},
                "current": {
                    "target": 2.0,
                    "impressions": 480000,
                    "conversions": 412,
                    "spend": "4120.00",
                    "revenue": "9024.10",
                    "roas": 2.19,
                    "budget_use": 0.736,
                    "simulated": {
                        "target": 2.0,
                        "impressions": 471300,
                        "conversions": 406,
                        "spend": "4055.20",
                        "revenue": "8921.44",
                        "roas": 2.2,
                        "budget_use": 0.724,
                        "interval": {"low": 1.95, "high": 2.46, "level": 0.9},
                        "lambda": 0.61,
                        "ended_days": 0,
                        "beyond_data": 0.0,
                        "note": None,
                    },
                },
                "curve": [
                    {
                        "target": 2.5,
                        "impressions": 310200,
                        "conversions": 301,
                        "spend": "2801.05",
                        "revenue": "7506.81",
                        "roas": 2.68,
                        "budget_use": 0.667,
                        "interval": {"low": 2.33, "high": 3.05, "level": 0.9},
                        "lambda": 1.84,
                        "ended_days": 0,
                        "beyond_data": 0.0,
                        "note": None,
                    }
                ],
                "confidence": "Played on 14 days with 412 conversions; for 2 days of them, conversions may "
                "still come. With the present setting the replay spends 2% less and earns 1% less than …",
            }
        }
    )

    brand_id: str
    currency: str
    timezone: str
    since: Annotated[date, Field(alias="from", description="the first day, in the brand's time zone")]
    until: Annotated[date, Field(alias="to", description="the last day; today is never played")]
    days: Annotated[int, Field(description="how many days that is; 0 where nothing was bought")]
    immature_days: Annotated[int, Field(description="of them over for less than two days")]
    places: Annotated[int, Field(description="combinations of partner, slot and context bought on")]
    rows: Annotated[int, Field(description="of a place and a day that were played")]
    setting: SimulatedSetting
    current: SimulatedCurrent
    curve: list[SimulatedPoint]
    confidence: Annotated[str, Field(description="how far to trust it, in words")]


def document(found: Simulation) -> dict[str, Any]:
    """`SimulateAnswer` as JSON."""
    goal, budget = found.goal, found.daily_budget
    return {
        "brand_id": goal.id,
        "currency": goal.currency,
        "timezone": goal.timezone,
        "from": found.first.isoformat(),
        "to": found.last.isoformat(),
        "days": found.days,
        "immature_days": found.immature,
        "places": found.places,
        "rows": found.rows,
        "setting": {
            "daily_budget": None if budget is None else format_money(budget),
            "strategy_id": found.strategy_id,
        },
        "current": {
            **_figures(goal.target_roas, found.observed),
            "simulated": None if found.played is None else _point(found.played),
        },
        "curve": [_point(point) for point in found.curve],
        "confidence": found.confidence,
    }


def _figures(target: float, figures: Figures) -> dict[str, Any]:
    return {
        "target": target,
        "impressions": figures.impressions,
        "conversions": figures.conversions,
        "spend": format_money(figures.spend),
        "revenue": format_money(figures.revenue),
        "roas": figures.roas,
        "budget_use": figures.budget_use,
    }


def _point(point: Point) -> dict[str, Any]:
    known = point.low is not None
    return {
        **_figures(point.target, point.figures),
        "interval": {"low": point.low, "high": point.high, "level": LEVEL} if known else None,
        "lambda": point.lambda_,
        "ended_days": point.ended_days,
        "beyond_data": point.beyond,
        "note": point.note,
    }
