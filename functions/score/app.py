"""The score function: bids in, ranked bids and predicted ROAS out.

A POST /api/score whose body is of the plainest kind is answered here. Everything else, and the documentation
of all, is FastAPI's, in `functions.score.api`: importing that takes longer than all that is needed here.
"""

from functions.score.process import settle  # isort: skip  # before all others

import time
from collections import Counter
from typing import Any

from adbid import wiring
from adbid.engine.scoring import decision_id
from adbid.eyes.metrics import count, observe_seconds
from adbid.web.claims import Claims, claims_of
from adbid.web.gateway import Event, body_of, handler_of
from adbid.web.problems import problem_of
from adbid.web.reply import Reply
from functions.score.answer import Answer
from functions.score.request import Asked, plain

PATH = "/api/score"
SCOPE = "partner"


def respond(event: Event, context: Any) -> Event:
    """What API Gateway is told."""
    reply = plainly(event) if _asks_to_score(event) else None
    if reply is not None:
        return reply.event()
    from functions.score import api

    return api.respond(event, context)


def plainly(event: Event) -> Reply | None:
    """The reply to a POST /api/score; None leaves it to FastAPI: nothing has been scored then."""
    started = time.perf_counter()
    try:
        claims = claims_of(event, SCOPE)
        asked = plain(body_of(event))
        return None if asked is None else Reply(200, score(asked, claims, started))
    except Exception as error:
        return problem_of(error)


def score(asked: Asked, claims: Claims, started: float) -> bytes:
    """The answer to a caller's request, taken at `started`, in seconds of the performance counter."""
    answer = Answer(asked.id, feature_values=claims.is_admin)
    decision = wiring.scoring().score(
        asked.bundle,
        decision=decision_id(claims.subject, asked.id),
        now=wiring.now(),
        visible_partners=claims.partners,
        at=asked.at,
        dry_run=asked.dry_run,
        explore=asked.explore,
        explain=asked.explain,
        meanwhile=answer.begin,
    )
    body = answer.end(decision)
    if not asked.dry_run:
        for model, number in Counter(asked.bundle.pricing_models).items():
            count("bid_requests_total", number, model=model)
        for kind in decision.degraded:
            count("degradations_total", kind=kind)
        observe_seconds("score_latency_seconds", time.perf_counter() - started)
    return body


def _asks_to_score(event: Event) -> bool:
    http = event.get("requestContext", {}).get("http", {})
    return event.get("version") == "2.0" and http.get("method") == "POST" and http.get("path") == PATH


handler = handler_of("score", respond)
settle()
