"""The score function: bids in, ranked bids and predicted ROAS out."""

import time
from collections import Counter

from fastapi import Request, Response

from adbid import wiring
from adbid.engine.scoring import decision_id
from adbid.eyes.metrics import count, observe_seconds
from adbid.web.app import create_app, documented, lambda_handler, read_body
from adbid.web.claims import claims_of, requires
from functions.score.answer import encode
from functions.score.models import REQUEST, Health, ScoreAnswer
from functions.score.process import settle
from functions.score.request import by_schema, plain

app = create_app("score")


@app.post(
    "/api/score",
    summary="Score and rank a bundle of bids",
    tags=["score"],
    response_class=Response,
    responses={200: {"model": ScoreAnswer}},
    openapi_extra=documented(REQUEST) | requires("partner"),
)
async def score(request: Request) -> Response:
    """Values every bid per impression, ranks the bids of each slot, and says why.

    A bid that can't be valued is rejected by itself, with its reasons, never the whole bundle.
    """
    started = time.perf_counter()
    claims = claims_of(request, "partner")
    asked = plain(await request.body()) or by_schema(await read_body(request, REQUEST))
    decision = wiring.scoring().score(
        asked.bundle,
        decision=decision_id(claims.subject, asked.id),
        now=wiring.now(),
        visible_partners=claims.partners,
        at=asked.at,
        dry_run=asked.dry_run,
        explore=asked.explore,
        explain=asked.explain,
    )
    answer = encode(asked.id, decision, feature_values=claims.is_admin)
    if not asked.dry_run:
        for model, number in Counter(asked.bundle.pricing_models).items():
            count("bid_requests_total", number, model=model)
        for kind in decision.degraded:
            count("degradations_total", kind=kind)
        observe_seconds("score_latency_seconds", time.perf_counter() - started)
    return Response(answer, media_type="application/json")


@app.get("/healthz", summary="Liveness and what is served", tags=["health"])
async def health() -> Health:
    """Answers without asking any database, from what this instance last saw."""
    model, degraded = wiring.model_loader().serving()
    if wiring.hot_store().is_down:
        degraded = (*degraded, "cache_unavailable")
    return Health(status="ok", model_version=model.version, degraded=list(degraded))


handler = lambda_handler(app)
settle()
