"""The retrain function: EventBridge Scheduler calls it every night at 02:00 UTC, and people to go back."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError

from adbid import wiring
from adbid.data.models import ModelCache, RetrainLock
from adbid.domain.errors import AdBidError, Unavailable
from adbid.eyes.calls import observe
from adbid.eyes.logs import logger
from adbid.eyes.metrics import count, observe_seconds
from functions.retrain.fit import FitSettings, artefact, fit
from functions.retrain.models import Rollback, read_event
from functions.retrain.night import Deadline, Night, Progress, Refused
from functions.retrain.samples import History

LONGEST = 900.0
"""Seconds, where the caller sets no limit."""

_ROWS_FOR_THREADS = 50_000  # with fewer, threads wait for each other longer than they work


@observe("retrain")
def handler(event: dict[str, Any], context: Any, progress: Progress | None = None) -> dict[str, Any]:
    """{"action": "retrain"} or {"action": "rollback", "version": …} in; what became of it out.

    `status` is published, refused (with `reason` and `detail`) or skipped. Unless it was skipped, the brands'
    prices are solved anew (`priced_brands`: how many; null where last night's stay). Raises what keeps it
    from knowing (Unavailable, NotFound for a version that isn't there …): then nothing has changed either.
    """
    asked = read_event(event)
    try:
        if isinstance(asked, Rollback):
            return _rollback(asked.version)
        answer = _retrain(asked.until, _remaining(context), progress or _log)
        return answer | {"priced_brands": _solve_prices()} if answer["status"] != "skipped" else answer
    except RedisError as error:
        count("retrain_failed_total", reason="redis_unavailable")
        raise Unavailable("redis_unavailable", "Redis cannot be reached right now.") from error
    except AdBidError as error:
        count("retrain_failed_total", reason=error.code)
        logger.warning("nothing has changed: %s", error, reason=error.code)
        raise
    except Exception:
        count("retrain_failed_total", reason="error")
        logger.exception("nothing has changed")
        raise


def _retrain(until: datetime | None, remaining: Callable[[], float], progress: Progress) -> dict[str, Any]:
    started = time.monotonic()
    lock = RetrainLock(wiring.redis_client(), remaining())
    if not lock.acquire():
        logger.info("another retrain is running")
        return {"status": "skipped", "reason": "running"}
    try:
        now = wiring.now()
        hour = (until or now).astimezone(now.tzinfo).replace(minute=0, second=0, microsecond=0)
        published = _night(Deadline(remaining), progress).retrain(now, hour)
    except Refused as refusal:
        count("retrain_refused_total", reason=refusal.reason)
        logger.warning("no new model: %s", refusal, reason=refusal.reason)
        return {"status": "refused", "reason": refusal.reason, "detail": str(refusal)}
    finally:
        with suppress(RedisError):  # it expires by itself
            lock.release()
    seconds = time.monotonic() - started
    count("retrain_published_total")
    observe_seconds("retrain_seconds", seconds)
    logger.info("published model %s", published.version, metrics=published.metrics, seconds=round(seconds, 1))
    return {"status": "published", "version": published.version, "metrics": published.metrics}


def _solve_prices() -> int | None:
    """How many brands got new prices, whatever became of the model; None where last night's stay."""
    try:
        return len(wiring.nightly_prices().solve(wiring.now()))
    except Unavailable as error:
        count("duals_failed_total", reason=error.code)
        logger.warning("last night's prices stay: %s", error)
        return None


def _rollback(version: str) -> dict[str, Any]:
    wiring.model_publisher().rollback(version)
    count("model_rollback_total")
    logger.warning("went back to model %s", version)
    return {"status": "published", "version": version}


def _night(deadline: Deadline, progress: Progress) -> Night:
    return Night(
        database=wiring.database(),
        cache=ModelCache(wiring.redis_client()),
        loader=wiring.model_loader(),
        publisher=wiring.model_publisher(),
        engine=wiring.scoring(),
        train=train,
        deadline=deadline,
        progress=progress,
    )


def train(history: History, about: Mapping[str, Any]) -> tuple[bytes, Mapping[str, Any]]:
    """A model learned from `history`: the artefact's bytes, and its parameters and report as JSON."""
    threads = 1 if len(history.log) < _ROWS_FOR_THREADS else os.cpu_count() or 1
    fitted = fit(history, FitSettings(threads=threads))
    learned = {"parameters": fitted.parameters.to_json(), "report": fitted.report}
    return artefact(fitted, dict(about)), learned


def _remaining(context: Any) -> Callable[[], float]:
    """The seconds that are left, as Lambda knows them."""
    if context is not None:
        return lambda: float(context.get_remaining_time_in_millis()) / 1000
    end = time.monotonic() + LONGEST
    return lambda: end - time.monotonic()


def _log(stage: str, detail: str) -> None:
    logger.info("retrain: %s", stage, detail=detail)
