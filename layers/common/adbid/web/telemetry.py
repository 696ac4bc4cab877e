"""Logs and metrics, through AWS Lambda Powertools: JSON lines and CloudWatch's embedded metric format.

Nothing logged carries a token, a secret or personal data; metrics have bounded dimensions only.
"""

import os

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "AdBid"

logger = Logger(service="adbid", utc=True)


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Counts `value` under `name`; every value of a dimension is a metric of its own, so keep them few."""
    _emit(name, MetricUnit.Count, value, dimensions)


def observe_seconds(name: str, seconds: float) -> None:
    """Records one duration."""
    _emit(name, MetricUnit.Seconds, seconds, {})


def _emit(name: str, unit: MetricUnit, value: float, dimensions: dict[str, str]) -> None:
    if os.environ.get("POWERTOOLS_METRICS_DISABLED") == "true":  # which single_metric doesn't look at
        return
    with single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        for dimension, its_value in dimensions.items():
            metric.add_dimension(dimension, its_value)
