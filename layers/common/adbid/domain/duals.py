"""The brands' dual prices: ν ≥ 0 of the ROAS target, μ ≥ 0 of the budget, λ = (ν·τ + μ) / (1 + ν).

The portfolio earns most where every bid counts for (1 + ν)·(revenue − λ·cost): Lagrange relaxes, per brand,
Σ cost ≤ budget and Σ revenue ≥ τ·Σ cost. Between two nightly solves (`adbid.domain.planning`) the prices
follow what happens by online mirror descent: Balseiro, Lu & Mirrokni, "The best of many worlds: dual mirror
descent for online allocation problems", Operations Research 71 (2023), for budgets; Feng, Padmanabhan & Wang,
"Online bidding algorithms for return-on-spend constrained advertisers", WWW 2023, for ROAS. What is due is
counted from what is left, as resolving does (Jasin & Kumar 2012; Agrawal, Wang & Ye 2014).

Arrays run over brands. Money is in each brand's currency, ν, λ and μ in revenue per unit of cost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NU_MAX = 3.0
"""A unit of revenue missing to the target is never worth more than this: with no way to reach it, the
brand still buys what earns nearly the target, and recovers instead of standing still."""

SHIFT = 0.05
"""Of `scale`: the mirror map's origin, so that a price of 0 can rise again."""

_NOTHING = 1e-12


@dataclass(frozen=True)
class Duals:
    """[brands]: the prices that bids are scored with."""

    nu: Array
    mu: Array

    @property
    def weight(self) -> Array:
        """1 + ν."""
        return 1.0 + self.nu

    def lambda_(self, target: Array) -> Array:
        """λ, given the ROAS that is steered to (the brand's target, or more: `guarded_target`)."""
        return (self.nu * target + self.mu) / (1.0 + self.nu)


@dataclass(frozen=True)
class Anchor:
    """[brands]: what the nightly solve says of the horizon.

    duals: its prices. trust: μ's standard error, from solves of parts of the replay (`standard_error`);
    infinite where nothing is known. scale: revenue per unit of cost of what the brand may buy.
    charges: how many charges its budget is expected to pay for.
    """

    duals: Duals
    trust: Array
    scale: Array
    charges: Array


@dataclass(frozen=True)
class Observation:
    """[brands]: the time since the last update, and the horizon as it stood before it.

    share: of the horizon's traffic expected then to be still to come, how much is over now: 0 to 1.
    left: the same of the whole horizon's traffic: 1 at its start. budget: the horizon's, infinite without.
    spent, cost, revenue: since the last update; cost and revenue count for ROAS, whenever they were spent.
    spent_before, slack_before: at the last update, in the horizon: spend, and revenue − target·cost.
    target: the ROAS steered to, 0 without one. roas_share, roas_left: the same as share and left where the
    horizon that ROAS is kept over isn't the budget's.
    """

    share: Array
    left: Array
    budget: Array
    spent: Array
    cost: Array
    revenue: Array
    spent_before: Array
    slack_before: Array
    target: Array
    roas_share: Array | None = None
    roas_left: Array | None = None


@dataclass(frozen=True)
class Descent:
    """How prices move. gain: of 1/√charges, the classic step. largest: of one update, in logs.

    nu_gain: the step for a horizon at zero revenue. release: a falling ν's step, of a rising one's.
    dead_band: relative ROAS error that leaves ν alone. width: trust in standard errors.
    """

    gain: float = 0.5
    largest: float = 0.05
    nu_gain: float = 10.0
    release: float = 0.5
    dead_band: float = 0.01
    width: float = 2.0


def update(state: Duals, anchor: Anchor, seen: Observation, descent: Descent | None = None) -> Duals:
    """The next prices, per brand. Where no traffic was expected nothing moves.

    Nothing is integrated but what really happened, and prices are projected after every step, so there is
    no wind-up: a price leaves its bound as soon as the error changes its sign.
    """
    descent = descent or Descent()
    share = seen.share if seen.roas_share is None else seen.roas_share
    left = seen.left if seen.roas_left is None else seen.roas_left
    mu = _budget_step(state.mu, anchor, seen, descent)
    nu = _roas_step(state.nu, seen, share, left, descent)
    return Duals(np.where(share > 0.0, nu, state.nu), np.where(seen.share > 0.0, mu, state.mu))


def _budget_step(mu: Array, anchor: Anchor, seen: Observation, descent: Descent) -> Array:
    limited = np.isfinite(seen.budget)
    budget = np.where(limited, np.maximum(seen.budget, _NOTHING), 1.0)
    due = np.maximum(budget - seen.spent_before, 0.0) * seen.share
    excess = (seen.spent - due) / budget
    moved = _mirror(mu, descent.gain * np.sqrt(anchor.charges) * excess, anchor.scale, descent.largest)
    # What is left to correct in gets shorter, so what is left to correct may get larger.
    radius = descent.width * anchor.trust / np.sqrt(np.maximum(seen.left * (1.0 - seen.share), 1e-6))
    near: Array = np.clip(moved, np.maximum(anchor.duals.mu - radius, 0.0), anchor.duals.mu + radius)
    return np.where(limited, near, 0.0)


def _roas_step(nu: Array, seen: Observation, share: Array, left: Array, descent: Descent) -> Array:
    wanted = seen.target > 0.0
    # The slack so far is to be used up, or made good, evenly over the traffic to come.
    missing = seen.target * seen.cost - seen.revenue - seen.slack_before * share
    error = missing / np.maximum(seen.target * seen.cost, _NOTHING)
    quiet = np.abs(error) <= descent.dead_band
    gain = np.where(error > 0.0, descent.nu_gain, descent.nu_gain * descent.release)
    step = np.where(quiet | (seen.cost <= 0.0), 0.0, gain * share * left * np.clip(error, -1.0, 1.0))
    moved = _mirror(nu, step, np.ones_like(nu), descent.largest)
    return np.where(wanted, np.minimum(moved, NU_MAX), 0.0)


def _mirror(price: Array, step: Array, scale: Array, largest: float) -> Array:
    """A step of mirror descent with the shifted entropy, (p + ε)·log(p + ε): multiplicative, 0 included."""
    shift = SHIFT * scale
    return np.maximum((price + shift) * np.exp(np.clip(step, -largest, largest)) - shift, 0.0)


def standard_error(parts: Array) -> Array:
    """[brands], of a price solved on a whole, from the prices [parts, brands] of its equal parts.

    With fewer than two parts infinite: then nothing holds the price back.
    """
    if len(parts) < 2:
        return np.full(parts.shape[1:], np.inf)
    spread: Array = parts.std(axis=0, ddof=1) / np.sqrt(len(parts))
    return spread


LEVEL_DRIFT = 0.08
"""Per day: how far a market's revenue per cost strays, relative. Calm ones stray less, so this is caution."""

NEXT_DAY = 0.5
"""Squared daily steps that the next day strays by itself, however little of the horizon is left."""

FRESH_CAUTION = 0.4
"""How much more than its target a brand is asked for at a horizon's start; it halves every day."""


def guarded_target(target: Array, days_left: Array | float, days_run: Array | float) -> Array:
    """The ROAS to steer to with `days_left` of the horizon to come after `days_run`: at least the target.

    The mean of a random walk over T days strays by about √(T/3) daily steps, and single days besides.
    Breaking a target costs more than keeping it too well, and slack that was saved is spent later: so ask
    for what holds if the market falls that far, and at first, before anything was seen to hold, for more.
    Raises ValueError on negative days.
    """
    if np.any(np.less(days_left, 0.0)) or np.any(np.less(days_run, 0.0)):
        raise ValueError("days must not be negative")
    caution = LEVEL_DRIFT * np.sqrt(NEXT_DAY + days_left / 3.0) + FRESH_CAUTION * 0.5 ** np.asarray(days_run)
    guarded: Array = target * (1.0 + caution)
    return guarded


SURPRISE_NOISE = 0.15
"""A day's usual error of a brand's predicted revenue, in logs: less than this is mostly noise."""

SURPRISE_KEPT = 0.6
"""Of a real jump, how much tomorrow's predictions will still lack: they learn the rest by themselves."""


def correction(predicted: Array, actual: Array, payments: Array | None = None) -> Array:
    """[brands]: what to multiply predicted revenue with, from the last day's predicted and actual revenue.

    The posterior mean of a jump under a heavy-tailed prior: small surprises are noise and change nothing,
    large ones are believed (Masreliez, "Approximate non-Gaussian filtering", IEEE TAC 20, 1975). `payments`
    [brands], how many events paid, make few of them count as noise. 1 where there is nothing to compare.
    """
    known = (predicted > 0.0) & (actual >= 0.0)
    floor = np.where(known, predicted, 1.0) * 0.05  # a day without revenue is a large surprise, not infinite
    surprise = np.log(np.where(known, np.maximum(actual, floor), 1.0) / np.where(known, predicted, 1.0))
    noise = np.full_like(surprise, SURPRISE_NOISE**2)
    if payments is not None:
        noise += 1.0 / np.maximum(payments, 1.0)
    believed = surprise**2 / (surprise**2 + noise)
    factors: Array = np.exp(SURPRISE_KEPT * believed * surprise)
    return factors
