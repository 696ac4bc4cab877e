"""One minute of steering, all brands at once: the prices that follow from what was spent and earned.

`steer` is a pure function of the last minute's state and of what is seen now. The monitor feeds it from MySQL
and Redis, the closed-loop benchmark from its simulated market. Arrays run over brands, none is pooled with
another, and their order doesn't matter.

Two horizons. **μ** keeps a budget over the brand's own day: at the brand's midnight it starts from what it
usually was the day before, and what is due follows the traffic of the day (`adbid.domain.pacing`). **ν**
keeps the ROAS over a trailing window without an end, so its horizon recedes: the slack of the window is to
be made good, or used up, over one more window, and what the last day earned shows where things are going.
Both are sums of whole days, read anew every minute; nothing is integrated here, so late events, restatements
and lost minutes leave no trace.

The nightly solve says where a brand starts that was never steered, or whose state was lost. It doesn't
replace prices that steering found: it sees what was shown, not what could have been shown at another price,
so of a brand that keeps its budget it finds that nothing needs a price, and of one that misses its target
that nothing can help it.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from adbid.domain.duals import SHIFT, Anchor, Descent, Duals, Observation, guarded_target, update
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

FEW_CHARGES = (STEP.gain / STEP.largest) ** 2
"""With fewer, one charge alone would be a larger step than is allowed. Cut off, it would count for less than
the quiet minutes around it, and μ would stay too low."""

UNKNOWN_NU = 1.0
"""ν while too little is known of a brand: predictions alone have to keep its target, at half its price. Bids
that are expected to just meet the target pass."""

UNKNOWN_RATE = 3.0
"""Per day's traffic: how fast ν goes there."""

USUAL_RATE = 3.0
"""Per day's traffic: how fast μ's mean follows μ."""

_SOME_CHARGES = 100.0  # where a brand has no past to tell


@dataclass(frozen=True)
class State:
    """What one minute leaves to the next. [brands], but for `minute`, the number of minutes since 1970.

    nu, mu: prices. usual: μ's mean over about the last day's traffic. night: the last one that was seen (a
    date's ordinal; 0: none yet). day: the budget day that share (of its expected traffic) and granted (all
    that was ever reserved of it) are of, as an ordinal; 0 for a brand not seen before. committed: what is
    gone of that day's budget. standing: `roas_status.Standing`. below: consecutive minutes below target.
    """

    minute: int
    nu: Array
    mu: Array
    usual: Array
    night: Numbers
    day: Numbers
    share: Array
    granted: Array
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
    none. granted: all that was ever reserved of the day's budget, None where nobody knows.
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
    granted: Array | None = None


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
    return State(0, *(nothing,) * 3, none, none, *(nothing,) * 3, unknown, none)


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
    makes up for it, in a step as bounded as any. With too little data ν goes to `UNKNOWN_NU`.
    Raises ValueError unless the minute is later than the state's.
    """
    if seen.minute <= state.minute:
        raise ValueError("a minute is steered once")
    probability = probability_under_target(seen.revenue, seen.cost, seen.conversions, seen.target)
    stands = standing(probability, state.standing)
    guarded = guarded_target(seen.target, UNSEEN_DAYS, seen.days_run)

    told = ~np.isnan(probability)
    readable = seen.active & ~np.isnan(seen.committed)
    known = readable & (state.day > 0) & (state.day <= seen.day)
    new_day = known & (seen.day > state.day)
    start = _start(state, seen, new_day)
    same = known & ~new_day
    before = np.where(same, np.minimum(state.share, seen.share), 0.0)
    passed = np.where(known, seen.share - before, 0.0)
    roas_passed = np.minimum(passed + np.where(new_day, 1.0 - state.share, 0.0), 1.0)
    # A reservation ends long before most conversions come, but what it was for will still be paid: what was
    # granted says so at once, and evenly, where charges come late and in lumps.
    granted = seen.committed if seen.granted is None else seen.granted
    committed = np.maximum(seen.committed, granted)
    committed_before = np.where(same, state.committed, 0.0)
    bought = granted - np.where(same, state.granted, 0.0)
    if seen.granted is not None:
        bought = np.maximum(bought, 0.0)  # less than before was granted: a ledger that forgot

    daily = np.where(told, seen.cost / np.maximum(seen.days_run, 1.0), 0.0)
    observation = Observation(
        share=np.divide(passed, 1.0 - before, out=np.zeros_like(passed), where=before < 1.0),
        left=1.0 - before,
        budget=seen.budget,
        spent=np.where(known, bought, 0.0),
        cost=daily * roas_passed,
        revenue=daily * roas_passed * _recent_roas(seen, told),
        spent_before=committed_before,
        slack_before=(seen.revenue - seen.target * seen.cost)
        / seen.window_days,  # what a day has to make good
        target=guarded,
        roas_share=roas_passed,
        roas_left=np.ones_like(passed),
    )
    prices = update(start, _anchor(start, seen, told), observation, step)
    prices = replace(prices, nu=np.where(told | ~known, prices.nu, _unknown(prices.nu, roas_passed, step)))

    consecutive = np.where(seen.minute == state.minute + 1, state.below, 0)
    below = np.where(stands == Standing.BELOW, consecutive + 1, 0)
    after = State(
        minute=seen.minute,
        nu=prices.nu,
        mu=prices.mu,
        usual=_usual(state, start, prices, passed),
        night=np.maximum(state.night, seen.night),
        day=np.where(readable, seen.day, state.day),
        share=np.where(readable, seen.share, state.share),
        granted=np.where(readable, granted, state.granted),
        committed=np.where(readable, committed, state.committed),
        standing=stands,
        below=below,
    )
    alert = below >= ALERT_MINUTES
    return after, Steered(prices.nu, prices.mu, guarded / seen.target, stands, probability, alert)


def _start(state: State, seen: Seen, new_day: Flags) -> Duals:
    """The prices to step from."""
    fresh = (seen.night > state.night) & (state.day == 0)
    return Duals(
        np.where(fresh, seen.night_nu, state.nu),
        np.where(fresh, seen.night_mu, np.where(new_day, state.usual, state.mu)),
    )


def _unknown(nu: Array, passed: Array, step: Descent) -> Array:
    """ν of a brand of which too little is known goes to `UNKNOWN_NU` with the traffic: what once held it back
    would else for ever keep it from showing that it does better now, and nothing would hold back others."""
    way = np.log((UNKNOWN_NU + SHIFT) / (nu + SHIFT)) * (1.0 - np.exp(-UNKNOWN_RATE * passed))
    moved: Array = (nu + SHIFT) * np.exp(np.clip(way, -step.largest, step.largest)) - SHIFT
    return np.maximum(moved, 0.0)


def _usual(state: State, start: Duals, prices: Duals, passed: Array) -> Array:
    """By traffic and not by time, and not the last price: a day's end is no measure for the next day."""
    before = np.where(state.day == 0, start.mu, state.usual)
    usual: Array = before + np.minimum(USUAL_RATE * passed, 1.0) * (prices.mu - before)
    return usual


def _anchor(start: Duals, seen: Seen, told: Flags) -> Anchor:
    """How far μ may stray from the night's price isn't known, so nothing holds it there."""
    earned = told & (seen.revenue > 0.0)
    limited = np.isfinite(seen.budget) & (seen.cost > 0.0)
    per_charge = np.divide(
        seen.impressions, seen.cost, out=np.zeros_like(seen.cost), where=limited & (seen.impressions > 0.0)
    )
    charges = np.where(limited, np.where(limited, seen.budget, 0.0) * per_charge, 0.0)
    charges = np.minimum(charges, charges**2 / FEW_CHARGES)
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
