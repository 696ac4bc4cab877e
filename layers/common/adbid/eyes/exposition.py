"""The Prometheus text format, version 0.0.4: from shared sums and gauges to what GET /metrics answers.

Sums are kept under the name that their series has in this format, with one difference: a bucket of a
histogram holds what lies in it alone, so that a duration adds to one bucket and not to all above it.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from adbid.eyes.catalogue import ANY, METRICS, OTHER, Metric

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Numbers = Mapping[str, float]
Labelled = Iterable[tuple[Mapping[str, str], float]]

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def series_name(name: str, labels: Mapping[str, str]) -> str:
    """`bid_requests_total{model="CPA"}`"""
    if not labels:
        return name
    return name + "{" + ",".join([f'{key}="{value}"' for key, value in labels.items()]) + "}"


def bound_text(bound: float) -> str:
    """The upper bound of a bucket, as its label says it."""
    return "+Inf" if bound == inf else f"{bound:g}"


def render(counters: Numbers, gauges: Numbers, derived: Mapping[str, Labelled]) -> str:
    """All families of the catalogue that there is something to say of.

    A counter or histogram that was never counted is 0. A gauge that isn't in `gauges`, nor in `derived` (by
    name, with its labels), is left out: nobody knows it. What the catalogue doesn't know is left out too.
    """
    lines: list[str] = []
    for metric in METRICS.values():
        if metric.name in derived:
            samples = list(_derived(metric, derived[metric.name]))
        elif not metric.shared or ANY in metric.labels.values():
            continue
        elif metric.kind == "histogram":
            samples = list(_histogram(metric, counters))
        else:
            samples = list(_kept(metric, counters if metric.kind == "counter" else gauges))
        if samples:
            lines.append(f"# HELP {metric.name} {metric.help}")
            lines.append(f"# TYPE {metric.name} {metric.kind}")
            lines += samples
    return "\n".join([*lines, ""])


def _kept(metric: Metric, values: Numbers) -> Iterator[str]:
    for labels in metric.series():
        series = series_name(metric.name, labels)
        if series in values:
            yield f"{series} {_number(values[series])}"
        elif metric.kind == "counter" and OTHER not in labels.values():
            yield f"{series} 0"  # so that the first count is seen as an increase


def _histogram(metric: Metric, values: Numbers) -> Iterator[str]:
    total = 0.0
    for bound in (*metric.buckets, inf):
        series = series_name(f"{metric.name}_bucket", {"le": bound_text(bound)})
        total += values.get(series, 0.0)
        yield f"{series} {_number(total)}"
    yield f"{metric.name}_sum {_number(values.get(f'{metric.name}_sum', 0.0))}"
    yield f"{metric.name}_count {_number(total)}"


def _derived(metric: Metric, samples: Labelled) -> Iterator[str]:
    for labels, value in samples:
        escaped = {key: text.translate(_ESCAPES) for key, text in labels.items()}
        yield f"{series_name(metric.name, escaped)} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
