"""Every metric there is: its name, what it means, and the values that its labels can have.

A name or label that isn't here is refused, and a value that isn't becomes `other`: so each metric has as many
series as can be counted here, in Redis as in CloudWatch, where each one is paid for. Only what GET /metrics
works out itself may have a series per brand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

ANY = ("*",)
"""Of a label that may have any value: never counted, only worked out for GET /metrics."""

OTHER = "other"

SERVICES = ("admin", "ingest", "roas", "score")
DEGRADATIONS = (
    "cache_unavailable",
    "counters_unavailable",
    "ledger_unavailable",
    "model_unavailable",
    "no_revenue_data",
)
PARTS = (
    "claim",
    "counters",
    "event_lag",
    "ledger_read",
    "ledger_restore",
    "ledger_snapshot",
    "ledger_spent",
    "ledger_sweep",
    "purge",
    "steering",
    "traffic",
)
REFUSALS = (
    "model_moved",
    "model_version_exists",
    "not_sane",
    "not_servable",
    "nothing_to_rehearse",
    "raised",
    "suspect_data",
    "timeout",
    "too_little_data",
    "worse",
)
FAILURES = (
    "counters_unavailable",
    "database_busy",
    "database_unavailable",
    "error",
    "model_files_unavailable",
    "redis_unavailable",
)
TOKENS = (
    "algorithm",
    "audience",
    "claims",
    "critical_header",
    "expired",
    "issued_in_future",
    "issuer",
    "malformed",
    "missing_claim",
    "no_bearer_token",
    "no_kid",
    "not_yet_valid",
    "signature",
    "too_large",
    "unknown_key",
)
STANDINGS = ("below_target", "on_target", "paused", "unknown")

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_NIGHT = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0)
_SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 45.0)


@dataclass(frozen=True)
class Metric:
    """One metric. `labels`: their possible values; `buckets`: upper bounds, in seconds.

    `cloudwatch`, `shared`: whether what is counted goes to CloudWatch, and to GET /metrics.
    """

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    cloudwatch: bool = True
    shared: bool = True

    def bounded(self, given: Mapping[str, str]) -> dict[str, str]:
        """The labels `given`, in order, unknown values as `other`. Raises KeyError for other labels."""
        if given.keys() != self.labels.keys() or ANY in self.labels.values():
            raise KeyError(f"{self.name} has the labels {list(self.labels)}, not {list(given)}")
        return {name: given[name] if given[name] in known else OTHER for name, known in self.labels.items()}

    def series(self) -> Iterator[dict[str, str]]:
        """The labels of every series it can have, `other` last."""
        values = [known if known == ANY else (*known, OTHER) for known in self.labels.values()]
        for combined in product(*values):
            yield dict(zip(self.labels, combined, strict=True))


def _all(*metrics: Metric) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics}


METRICS = _all(
    # Score and ingest.
    Metric("bid_requests_total", "counter", "Bids that were scored.", {"model": ("CPA", "CPC", "CPM")}),
    Metric("score_latency_seconds", "histogram", "Time that POST /api/score takes.", buckets=_FAST),
    Metric(
        "degradations_total",
        "counter",
        "Scores that had to do without something, by what they name under `degraded`.",
        {"kind": DEGRADATIONS},
    ),
    Metric(
        "performance_events_total",
        "counter",
        "Reported events, by what became of them.",
        {"status": ("accepted", "conflict", "duplicate", "rejected")},
    ),
    Metric(
        "http_responses_total",
        "counter",
        "Answers of the functions, by the class of their status.",
        {"service": SERVICES, "status": ("2xx", "3xx", "4xx", "5xx")},
        cloudwatch=False,  # API Gateway counts them there
    ),
    # The monitor.
    Metric("monitor_seconds", "histogram", "Time that a run of the monitor takes.", buckets=_SLOW),
    Metric("monitor_degraded_total", "counter", "Parts of the monitor's runs that failed.", {"part": PARTS}),
    Metric("event_lag_seconds", "gauge", "Time since the newest event happened, when the monitor last ran."),
    Metric("brands", "gauge", "Brands, by how their ROAS stands.", {"status": STANDINGS}),
    Metric(
        "brands_under_target",
        "gauge",
        "Brands whose ROAS has been under target for five minutes, with P >= 0.9 and 20 conversions.",
    ),
    # The nights.
    Metric("retrain_published_total", "counter", "Models that were trained and published."),
    Metric("retrain_refused_total", "counter", "Nights without a new model.", {"reason": REFUSALS}),
    Metric("retrain_failed_total", "counter", "Nights that failed.", {"reason": FAILURES}),
    Metric("retrain_seconds", "histogram", "Time that a night takes.", buckets=_NIGHT),
    Metric("model_rollback_total", "counter", "Times that an earlier model was put back."),
    Metric("duals_failed_total", "counter", "Nights without new prices.", {"reason": FAILURES}),
    # The authorizer, which has no way to Redis.
    Metric(
        "token_refused_total",
        "counter",
        "Tokens that were refused.",
        {"reason": TOKENS},
        shared=False,
    ),
    Metric("key_set_failed_total", "counter", "Times that the issuer's keys couldn't be had.", shared=False),
    # Worked out for GET /metrics from what the monitor saw last.
    Metric("brand_roas_current", "gauge", "Revenue per cost over the trailing window.", {"brand_id": ANY}),
    Metric("brand_roas_target", "gauge", "The ROAS that a brand asks for.", {"brand_id": ANY}),
    Metric(
        "brand_roas_below_target_probability",
        "gauge",
        "P(ROAS < target); there is none with fewer than 20 conversions.",
        {"brand_id": ANY},
    ),
    Metric(
        "brand_budget_left",
        "gauge",
        "What is left of the day's budget, promises taken off, in the brand's currency.",
        {"brand_id": ANY},
    ),
    Metric("brand_under_target", "gauge", "1 while the monitor's alert fires.", {"brand_id": ANY}),
    Metric("monitor_age_seconds", "gauge", "Time since the monitor last saw the brands."),
    Metric("model_info", "gauge", "1, for the model that serves.", {"version": ANY}),
    Metric("model_age_seconds", "gauge", "Time since the model that serves was made."),
)
