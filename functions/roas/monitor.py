"""The monitor: EventBridge Scheduler calls it every minute."""

from datetime import UTC, datetime
from typing import Any

from adbid import wiring
from adbid.domain.errors import Invalid
from adbid.engine.monitoring import Report
from adbid.eyes.calls import observe
from adbid.eyes.logs import logger
from adbid.eyes.metrics import count, gauge, observe_seconds

_EVENT = {"action": "monitor"}


@observe("monitor")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """{"action": "monitor"} in; out, what became of the minute: `done`, or `skipped` when it was done before.

    `degraded` names the parts that failed and that the next minute makes good. Raises Invalid for any other
    event.
    """
    if event != _EVENT:
        raise Invalid("unknown_action", f"this function takes {_EVENT} only")
    report = wiring.monitoring().run(wiring.now())
    minute = datetime.fromtimestamp(report.minute * 60, UTC).isoformat()
    if not report.done:
        logger.info("this minute was done before", minute=minute)
        return {"status": "skipped", "minute": minute}
    _measure(report)
    steering = report.steering
    return {
        "status": "done",
        "minute": minute,
        "degraded": list(report.degraded),
        "brands": dict(steering.brands) if steering else None,
        "alerts": steering.alerts if steering else None,
        "released": report.released,
        "seconds": round(report.seconds, 3),
    }


def _measure(report: Report) -> None:
    """The minute as metrics, none with a dimension per brand: those gauges are in Redis, for GET /metrics."""
    observe_seconds("monitor_seconds", report.seconds)
    if report.event_lag is not None:
        gauge("event_lag_seconds", report.event_lag)
    for part in report.degraded:
        count("monitor_degraded_total", part=part)
    if report.steering is not None:
        for status, brands in report.steering.brands.items():
            gauge("brands", brands, status=status)
        gauge("brands_under_target", report.steering.alerts)
