"""GET /metrics: what Prometheus collects."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response

from adbid import wiring
from adbid.eyes.exposition import MEDIA_TYPE
from adbid.web.callers import require
from adbid.web.claims import Claims

Scraper = Annotated[Claims, Depends(require("metrics"))]

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Successful Response"}
}


def serve(app: FastAPI) -> None:
    """Adds the endpoint."""

    @app.get(
        "/metrics",
        summary="Counters and gauges of all instances, for Prometheus",
        tags=["metrics"],
        response_class=Response,
        responses=_TEXT,
    )
    async def metrics(_: Scraper) -> Response:
        """In Prometheus's text format, 0.0.4. What isn't known is left out; without Redis nothing is, and the
        answer is 503."""
        return Response(wiring.scrape().text(wiring.now()), headers={"content-type": MEDIA_TYPE})
