"""Counts, durations and gauges: written for CloudWatch as they happen, and gathered for GET /metrics.

What is gathered leaves the process at the end of each call (`flush`), in one message whose answer nobody
waits for. So an instance that dies loses what it counted in the call that it died in, and no more; one that
can't reach Redis keeps its sums, which are bounded by the catalogue, until it can.
"""

import json
import logging
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from math import inf
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.metrics.base import SingleMetric

from adbid.eyes.catalogue import METRICS, Metric
from adbid.eyes.exposition import bound_text, series_name

NAMESPACE = "AdBid"

Numbers = Mapping[str, float]
Sink = Callable[[Numbers, Numbers], bool]
"""Adds to shared counters, and sets shared gauges; False, or an error, when they are to be kept for later."""

_logger = logging.getLogger(__name__)


class Gathered:
    """Sums by series that the shared counters don't have yet. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sink: Sink | None = None
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, float] = {}

    def send_to(self, sink: Sink) -> None:
        """Where sums go from now on. Until then they wait."""
        with self._lock:
            self._sink = sink

    def forget(self) -> None:
        """Drops what there is."""
        with self._lock:
            self._counters, self._gauges = {}, {}

    def add(self, series: str, value: float) -> None:
        with self._lock:
            self._counters[series] = self._counters.get(series, 0) + value

    def set(self, series: str, value: float) -> None:
        with self._lock:
            self._gauges[series] = value

    def flush(self) -> None:
        """Hands over what there is. Never raises: an answer must not fail for want of its count."""
        with self._lock:
            sink, counters, gauges = self._sink, self._counters, self._gauges
            if sink is None or not (counters or gauges):
                return
            self._counters, self._gauges = {}, {}
        try:
            sent = sink(counters, gauges)
        except Exception as error:
            _logger.info("metrics are kept for later: %s", type(error).__name__)
            sent = False
        if sent:
            return
        with self._lock:
            for series, value in counters.items():
                self._counters[series] = self._counters.get(series, 0) + value
            self._gauges = {**gauges, **self._gauges}


_gathered = Gathered()
send_to = _gathered.send_to
forget = _gathered.forget
flush = _gathered.flush


def count(name: str, value: float = 1, **labels: str) -> None:
    """Adds `value` to a counter of the catalogue. Raises KeyError where it has no such name or labels."""
    metric, bounded, series = _series(name, tuple(labels.items()))
    _write(metric, MetricUnit.Count, value, bounded)
    if metric.shared:
        _gathered.add(series, value)


def gauge(name: str, value: float, **labels: str) -> None:
    """Says what a gauge is now; it is gone ten minutes after the last time. Raises KeyError likewise."""
    metric, bounded, series = _series(name, tuple(labels.items()))
    unit = MetricUnit.Seconds if name.endswith("_seconds") else MetricUnit.Count
    _write(metric, unit, value, bounded)
    if metric.shared:
        _gathered.set(series, value)


def observe_seconds(name: str, seconds: float) -> None:
    """Adds one duration to a histogram. Raises KeyError likewise."""
    metric = METRICS[name]
    _write(metric, MetricUnit.Seconds, seconds, {})
    place = bisect_left(metric.buckets, seconds)
    _gathered.add(_buckets(name)[place], 1)
    _gathered.add(f"{name}_sum", seconds)


@lru_cache(maxsize=1024)
def _series(name: str, labels: tuple[tuple[str, str], ...]) -> tuple[Metric, Mapping[str, str], str]:
    metric = METRICS[name]
    bounded = metric.bounded(dict(labels))
    return metric, bounded, series_name(name, bounded)


@cache
def _buckets(name: str) -> list[str]:
    bounds = (*METRICS[name].buckets, inf)
    return [series_name(f"{name}_bucket", {"le": bound_text(bound)}) for bound in bounds]


def _write(metric: Metric, unit: MetricUnit, value: float, labels: Mapping[str, str]) -> None:
    if not metric.cloudwatch or os.environ.get("POWERTOOLS_METRICS_DISABLED") == "true":
        return
    service = os.environ.get("POWERTOOLS_SERVICE_NAME", "")
    start, middle, end = _line(metric.name, unit, tuple(labels.items()), service)
    print(f"{start}{time.time_ns() // 1_000_000}{middle}{float(value)!r}{end}")


@lru_cache(maxsize=1024)
def _line(
    name: str, unit: MetricUnit, labels: tuple[tuple[str, str], ...], service: str
) -> tuple[str, str, str]:
    """What Powertools writes for one value, around its time and the value: the rest is always the same."""
    single = SingleMetric(namespace=NAMESPACE)
    single.add_metric(name=name, unit=unit, value=0.0)
    for label, its_value in labels:
        single.add_dimension(label, its_value)
    document: Any = single.serialize_metric_set()
    text = json.dumps(document, separators=(",", ":"))
    start, middle = text.split(str(document["_aws"]["Timestamp"]))
    middle, end = middle.rsplit("0.0", 1)
    return start, middle, end
