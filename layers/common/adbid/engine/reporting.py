"""Reports: what a brand × partner × slot is expected to return and did return, and value over time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from adbid.data import catalog, evidence, reports
from adbid.data.database import Database
from adbid.data.hot import Hot, HotStore, Place
from adbid.data.reports import Scope, Totals
from adbid.domain.errors import Invalid, NotFound
from adbid.domain.interval import credible_interval, gamma_shape
from adbid.domain.quality import apply_quality_factors
from adbid.domain.reporting import Granularity, Point, local_start, points
from adbid.engine.rows import payments_behind, rows_of
from adbid.ml.model import Model

Array = NDArray[np.float64]

LEVEL = 0.9
"""The probability that a reported interval holds the truth."""

OBSERVED = timedelta(days=30)
"""How far an observation goes back where the caller doesn't say."""

WINDOW = {"hour": timedelta(hours=24), "day": timedelta(days=30)}
"""How far a time series goes back where the caller doesn't say."""

LONGEST = {"hour": timedelta(days=31), "day": timedelta(days=400)}
"""How long a time series may be."""


@dataclass(frozen=True)
class Viewer:
    """Whose rows a caller may see: those of `brands` and those of `partners`; None is all of them."""

    brands: frozenset[str] | None
    partners: frozenset[str] | None

    def check(self, brand_id: str | None, partner_id: str | None) -> None:
        """Raises NotFound where the caller may see no row of this brand with this partner (None: of any)."""
        if _meets(self.brands, brand_id) or _meets(self.partners, partner_id):
            return
        if brand_id is not None and self.brands:
            raise _unknown("brand", brand_id)
        if partner_id is not None:
            raise _unknown("partner", partner_id)
        if brand_id is not None:
            raise _unknown("brand", brand_id)

    def check_slot(self, slot_id: str, owner: str | None) -> None:
        """Raises NotFound for another partner's own slot."""
        if owner is not None and self.brands == frozenset() and not _meets(self.partners, owner):
            raise _unknown("slot", slot_id)


@dataclass(frozen=True)
class Predicted:
    """Expected money per impression, now; None where unknown. `low` and `high` bound the ROAS."""

    revenue: float | None
    cost: float | None
    roas: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RoasReport:
    """One brand × partner × slot: what is expected, and what happened in [since, until)."""

    predicted: Predicted
    target_roas: float
    model_version: str
    since: datetime
    until: datetime
    totals: Totals

    @property
    def observed_roas(self) -> float | None:
        """Revenue per cost, to four places; None without cost."""
        cost, revenue = self.totals.cost, self.totals.revenue
        return float((revenue / cost).quantize(Decimal("0.0001"))) if cost else None


class Reporting:
    """Answers the reports, from the sums in Redis and those in MySQL. `models` as in `ScoringEngine`."""

    def __init__(
        self,
        database: Database,
        store: HotStore,
        models: Callable[[bytes | None], tuple[Model, tuple[str, ...]]],
    ) -> None:
        self._database = database
        self._store = store
        self._models = models

    def roas(
        self, place: Place, since: datetime | None, until: datetime | None, *, viewer: Viewer, now: datetime
    ) -> RoasReport:
        """The report on one (brand, partner, slot, context): as expected `now`, and in [since, until) as
        observed, over all contexts that fit the given one ("" fits all).

        Raises NotFound for what doesn't exist or isn't the viewer's, Invalid for an empty range of time.
        """
        brand_id, partner_id, slot_id = place[:3]
        viewer.check(brand_id, partner_id)
        until = until or now
        since = _before(until, since or until - OBSERVED)
        hot = self._store.read([place], now)
        kinds = (
            ("brand", brand_id, hot.brands),
            ("partner", partner_id, hot.partners),
            ("slot", slot_id, hot.slots),
        )
        for kind, one, found in kinds:
            if one not in found:
                raise _unknown(kind, one)
        viewer.check_slot(slot_id, hot.slots[slot_id].partner_id)
        with self._database.read() as connection:
            totals = reports.observed(connection, place, since, until)
        model, _ = self._models(hot.model)
        predicted = self._predict(model, place, hot, now)
        return RoasReport(predicted, hot.brands[brand_id].target_roas, model.version, since, until, totals)

    def _predict(self, model: Model, place: Place, hot: Hot, now: datetime) -> Predicted:
        path = (hot.brands[place[0]].market, *place)
        known = hot.evidence
        if known is None:  # Redis is down or has lost the sums
            with self._database.read() as connection:
                known = evidence.evidence_before(connection, [path], now)
        prediction = model.predict(rows_of([place], [""], hot, now), known, hot.priors)
        expected = prediction.revenue
        if expected is None:
            expected = apply_quality_factors(prediction.response.revenue, prediction.quality)
        revenue, cost = float(expected[0]), float(prediction.response.cost[0])
        roas = revenue / cost if cost > 0.0 else float("nan")
        payments = payments_behind(known, [path], model.parameters.response)
        low, high = credible_interval(roas, gamma_shape(payments[0]), LEVEL)
        bounds = (float(low), float(high)) if np.isfinite([low, high]).all() else (None, None)
        return Predicted(_known(revenue), _known(cost), _known(roas), *bounds)

    def value_per_impression(
        self,
        granularity: Granularity,
        since: datetime | None,
        until: datetime | None,
        timezone: str,
        *,
        brand_id: str | None,
        partner_id: str | None,
        slot_id: str | None,
        viewer: Viewer,
        now: datetime,
    ) -> list[Point]:
        """The hours or days of `timezone` in [since, until) that anything happened in, per currency.

        By default the last WINDOW, from the start of an hour or day. Raises NotFound as `roas` does, and
        Invalid for a range that is empty or longer than LONGEST.
        """
        zone = ZoneInfo(timezone)
        until = until or now
        since = _before(until, since or local_start(until - WINDOW[granularity], granularity, zone))
        if until - since > LONGEST[granularity]:
            days = LONGEST[granularity].days
            raise Invalid(
                "range_too_long", f"by {granularity}, at most {days} days are answered", property="from"
            )
        viewer.check(brand_id, partner_id)
        scope = Scope(viewer.brands, viewer.partners, brand_id, partner_id, slot_id)
        with self._database.read() as connection:
            if brand_id is not None and not catalog.load_brands(connection, [brand_id]):
                raise _unknown("brand", brand_id)
            if partner_id is not None and not catalog.load_partners(connection, [partner_id]):
                raise _unknown("partner", partner_id)
            if slot_id is not None:
                slot = catalog.load_slots(connection, [slot_id]).get(slot_id)
                if slot is None:
                    raise _unknown("slot", slot_id)
                viewer.check_slot(slot_id, slot.partner_id)
            slices = reports.slices(connection, scope, since, until, granularity, zone)
        return points(slices, granularity, zone)


def _meets(visible: frozenset[str] | None, named: str | None) -> bool:
    """Whether any row of `named` (None: of any) is among those of `visible` (None: all)."""
    return visible is None or (bool(visible) if named is None else named in visible)


def _before(until: datetime, since: datetime) -> datetime:
    if since >= until:
        raise Invalid("empty_range", "`from` must come before `to`", property="from")
    return since


def _unknown(kind: str, one: str) -> NotFound:
    return NotFound(f"unknown_{kind}", f"there is no {kind} {one}", property=f"{kind}_id")


def _known(number: float) -> float | None:
    return None if np.isnan(number) else number
