"""The score function's endpoints as FastAPI serves and documents them.

`functions.score.app` takes what is left to them, and answers the plainest requests by itself.
"""

from functions.score.process import settle  # isort: skip  # before all others

import time

from fastapi import Request, Response

from adbid import wiring
from adbid.web.app import create_app, documented, read_body, responder, response
from adbid.web.callers import caller_of, requires
from adbid.web.reply import Reply
from functions.score import app as entry
from functions.score.models import REQUEST, Health, ScoreAnswer
from functions.score.request import by_schema

app = create_app("score")


@app.post(
    entry.PATH,
    summary="Score and rank a bundle of bids",
    tags=["score"],
    response_class=Response,
    responses={200: {"model": ScoreAnswer}},
    openapi_extra=documented(REQUEST) | requires(entry.SCOPE),
)
async def score(request: Request) -> Response:
    """Values every bid per impression, ranks the bids of each slot, and says why.

    A bid that can't be valued is rejected by itself, with its reasons, never the whole bundle.
    """
    started = time.perf_counter()
    claims = caller_of(request, entry.SCOPE)
    asked = by_schema(await read_body(request, REQUEST))
    return response(Reply(200, entry.score(asked, claims, started)))


@app.get("/healthz", summary="Liveness and what is served", tags=["health"])
async def health() -> Health:
    """Answers without asking any database, from what this instance last saw."""
    model, degraded = wiring.model_loader().serving()
    if wiring.hot_store().is_down:
        degraded = (*degraded, "cache_unavailable")
    return Health(status="ok", model_version=model.version, degraded=list(degraded))


respond = responder(app)
settle()
