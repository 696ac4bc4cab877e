"""The ingest function: a batch of events in, one result per event out."""

from collections import Counter

from fastapi import Request, Response

from adbid import wiring
from adbid.eyes.metrics import count
from adbid.web.app import create_app, documented, lambda_handler, read_body
from adbid.web.callers import caller_of, requires
from functions.ingest.models import BATCH, ENVELOPE, PerformanceAnswer, answer, read_events

app = create_app("ingest")


@app.post(
    "/api/performance",
    summary="Report what happened",
    tags=["performance"],
    response_class=Response,
    responses={200: {"model": PerformanceAnswer}},
    openapi_extra=documented(BATCH) | requires("partner"),
)
async def performance(request: Request) -> Response:
    """Counts each event exactly once, and answers for each by itself, in the order sent.

    `accepted` means durable. The same event sent again is a `duplicate`; another one under the same id is a
    `conflict`; one that can't be counted is `rejected`, with why. Sending a whole batch again is always safe.
    """
    claims = caller_of(request, "partner")
    batch = list(read_events(await read_body(request, ENVELOPE)))
    results = wiring.performance().ingest(batch, visible_partners=claims.partners, now=wiring.now())
    for status, number in Counter([result.status for result in results]).items():
        count("performance_events_total", number, status=status)
    return Response(answer(results), media_type="application/json")


handler = lambda_handler(app)
