"""What a planner who knew every auction and every true rate could have earned: an upper bound.

The planner's linear program (each auction won once, each brand's local day within its budget, each brand's
whole run at its target or above) has millions of variables. By weak duality any prices bound it from above:

    Σ μ·budget + Σ over auctions of max(0, best bid's (1 + ν)·revenue − (ν·τ + μ)·cost)

so the least of these that a descent finds is a valid bound, whether or not it is the smallest. The greedy
assignment at its prices is what such a planner would about do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ITERATIONS = 250
FULL_ITERATIONS = 30
"""Of all auctions; the others see every eighth one."""

_NU_MAX, _MU_MAX, _SHIFT = 20.0, 30.0, 0.05
_FIRST_STEP, _LARGEST_STEP, _SMALLEST_STEP = 0.3, 0.5, 1e-4


@dataclass(frozen=True)
class Plan:
    """Rows are auctions, columns their bids. brand: of `target`; account: a brand's local day, of `budget`,
    which is infinite where there is none. revenue, cost: expected, at the true rates."""

    brand: NDArray[np.intp]
    account: NDArray[np.intp]
    revenue: Array
    cost: Array
    target: Array
    budget: Array

    def part(self, step: int) -> "Plan":
        """Every so-manieth auction, with budgets to match."""
        rows = slice(0, None, step)
        kept = len(self.brand[rows]) / len(self.brand)
        columns = (self.brand[rows], self.account[rows], self.revenue[rows], self.cost[rows])
        return Plan(*columns, self.target, self.budget * kept)


@dataclass(frozen=True)
class Bound:
    """value: the bound. nu: [brands], mu: [accounts], its prices. revenue, cost: [brands], what the greedy
    assignment at these prices earns and spends."""

    value: float
    nu: Array
    mu: Array
    revenue: Array
    cost: Array


def upper_bound(plan: Plan, iterations: int = ITERATIONS, full: int = FULL_ITERATIONS) -> Bound:
    """The least bound found: on a part of the auctions first, where it is cheap."""
    start = np.zeros(len(plan.target)), np.zeros(len(plan.budget))
    if len(plan.brand) > 10_000:
        found = _descend(plan.part(8), *start, iterations, _FIRST_STEP)
        return _descend(plan, found.nu, found.mu, full, 0.02)
    return _descend(plan, *start, iterations + full, _FIRST_STEP)


def _descend(plan: Plan, nu: Array, mu: Array, iterations: int, first: float) -> Bound:
    """Each price has a step of its own, which halves when its error turns, as `planning.solve`."""
    best: Bound | None = None
    limited = np.isfinite(plan.budget)
    step_nu, step_mu = np.full_like(nu, first), np.full_like(mu, first)
    sign_nu, sign_mu = np.zeros_like(nu), np.zeros_like(mu)
    rows = np.arange(len(plan.brand))
    for _ in range(iterations):
        price = (nu * plan.target)[plan.brand] + mu[plan.account]
        score = (1.0 + nu)[plan.brand] * plan.revenue - price * plan.cost
        column = np.argmax(score, axis=1)
        worth = score[rows, column]
        won = np.flatnonzero(worth > 0.0)
        place = won, column[won]
        cost, revenue = plan.cost[place], plan.revenue[place]
        spent = np.bincount(plan.account[place], cost, minlength=len(mu))
        by_brand = [np.bincount(plan.brand[place], value, minlength=len(nu)) for value in (cost, revenue)]
        value = float(worth[won].sum() + np.sum(mu[limited] * plan.budget[limited]))
        if best is None or value < best.value:
            best = Bound(value, nu, mu, by_brand[1], by_brand[0])
        short = plan.target * by_brand[0] - by_brand[1]
        error_nu = short / np.maximum(plan.target * by_brand[0], 1e-9)
        error_mu = np.where(limited, spent / np.maximum(plan.budget, 1e-9) - 1.0, -1.0)
        nu, step_nu, sign_nu = _moved(nu, error_nu, step_nu, sign_nu, _NU_MAX)
        mu, step_mu, sign_mu = _moved(mu, error_mu, step_mu, sign_mu, _MU_MAX)
        mu = np.where(limited, mu, 0.0)
    assert best is not None
    return best


def _moved(price: Array, error: Array, step: Array, sign: Array, top: float) -> tuple[Array, Array, Array]:
    turned = np.sign(error) * sign
    step = np.clip(
        step * np.where(turned > 0, 1.2, np.where(turned < 0, 0.5, 1.0)), _SMALLEST_STEP, _LARGEST_STEP
    )
    move = step * np.clip(10.0 * error, -1.0, 1.0)
    return np.clip((price + _SHIFT) * np.exp(move) - _SHIFT, 0.0, top), step, np.sign(error)
