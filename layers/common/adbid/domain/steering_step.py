"""One minute of steering, all brands at once: the prices that follow from what was spent and earned.

`steer` is a pure function of the last minute's state and of what is seen now. The monitor feeds it from MySQL
and Redis, the closed-loop benchmark from its simulated market. Arrays run over brands, none is pooled with
another, and their order doesn't matter.

Two horizons. **μ** keeps a budget over the brand's own day: it starts anew at the brand's midnight, from the
price of the nightly solve, and what is due follows the traffic of the day (`adbid.domain.pacing`). **ν**
keeps the ROAS over a trailing window without an end, so its horizon recedes: the slack of the window is to
be made good, or used up, over one more window, and what the last day earned shows where things are going.
Both are sums of whole days, read anew every minute; nothing is integrated here, so late events, restatements
and lost minutes leave no trace.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from adbid.domain.duals import Anchor, Descent, Duals, Observation, guarded_target, update
from adbid.domain.roas_status import Standing, Standings, probability_under_target, standing

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

ALERT_MINUTES = 5
"""Consecutive minutes below target, with enough data, that an alert takes."""

UNSEEN_DAYS = 1.0
"""How long what is bought now goes unseen: most of its conversions have come after a day. `guarded_target`'s
days left, for a horizon that has no end: only so long can the market move before prices answer."""

NOISY_PAYMENTS = 10.0
"""Conversions within the last day at which its ROAS counts as much as the whole window's."""

STEP = Descent(nu_gain=8.0)
"""ν's gain is per day's traffic: a tenth under the target for a day moves ν by .8 in logs."""

MOST_CHARGES = 10_000.0
"""More would move μ faster than spend answers to it."""

_SOME_CHARGES = 100.0  # where a brand has no past to tell


@dataclass(frozen=True)
class State:
    """What one minute leaves to the next. [brands], but for `minute`, the number of minutes since 1970.

    nu, mu: prices. night: the night they were last taken from (a date's ordinal; 0: none yet). day: the
    budget day that share (of its expected traffic) and committed (spent and reserved) are of, as an ordinal;
    0 for a brand not seen before. standing: `roas_status.Standing`. below: consecutive minutes below target.
    """

    minute: int
    nu: Array
    mu: Array
    night: Numbers
    day: Numbers
    share: Array
    committed: Array
    standing: Standings
    below: Numbers


@dataclass(frozen=True)
class Seen:
    """What is seen in one minute. [brands], but for `minute` and `window_days`; money in the brand's
    currency.

    day: the brand's local date, as an ordinal. share: of that day's expected traffic, what is over, 0 to 1.
    active: False while paused. target: ROAS. budget: of the day, infinite without one. committed: spent and
    reserved of it, NaN while the ledger can't say. cost, revenue, conversions, impressions: over the
    trailing window, as far back as `days_run` days. day_cost, day_revenue, day_conversions: over about the
    last 24 hours (`last_day`). night, night_nu, night_mu: the latest nightly solve, night 0 where there is
    none.
    """

    minute: int
    window_days: float
    day: Numbers
    share: Array
    active: Flags
    target: Array
    budget: Array
    committed: Array
    cost: Array
    revenue: Array
    conversions: Array
    impressions: Array
    days_run: Array
    day_cost: Array
    day_revenue: Array
    day_conversions: Array
    night: Numbers
    night_nu: Array
    night_mu: Array


@dataclass(frozen=True)
class Steered:
    """[brands]: what bids are scored with (λ = (ν·target·caution + μ) / (1 + ν)), and what people are told.

    below_probability: P(ROAS < target), NaN where unknown. alert: below target long enough to say so.
    """

    nu: Array
    mu: Array
    caution: Array
    standing: Standings
    below_probability: Array
    alert: Flags


def beginning(brands: int) -> State:
    """The state of so many brands that were never seen: each starts from its night's prices, or from none."""
    nothing, none = np.zeros(brands), np.zeros(brands, dtype=np.int64)
    unknown = np.zeros(brands, dtype=np.int8)
    return State(0, nothing, nothing, none, none, nothing, nothing, unknown, none)


def realigned(state: State, before: list[str], now: list[str]) -> State:
    """`state`, which runs over the brands `before`, over those of `now`; new ones were never seen."""
    if before == now:
        return state
    places = {brand: place for place, brand in enumerate(before)}
    kept = [(place, places[brand]) for place, brand in enumerate(now) if brand in places]
    to, origin = np.array(kept, dtype=np.intp).reshape(-1, 2).T
    made = beginning(len(now))
    columns = {one.name: getattr(made, one.name).copy() for one in fields(State) if one.name != "minute"}
    for name, column in columns.items():
        column[to] = getattr(state, name)[origin]
    return replace(made, minute=state.minute, **columns)


def last_day(today: Array, yesterday: Array, share: Array) -> Array:
    """About the last 24 hours' sum, from two calendar days' and the `share` of today's traffic that is over:
    at midnight it is yesterday's, at the day's end today's, and in between it doesn't jump."""
    return today + yesterday * (1.0 - share)


def steer(state: State, seen: Seen, step: Descent = STEP) -> tuple[State, Steered]:
    """The next state, and the prices from now on.

    A paused brand keeps its prices, and so does one whose ledger can't be read: the next minute that can
    makes up for it, in a step as bounded as any. A brand with too little data keeps its ν. Raises ValueError
    unless the minute is later than the state's.
    """
    if seen.minute <= state.minute:
        raise ValueError("a minute is steered once")
    probability = probability_under_target(seen.revenue, seen.cost, seen.conversions, seen.target)
    stands = standing(probability, state.standing)
    guarded = guarded_target(seen.target, UNSEEN_DAYS, seen.days_run)

    readable = seen.active & ~np.isnan(seen.committed)
    known = readable & (state.day > 0) & (state.day <= seen.day)
    new_day = known & (seen.day > state.day)
    start = _start(state, seen, new_day)
    before = np.where(known & ~new_day, np.minimum(state.share, seen.share), 0.0)
    passed = np.where(known, seen.share - before, 0.0)
    roas_passed = np.minimum(passed + np.where(new_day, 1.0 - state.share, 0.0), 1.0)
    spent_before = np.where(known & ~new_day, state.committed, 0.0)

    told = ~np.isnan(probability)
    daily = np.where(told, seen.cost / np.maximum(seen.days_run, 1.0), 0.0)
    observation = Observation(
        share=np.divide(passed, 1.0 - before, out=np.zeros_like(passed), where=before < 1.0),
        left=1.0 - before,
        budget=seen.budget,
        spent=np.where(known, seen.committed - spent_before, 0.0),
        cost=daily * roas_passed,
        revenue=daily * roas_passed * _recent_roas(seen, told),
        spent_before=spent_before,
        slack_before=(seen.revenue - seen.target * seen.cost)
        / seen.window_days,  # what a day has to make good
        target=guarded,
        roas_share=roas_passed,
        roas_left=np.ones_like(passed),
    )
    prices = update(start, _anchor(start, seen, told), observation, step)

    consecutive = np.where(seen.minute == state.minute + 1, state.below, 0)
    below = np.where(stands == Standing.BELOW, consecutive + 1, 0)
    after = State(
        minute=seen.minute,
        nu=prices.nu,
        mu=prices.mu,
        night=np.maximum(state.night, seen.night),
        day=np.where(readable, seen.day, state.day),
        share=np.where(readable, seen.share, state.share),
        committed=np.where(readable, seen.committed, state.committed),
        standing=stands,
        below=below,
    )
    alert = below >= ALERT_MINUTES
    return after, Steered(prices.nu, prices.mu, guarded / seen.target, stands, probability, alert)


def _start(state: State, seen: Seen, new_day: Flags) -> Duals:
    """The prices to step from: the night's where it has just been solved, and μ's also at midnight."""
    solved = seen.night > state.night
    midnight = new_day & (seen.night > 0)
    return Duals(
        np.where(solved, seen.night_nu, state.nu), np.where(solved | midnight, seen.night_mu, state.mu)
    )


def _anchor(start: Duals, seen: Seen, told: Flags) -> Anchor:
    """How far μ may stray from the night's price isn't known, so nothing holds it there."""
    earned = told & (seen.revenue > 0.0)
    limited = np.isfinite(seen.budget) & (seen.cost > 0.0)
    per_charge = np.divide(
        seen.impressions, seen.cost, out=np.zeros_like(seen.cost), where=limited & (seen.impressions > 0.0)
    )
    charges = np.where(limited, np.where(limited, seen.budget, 0.0) * per_charge, 0.0)
    return Anchor(
        duals=start,
        trust=np.full_like(start.mu, np.inf),
        scale=np.divide(seen.revenue, seen.cost, out=seen.target.astype(np.float64), where=earned),
        charges=np.where(charges > 0.0, np.clip(charges, 1.0, MOST_CHARGES), _SOME_CHARGES),
    )


def _recent_roas(seen: Seen, told: Flags) -> Array:
    """The last day's ROAS, shrunk to the window's as far as few conversions make it noise."""
    usual = np.divide(NOISY_PAYMENTS * seen.cost, seen.conversions, out=np.ones_like(seen.cost), where=told)
    window = np.divide(seen.revenue, seen.cost, out=np.zeros_like(seen.cost), where=told)
    recent: Array = (seen.day_revenue + usual * window) / (seen.day_cost + usual)
    return recent
