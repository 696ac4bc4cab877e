"""What GET /metrics answers: what all instances have counted, and what the monitor last saw of each brand."""

from collections.abc import Callable
from datetime import datetime
from math import isfinite

from redis.exceptions import RedisError

from adbid.data.gauges import Gauge, Gauges, GaugeStore
from adbid.data.models import BadPointer, ModelCache, Pointer
from adbid.data.shared_metrics import SharedMetrics
from adbid.domain.errors import Unavailable
from adbid.eyes.exposition import Labelled, render
from adbid.ml.model import PACKAGED


class Scrape:
    """The use case. `made_at` tells when a model version was made; it may raise Unavailable."""

    def __init__(
        self,
        shared: SharedMetrics,
        gauges: GaugeStore,
        models: ModelCache,
        made_at: Callable[[str], datetime | None],
    ) -> None:
        self._shared = shared
        self._gauges = gauges
        self._models = models
        self._made_at = made_at
        self._known: tuple[str, datetime] | None = None

    def text(self, now: datetime) -> str:
        """In Prometheus's text format. What isn't known is left out; raises Unavailable without Redis, where
        nothing is."""
        try:
            counters, kept = self._shared.read()
            seen = self._gauges.read()
            document = self._models.pointer()
        except RedisError as error:
            raise Unavailable("cache_unavailable", "The shared counters can't be read right now.") from error
        derived = {**_brands(seen, now), **self._model(document, now)}
        return render(counters, kept, derived)

    def _model(self, document: bytes | None, now: datetime) -> dict[str, Labelled]:
        version = PACKAGED.version
        if document is not None:
            try:
                version = Pointer.parse(document).version
            except BadPointer:
                return {}
        info: dict[str, Labelled] = {"model_info": [({"version": version}, 1.0)]}
        made = self._made(version) if document is not None else None
        if made is not None:
            info["model_age_seconds"] = [({}, (now - made).total_seconds())]
        return info

    def _made(self, version: str) -> datetime | None:
        if self._known is None or self._known[0] != version:
            try:
                found = self._made_at(version)
            except Unavailable:
                return None
            if found is None:
                return None
            self._known = version, found
        return self._known[1]


def _brands(seen: Gauges | None, now: datetime) -> dict[str, Labelled]:
    if seen is None:
        return {}

    brands = sorted(seen.brands.items())

    def each(value: Callable[[Gauge], float]) -> Labelled:
        return [({"brand_id": id_}, number) for id_, one in brands if isfinite(number := value(one))]

    return {
        "brand_roas_current": each(lambda gauge: gauge.roas),
        "brand_roas_target": each(lambda gauge: gauge.target),
        "brand_roas_below_target_probability": each(lambda gauge: gauge.below_probability),
        "brand_budget_left": each(lambda gauge: gauge.budget_left),
        "brand_under_target": each(lambda gauge: float(gauge.alert)),
        "monitor_age_seconds": [({}, (now - seen.at).total_seconds())],
    }
