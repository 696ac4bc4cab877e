"""The roas function: reports on what was predicted and what happened."""

from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request, Response

from adbid import wiring
from adbid.domain.context import context_of
from adbid.domain.money import format_money
from adbid.domain.reporting import Granularity, Point
from adbid.engine.reporting import LEVEL, RoasReport, Viewer
from adbid.web.app import create_app, documented, lambda_handler, read_body
from adbid.web.callers import require
from adbid.web.claims import Claims
from adbid.web.schema import Problem, utc
from functions.roas import scrape, simulate
from functions.roas.models import RoasAnswer, RoasQuery, VpiAnswer, VpiQuery
from functions.roas.portfolio import (
    HistoryAnswer,
    HistoryQuery,
    PortfolioAnswer,
    PortfolioQuery,
    history_document,
    portfolio_document,
)

Caller = Annotated[Claims, Depends(require("brand", "partner"))]
BrandCaller = Annotated[Claims, Depends(require("brand"))]
BrandId = Annotated[str, Path(alias="brand_id")]

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "content": {"application/problem+json": {}}}
}

app = create_app("roas")


@app.get(
    "/api/roas",
    summary="Predicted and observed ROAS of brand × partner × slot",
    tags=["reports"],
    response_class=Response,
    responses={200: {"model": RoasAnswer}, **NOT_FOUND},
)
async def roas(claims: Caller, query: Annotated[RoasQuery, Query()]) -> Response:
    """What an impression is expected to bring and cost now, and what happened in a span of time."""
    place = (query.brand_id, query.partner_id, query.slot_id, context_of(query.model_dump()))
    report = wiring.reporting().roas(
        place, query.since, query.until, viewer=_viewer(claims), now=wiring.now()
    )
    return _json(_roas(query, report))


@app.get(
    "/api/metrics/vpi",
    summary="Value per impression by hour or day",
    tags=["reports"],
    response_class=Response,
    responses={200: {"model": VpiAnswer}, **NOT_FOUND},
)
async def value_per_impression(claims: Caller, query: Annotated[VpiQuery, Query()]) -> Response:
    """Revenue per impression over time, of everything the caller may see or of what is named.

    At most 31 days by hour and 400 by day. Spans are divided by quarter hours.
    """
    points = wiring.reporting().value_per_impression(
        query.granularity,
        query.since,
        query.until,
        query.timezone,
        brand_id=query.brand_id,
        partner_id=query.partner_id,
        slot_id=query.slot_id,
        viewer=_viewer(claims),
        now=wiring.now(),
    )
    listed = [_point(point, query.granularity) for point in points]
    return _json({"granularity": query.granularity, "timezone": query.timezone, "points": listed})


@app.get(
    "/api/portfolio",
    summary="Each brand's budget, spend, ROAS, prices and status",
    tags=["portfolio"],
    response_class=Response,
    responses={200: {"model": PortfolioAnswer}, **NOT_FOUND},
)
async def portfolio(claims: BrandCaller, query: Annotated[PortfolioQuery, Query()]) -> Response:
    """The brands that the caller may see, in the order of their ids, as they stand now."""
    now = wiring.now()
    page = wiring.portfolio().page(
        claims.brands, brand_id=query.brand_id, cursor=query.cursor, limit=query.limit, now=now
    )
    return _json(portfolio_document(page, now))


@app.get(
    "/api/portfolio/{brand_id:path}/history",
    summary="One brand's recent days, today by the quarter hour, and what was changed",
    tags=["portfolio"],
    response_class=Response,
    responses={200: {"model": HistoryAnswer}, **NOT_FOUND},
)
async def history(
    brand_id: BrandId, claims: BrandCaller, query: Annotated[HistoryQuery, Query()]
) -> Response:
    """A day is `immature` until it has been over for two days: more of its conversions may still come.

    Who made a change is told to admins alone.
    """
    record = wiring.brand_history().read(brand_id, claims.brands, days=query.days, now=wiring.now())
    return _json(history_document(record, show_actors=claims.is_admin))


@app.post(
    "/api/simulate",
    summary="What other targets, another budget or another strategy would have done",
    tags=["portfolio"],
    response_class=Response,
    responses={200: {"model": simulate.SimulateAnswer}, **NOT_FOUND},
    openapi_extra=documented(simulate.REQUEST),
)
async def simulate_days(request: Request, claims: BrandCaller) -> Response:
    """Plays a brand's last whole days again, target by target, at the cost and revenue that really came.

    Only what was won is in the log: what a looser setting would have won besides is not in the figures, and
    `beyond_data` says how much room there is for it. Rivals are taken to bid as they did.
    """
    asked = await read_body(request, simulate.REQUEST)
    found = wiring.simulator().run(asked.question(), claims.brands, wiring.now())
    return _json(simulate.document(found))


def _viewer(claims: Claims) -> Viewer:
    return Viewer(claims.brands, claims.partners)


def _roas(query: RoasQuery, report: RoasReport) -> dict[str, Any]:
    predicted, totals = report.predicted, report.totals
    known = predicted.low is not None
    return {
        "brand_id": query.brand_id,
        "partner_id": query.partner_id,
        "slot_id": query.slot_id,
        "predicted_roas": predicted.roas,
        "predicted_revenue": predicted.revenue,
        "predicted_cost": predicted.cost,
        "interval": {"low": predicted.low, "high": predicted.high, "level": LEVEL} if known else None,
        "target_roas": report.target_roas,
        "model_version": report.model_version,
        "observed": {
            "from": utc(report.since),
            "to": utc(report.until),
            "impressions": totals.impressions,
            "clicks": totals.clicks,
            "conversions": totals.conversions,
            "cost": format_money(totals.cost),
            "revenue": format_money(totals.revenue),
            "roas": report.observed_roas,
        },
    }


def _point(point: Point, granularity: Granularity) -> dict[str, Any]:
    return {
        "at": point.at.isoformat(),
        "hour": point.at.hour if granularity == "hour" else None,
        "impressions": point.impressions,
        "value_per_impression": point.value_per_impression,
        "revenue": format_money(point.revenue),
        "cost": format_money(point.cost),
        "currency": point.currency,
    }


def _json(value: dict[str, Any]) -> Response:
    return Response(orjson.dumps(value), media_type="application/json")


scrape.serve(app)

handler = lambda_handler(app)
