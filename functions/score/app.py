"""The score function: bids in, ranked bids and predicted ROAS out."""

import time
from collections import Counter

from fastapi import Request, Response

from adbid import wiring
from adbid.domain.errors import FieldError, Invalid
from adbid.engine.scoring import decision_id
from adbid.web.app import create_app, documented, lambda_handler, read_body
from adbid.web.claims import claims_of, requires
from adbid.web.telemetry import count, observe_seconds
from functions.score.answer import encode
from functions.score.models import REQUEST, Health, ScoreAnswer, ScoreRequest

EXPLAINED_BIDS = 100
"""Taking 100 predictions apart takes a quarter of a second."""

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
    asked = await read_body(request, REQUEST)
    _check(asked)
    bids = asked["bids"]
    dry_run = asked.get("dry_run", False)
    decision = wiring.scoring().score(
        bids,
        decision=decision_id(claims.subject, asked["id"]),
        now=wiring.now(),
        visible_partners=claims.partners,
        at=asked.get("at"),
        dry_run=dry_run,
        explore=asked.get("explore", not dry_run),
        explain=asked.get("explain", False),
    )
    answer = encode(asked["id"], decision, feature_values=claims.is_admin)
    if not dry_run:
        for model, number in Counter([bid["pricing_model"] for bid in bids]).items():
            count("bid_requests_total", number, model=model)
        observe_seconds("score_latency_seconds", time.perf_counter() - started)
    return Response(answer, media_type="application/json")


@app.get("/healthz", summary="Liveness and what is served", tags=["health"])
async def health() -> Health:
    """Answers without asking any database, from what this instance last saw."""
    model, degraded = wiring.model_loader().serving()
    if wiring.hot_store().is_down:
        degraded = (*degraded, "cache_unavailable")
    return Health(status="ok", model_version=model.version, degraded=list(degraded))


def _check(asked: ScoreRequest) -> None:
    """What the schema can't say. Raises Invalid."""
    if asked.get("at") is not None and not asked.get("dry_run"):
        raise Invalid("at_without_dry_run", "`at` is accepted with `dry_run` only", property="at")
    if asked.get("explain") and len(asked["bids"]) > EXPLAINED_BIDS:
        text = f"at most {EXPLAINED_BIDS} bids are explained at once"
        raise Invalid("too_many_to_explain", text, property="explain")
    seen: set[str] = set()
    for place, bid in enumerate(asked["bids"]):
        if bid["id"] in seen:
            name = f"bids[{place}].id"
            raise Invalid(
                "duplicate_bid", "bid ids must differ", FieldError(name, "duplicate", "given before")
            )
        seen.add(bid["id"])
        amount = bid["amount"]
        if not isinstance(amount, str) and round(amount, 6) != amount:
            name = f"bids[{place}].amount"
            raise Invalid(
                "invalid_request", f"{name}: more than 6 decimals", FieldError(name, "decimals", "at most 6")
            )


handler = lambda_handler(app)
