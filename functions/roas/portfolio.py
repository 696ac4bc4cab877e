"""What GET /api/portfolio and GET /api/portfolio/{brand_id}/history take and answer."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from adbid.domain.money import format_money
from adbid.domain.portfolio_status import Status
from adbid.engine.brand_history import Day, Edit, Quarter, Record
from adbid.engine.portfolio import Item, Page
from adbid.web.schema import Id, utc

Money = Annotated[str, Field(description="in the brand's currency")]


class PortfolioQuery(BaseModel):
    """Which brands."""

    model_config = ConfigDict(extra="forbid")

    brand_id: Annotated[Id | None, Field(description="this one alone")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before")] = None


class HistoryQuery(BaseModel):
    """How far back."""

    model_config = ConfigDict(extra="forbid")

    days: Annotated[int, Field(ge=1, le=400, description="today included")] = 30


class RoasNow(BaseModel):
    """Over the trailing window of the brand's own days, today included; null where nothing is known."""

    current: Annotated[float | None, Field(description="revenue per cost; null without cost")]
    target: float
    low: Annotated[float | None, Field(description="with `high`, holds the truth with probability 0.9")]
    high: float | None
    probability_below_target: Annotated[
        float | None, Field(description="null with fewer than 20 conversions: that is too few to tell")
    ]
    conversions: int
    window_days: int


class PortfolioItem(BaseModel):
    """One brand. λ = (ν·target + μ) / (1 + ν), and scores count by the portfolio weight 1 + ν."""

    brand_id: str
    name: str
    status: Status
    reason: Annotated[str, Field(description="why, with the numbers")]
    currency: str
    timezone: str
    day: Annotated[str, Field(description="the budget day, in the brand's time zone")]
    daily_budget: Annotated[str | None, Field(description="null: without limit")]
    spent: Annotated[str, Field(description="what was paid on account of this day's decisions")]
    reserved: Annotated[
        str | None, Field(description="promised and not yet paid; null while the ledger can't be read")
    ]
    overrun: Annotated[str, Field(description="what actual prices took beyond the budget")]
    expected_spend: Annotated[str | None, Field(description="due by now on the day's expected traffic")]
    pacing_index: Annotated[float | None, Field(description="spent ÷ expected by now")]
    roas: RoasNow
    lambda_: Annotated[float, Field(alias="lambda", description="the ROAS under which bids are passed over")]
    mu: Annotated[float, Field(description="price of the budget")]
    nu: Annotated[float, Field(description="price of the ROAS target")]
    portfolio_weight: float
    as_of: Annotated[
        AwareDatetime | None,
        Field(description="when the monitor last steered it; null when that is over ten minutes ago"),
    ]


class PortfolioAnswer(BaseModel):
    """A page of brands in the order of their ids."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "at": "2026-11-21T10:15:20+00:00",
                "items": [
                    {
                        "brand_id": "1l1007802",
                        "name": "Acme",
                        "status": "on_target",
                        "reason": "ROAS 2.41 against its target 2.00 over 7 days and 143 conversions: "
                        "97 % certain to be at or above it.",
                        "currency": "USD",
                        "timezone": "Europe/London",
                        "day": "2026-11-21",
                        "daily_budget": "100.00",
                        "spent": "38.20",
                        "reserved": "1.05",
                        "overrun": "0.00",
                        "expected_spend": "37.45",
                        "pacing_index": 1.02,
                        "roas": {
                            "current": 2.41,
                            "target": 2.0,
                            "low": 1.96,
                            "high": 2.91,
                            "probability_below_target": 0.03,
                            "conversions": 143,
                            "window_days": 7,
                        },
                        "lambda": 0.45,
                        "mu": 0.05,
                        "nu": 0.26,
                        "portfolio_weight": 1.26,
                        "as_of": "2026-11-21T10:15:01+00:00",
                    }
                ],
                "next_cursor": None,
                "degraded": [],
            }
        }
    )

    at: AwareDatetime
    items: list[PortfolioItem]
    next_cursor: str | None
    degraded: Annotated[list[str], Field(description="`ledger_unavailable`, `cache_unavailable`")]


class DayAnswer(BaseModel):
    """One day in the brand's time zone, by when things happened; `spent` is the cost that its budget paid."""

    day: str
    impressions: int
    clicks: int
    conversions: int
    cost: Money
    revenue: Money
    roas: float | None
    spent: Money
    immature: Annotated[bool, Field(description="over for less than two days: conversions may still come")]
    nu: Annotated[float | None, Field(description="of the night before; null where none was solved")]
    mu: float | None
    lambda_: Annotated[float | None, Field(alias="lambda")]


class QuarterAnswer(BaseModel):
    """A quarter hour of today."""

    at: Annotated[AwareDatetime, Field(description="its start")]
    expected_share: Annotated[float, Field(description="of the day's traffic, by its end")]
    spent: Annotated[str | None, Field(description="cost by its end; null while it is still to come")]


class TodayAnswer(BaseModel):
    """The present day: 92, 96 or 100 quarter hours, as the clock changes."""

    day: str
    daily_budget: str | None
    quarters: list[QuarterAnswer]


class ChangeAnswer(BaseModel):
    """What somebody changed of the brand or its strategy."""

    at: AwareDatetime
    actor: Annotated[str, Field(description="empty for callers who aren't admins")]
    kind: str
    action: str
    changed: Annotated[dict[str, list[Any]], Field(description="old and new value by field")]


class HistoryAnswer(BaseModel):
    """A brand's recent past, oldest day first, newest change first."""

    brand_id: str
    currency: str
    timezone: str
    target_roas: float
    days: list[DayAnswer]
    today: TodayAnswer
    changes: list[ChangeAnswer]


def portfolio_document(page: Page, at: datetime) -> dict[str, Any]:
    """`PortfolioAnswer` as JSON."""
    return {
        "at": utc(at),
        "items": [_item(item, page.window_days) for item in page.items],
        "next_cursor": page.next_cursor,
        "degraded": list(page.degraded),
    }


def history_document(record: Record, *, show_actors: bool) -> dict[str, Any]:
    """`HistoryAnswer` as JSON."""
    goal = record.goal
    return {
        "brand_id": goal.id,
        "currency": goal.currency,
        "timezone": goal.timezone,
        "target_roas": goal.target_roas,
        "days": [_day(day) for day in record.days],
        "today": {
            "day": record.today.isoformat(),
            "daily_budget": _money(goal.daily_budget),
            "quarters": [_quarter(quarter) for quarter in record.quarters],
        },
        "changes": [_change(edit, show_actors) for edit in record.edits],
    }


def _item(item: Item, window_days: int) -> dict[str, Any]:
    goal, steering = item.goal, item.steering
    return {
        "brand_id": goal.id,
        "name": goal.name,
        "status": item.status,
        "reason": item.reason,
        "currency": goal.currency,
        "timezone": goal.timezone,
        "day": item.day.isoformat(),
        "daily_budget": _money(goal.daily_budget),
        "spent": format_money(item.spent),
        "reserved": _money(item.reserved),
        "overrun": format_money(item.overrun),
        "expected_spend": _money(item.expected_spend),
        "pacing_index": item.pacing_index,
        "roas": {
            "current": item.roas,
            "target": goal.target_roas,
            "low": item.low,
            "high": item.high,
            "probability_below_target": item.below_probability,
            "conversions": item.conversions,
            "window_days": window_days,
        },
        "lambda": steering.lambda_(goal.target_roas),
        "mu": steering.reported_mu(goal.target_roas),
        "nu": steering.nu,
        "portfolio_weight": steering.weight,
        "as_of": None if item.as_of is None else utc(item.as_of),
    }


def _day(day: Day) -> dict[str, Any]:
    totals, night = day.totals, day.night
    return {
        "day": totals.day.isoformat(),
        "impressions": totals.impressions,
        "clicks": totals.clicks,
        "conversions": totals.conversions,
        "cost": format_money(totals.cost),
        "revenue": format_money(totals.revenue),
        "roas": day.roas,
        "spent": format_money(totals.spent),
        "immature": day.immature,
        "nu": night.nu if night else None,
        "mu": night.mu if night else None,
        "lambda": night.lambda_ if night else None,
    }


def _quarter(quarter: Quarter) -> dict[str, Any]:
    return {
        "at": utc(quarter.at),
        "expected_share": quarter.expected_share,
        "spent": _money(quarter.spent),
    }


def _change(edit: Edit, show_actors: bool) -> dict[str, Any]:
    change = edit.change
    return {
        "at": utc(change.at),
        "actor": change.actor if show_actors else "",
        "kind": change.kind,
        "action": change.action,
        "changed": {name: list(values) for name, values in edit.changed.items()},
    }


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else format_money(amount)
