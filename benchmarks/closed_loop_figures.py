"""What a closed loop's run was worth, what it broke, and for how long."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.ledger import budget_day
from adbid.domain.money import MICROS
from adbid.domain.pricing import PricingModel
from benchmarks.closed_loop_bound import Bound, Plan, upper_bound
from benchmarks.closed_loop_market import HALVED, START, ZONES, Market
from benchmarks.closed_loop_memory import Days
from benchmarks.closed_loop_records import Recorded

Array = NDArray[np.float64]

PENALTY = 3.0
"""What a unit of revenue missing to a target costs, as in the ROAS replay."""

HOUR = 60
TOLERATED = 0.97
"""Of a target: a day that keeps this much of it is not counted as a violation."""

USED_UP = 0.995


@dataclass(frozen=True)
class Run:
    """A finished run, and what hindsight says of it."""

    market: Market
    recorded: Recorded
    days: Days
    first_day: int
    differences: int
    bound: Bound


def plan_of(market: Market, first_day: int) -> Plan:
    """The planner's program: budgets by local day, targets over the whole run."""
    auctions, brands, scale = market.auctions, market.brands, market.scale
    count = scale.days + 3
    brand = auctions.brand.astype(np.intp)
    slot, minute = auctions.slot[:, None].astype(np.intp), auctions.minute[:, None]
    revenue, cost = market.worth(brand, slot, auctions.amount, minute)
    days = np.array(
        [
            [budget_day(START + timedelta(minutes=quarter), zone).toordinal() - first_day for zone in ZONES]
            for quarter in range(0, scale.minutes, 15)
        ]
    )
    account = brand * count + days[minute // 15, brands.zone[brand]]
    budget = np.where(brands.budget >= 0, brands.budget / MICROS, np.inf)
    return Plan(brand, account, revenue, cost, brands.target, np.repeat(budget, count))


def hindsight(market: Market, first_day: int) -> Bound:
    """What could have been earned at most."""
    return upper_bound(plan_of(market, first_day))


def figures(run: Run) -> dict[str, Any]:
    """The result's JSON."""
    brands = run.market.brands
    return {
        "brands": len(brands.target),
        "days": run.market.scale.days,
        "grants": run.recorded.grants,
        "refused": int(run.recorded.refused.sum()),
        "granted_beyond_budget_micros": run.recorded.beyond,
        "ledger_differences": run.differences,
        "spend": spend(run),
        "roas": roas(run),
        "value": value(run),
        "shock": shock(run),
        "halved_brand": halved(run),
    }


def spend(run: Run) -> dict[str, Any]:
    """By pricing model, over whole local days of brands with a budget: actual against predicted cost, and
    against the budget; and when on the day it was used up."""
    brands, whole = run.market.brands, slice(min(2, run.market.scale.days), max(run.market.scale.days, 2))
    limited = brands.budget >= 0
    spent, granted = run.days.spent[:, whole] / MICROS, run.recorded.granted[:, whole] / MICROS
    budget = np.where(limited, brands.budget / MICROS, np.inf)[:, None]
    left = unserved(run)
    binding = run.bound.mu.reshape(len(brands.target), -1)[:, whole] > 0.02
    found: dict[str, Any] = {}
    for model in PricingModel:
        chosen = limited & (brands.pricing == model)
        if not chosen.any():
            continue
        bought = granted[chosen] > 0.0
        over = np.maximum(spent[chosen] / budget[chosen] - 1.0, 0.0)
        used = np.minimum(spent[chosen] / budget[chosen], 1.0)[binding[chosen]]
        found[model.name] = {
            "brand_days": int(over.size),
            "actual_over_predicted": _quantiles(spent[chosen][bought] / granted[chosen][bought]),
            "actual_over_predicted_total": _round(spent[chosen].sum() / granted[chosen].sum()),
            "overrun_of_budget": _quantiles(over),
            "overrun_of_all_budgets": _round(
                np.maximum(spent[chosen] - budget[chosen], 0.0).sum() / (budget[chosen].sum() * over.shape[1])
            ),
            "budget_used_where_it_binds": _quantiles(used),
            "traffic_after_budget_was_used_up": _quantiles(
                np.concatenate([left[b] for b in np.flatnonzero(chosen)])
            ),
        }
    return found


def unserved(run: Run) -> list[Array]:
    """Per brand, of each whole local day: the share of its traffic that came after the budget was used up."""
    found: list[Array] = []
    for brand, budget in enumerate(run.market.brands.budget.tolist()):
        share, committed = run.recorded.share[:, brand], run.recorded.committed[:, brand]
        midnights = np.flatnonzero(np.diff(share) < -0.5) + 1
        shares = []
        for start, end in pairwise(midnights.tolist()):
            over = np.flatnonzero(committed[start:end] >= USED_UP * budget / MICROS)
            shares.append(1.0 - float(share[start + over[0]]) if len(over) and budget >= 0 else 0.0)
        found.append(np.array(shares))
    return found


def roas(run: Run) -> dict[str, Any]:
    """Violations, at the true rates: what was bought against its target, chance left out."""
    target = run.market.brands.target
    revenue, cost = _totals(run.recorded)
    kept = _ratio(revenue, cost) / target
    short = violated_hours(run)
    longest = np.array([_longest(column) for column in short.T])
    actual = _ratio(run.days.revenue.sum(axis=1), run.days.cost.sum(axis=1)) / target
    brands = [
        {
            "brand": brand,
            "target": float(target[brand]),
            "expected_over_target": _round(kept[brand]),
            "actual_over_target": _round(actual[brand]),
            "hours_below": int(short[:, brand].sum()),
            "longest_hours_below": int(longest[brand]),
            "alert_hours": _round(run.recorded.alert[:, brand].sum() / HOUR),
        }
        for brand in range(len(target))
    ]
    return {
        "expected_over_target": _quantiles(kept),
        "brands_below": int((kept < 1.0).sum()),
        "brands_more_than_3_percent_below": int((kept < TOLERATED).sum()),
        "longest_hours_below": _quantiles(longest.astype(np.float64)),
        "missing_revenue_share": _round(np.maximum(target * cost - revenue, 0.0).sum() / revenue.sum()),
        "alerts": alerts(run),
        "per_brand": brands,
    }


def alerts(run: Run) -> dict[str, Any]:
    """How often an alert stands, and how often so while what was bought so far does keep its target at the
    true rates: such an alert is chance, or conversions that are still to come."""
    revenue, cost = (
        _trailing(_hourly(one), 7 * 24) for one in (run.recorded.expected_revenue, run.recorded.expected_cost)
    )
    standing = run.recorded.alert[HOUR - 1 :: HOUR]
    mistaken = standing & (revenue >= run.market.brands.target * cost)
    share = int(mistaken.sum()) / max(int(standing.sum()), 1)
    return {"share": _round(standing.mean()), "mistaken": _round(share)}


def violated_hours(run: Run) -> NDArray[np.bool_]:
    """[hours, brands]: whether what the last 24 hours bought misses the target by more than is tolerated."""
    revenue, cost = _hourly(run.recorded.expected_revenue), _hourly(run.recorded.expected_cost)
    revenue, cost = (_trailing(one, 24) for one in (revenue, cost))
    below: NDArray[np.bool_] = revenue < TOLERATED * run.market.brands.target * cost
    return below


def value(run: Run) -> dict[str, Any]:
    """Expected revenue over the bound, without and with what violations of the week's targets cost."""
    revenue, cost = _totals(run.recorded)
    missing = np.maximum(run.market.brands.target * cost - revenue, 0.0).sum()
    return {
        "bound": _round(run.bound.value),
        "greedy_at_the_bounds_prices": _round(run.bound.revenue.sum()),
        "earned_over_bound": _round(revenue.sum() / run.bound.value),
        "penalised_over_bound": _round((revenue.sum() - PENALTY * missing) / run.bound.value),
    }


def shock(run: Run) -> dict[str, Any]:
    """Revenue missing to targets per revenue, in parts of six hours, before, while and after demand shook."""
    first, end = run.market.scale.shock
    revenue, cost = (_hourly(one) for one in (run.recorded.expected_revenue, run.recorded.expected_cost))
    target = run.market.brands.target
    parts = {}
    for hour in range(first // HOUR - 12, min(end // HOUR + 24, len(revenue)), 6):
        if hour < 0:
            continue
        rows = slice(hour, hour + 6)
        missing = np.maximum(target * cost[rows].sum(axis=0) - revenue[rows].sum(axis=0), 0.0)
        parts[str(hour - first // HOUR)] = _round(missing.sum() / max(revenue[rows].sum(), 1e-9))
    return {"hours": [first // HOUR, end // HOUR], "missing_revenue_share_by_hour_since": parts}


def halved(run: Run) -> dict[str, Any]:
    """The brand whose conversion rate halved: its ROAS at the true rates, over 12 hours each, since."""
    start = run.market.scale.halved_from // HOUR
    revenue, cost = (
        _hourly(one[:, [HALVED]])[:, 0] for one in (run.recorded.expected_revenue, run.recorded.expected_cost)
    )
    parts = {}
    for hour in range(max(start - 24, 0), len(revenue), 12):
        rows = slice(hour, hour + 12)
        bought = cost[rows].sum()
        parts[str(hour - start)] = _round(revenue[rows].sum() / bought) if bought > 0.0 else None
    possible = run.bound.revenue[HALVED] / max(run.bound.cost[HALVED], 1e-9)
    return {
        "target": float(run.market.brands.target[HALVED]),
        "roas_by_hour_since": parts,
        "hindsights_roas_of_the_week": _round(possible),
    }


def _totals(recorded: Recorded) -> tuple[Array, Array]:
    return (
        recorded.expected_revenue.sum(axis=0, dtype=np.float64),
        recorded.expected_cost.sum(axis=0, dtype=np.float64),
    )


def _hourly(column: NDArray[np.float32]) -> Array:
    return column.reshape(-1, HOUR, column.shape[1]).sum(axis=1, dtype=np.float64)


def _trailing(hourly: Array, hours: int) -> Array:
    total = np.cumsum(hourly, axis=0)
    total[hours:] = total[hours:] - total[:-hours].copy()
    return total


def _longest(flags: NDArray[np.bool_]) -> int:
    """The longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Array:
    found: Array = np.divide(
        numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0
    )
    return found


def _quantiles(values: Array) -> dict[str, float]:
    values = values[~np.isnan(values)].ravel()
    if not len(values):
        return {}
    named = {"least": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
    found = {name: _round(np.quantile(values, share)) for name, share in named.items()}
    return {**found, "mean": _round(values.mean())}


def _round(number: float) -> float:
    return round(float(number), 4)
