"""How a brand is doing, in one word and a sentence with the numbers behind it."""

from dataclasses import dataclass
from typing import Literal

from adbid.domain.roas_status import BELOW_AT, MINIMUM_CONVERSIONS, Standing

Status = Literal["learning", "on_target", "limited_by_budget", "limited_by_roas", "paused", "unknown"]

ON_PACE = 0.95
"""Spend ÷ expected spend from which a brand with a price on its budget is held back by the budget."""

EXHAUSTED = 0.005
"""Of the budget: with less than this left, hardly a bid can be paid for."""

PRICED = 0.005
"""Of revenue per unit of cost: a smaller μ, or ν times the target, holds nothing back."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known of a brand. Money in `currency`; None where unknown.

    paused: by people. days_run: of the trailing `window_days`, how many had cost, counting the gaps between.
    below_probability: P(ROAS < target). standing: as the monitor has it. expected: spend due by now.
    lambda_: the ROAS under which bids are passed over. probe_share: of those, what is let through to keep
    learning.
    """

    currency: str
    paused: bool
    window_days: int
    days_run: float
    conversions: int
    roas: float | None
    target: float
    below_probability: float | None
    standing: Standing
    budget: float | None
    spent: float
    reserved: float | None
    expected: float | None
    nu: float
    mu: float
    lambda_: float
    probe_share: float


def status_of(brand: Condition) -> tuple[Status, str]:
    """The status, and why. In this order: a paused brand; one whose budget is used up, since nothing else
    can matter to it today; one with too little data, `learning` while the window isn't full yet and
    `unknown` after; one below its target; one that the budget holds back, and one that the target does, by
    whichever price weighs more; and all others, which are on target."""
    if brand.paused:
        return "paused", "The brand is paused: it takes part in no auction until it is active again."
    if _exhausted(brand):
        return "limited_by_budget", f"{_spend(brand)} The day's budget is used up."
    if brand.below_probability is None:
        return _too_little(brand)
    if brand.standing is Standing.BELOW:
        return "limited_by_roas", f"{_below(brand)} {_held(brand)}"
    for_target, for_budget = brand.nu * brand.target, brand.mu
    if for_budget >= PRICED and for_budget >= for_target and _on_pace(brand):
        return "limited_by_budget", f"{_spend(brand)} {_held(brand)}"
    if for_target >= PRICED and for_target >= for_budget:
        return "limited_by_roas", f"{_roas(brand)} {_held(brand)}"
    return "on_target", _roas(brand)


def _exhausted(brand: Condition) -> bool:
    if brand.budget is None:
        return False
    left = brand.budget - brand.spent - (brand.reserved or 0.0)
    return left <= EXHAUSTED * brand.budget


def _on_pace(brand: Condition) -> bool:
    return brand.expected is not None and brand.spent + (brand.reserved or 0.0) >= ON_PACE * brand.expected


def _too_little(brand: Condition) -> tuple[Status, str]:
    needed = f"{MINIMUM_CONVERSIONS:.0f} conversions are needed to tell its ROAS"
    if brand.days_run <= 0.0:
        return "learning", f"Nothing was spent in the last {brand.window_days} days; {needed}."
    had = f"{brand.conversions} conversion{'' if brand.conversions == 1 else 's'}"
    if brand.days_run < brand.window_days:
        return "learning", f"{had} in {_days(brand.days_run)} since it began to spend; {needed}."
    return "unknown", f"It has run all {brand.window_days} days of the window with {had}; {needed}."


def _spend(brand: Condition) -> str:
    budget, spent, reserved = brand.budget or 0.0, brand.spent, brand.reserved or 0.0
    words = f"{_money(brand, spent)} spent and {_money(brand, reserved)} reserved of {_money(brand, budget)}"
    if brand.expected:
        return f"{words}, {100 * spent / brand.expected:.0f} % of what the day's traffic makes due by now."
    return f"{words}."


def _below(brand: Condition) -> str:
    certain = f"with {_percent(brand.below_probability or 0.0)} certainty "
    if (brand.below_probability or 0.0) < BELOW_AT:  # it was below, and has not recovered yet
        certain = f"with {_percent(brand.below_probability or 0.0)} certainty still "
    return f"ROAS {_ratio(brand.roas)} is under its target {brand.target:.2f} {certain}{_data(brand)}."


def _roas(brand: Condition) -> str:
    above = 1.0 - (brand.below_probability or 0.0)
    words = f"ROAS {_ratio(brand.roas)} against its target {brand.target:.2f} {_data(brand)}"
    return f"{words}: {_percent(above)} certain to be at or above it."


def _held(brand: Condition) -> str:
    if brand.lambda_ <= 0.0:
        return "No bid is passed over for it yet."
    words = f"Bids under a ROAS of {brand.lambda_:.2f} are passed over"
    return (
        f"{words}, but for a probe share of {100 * brand.probe_share:.0f} %."
        if brand.probe_share
        else f"{words}."
    )


def _data(brand: Condition) -> str:
    return f"over {_days(min(brand.days_run, brand.window_days))} and {brand.conversions} conversions"


def _days(days: float) -> str:
    whole = max(1, round(days))
    return "1 day" if whole == 1 else f"{whole} days"


def _percent(share: float) -> str:
    """Never rounded to a certainty."""
    return f"{min(max(round(100.0 * share), 1), 99)} %"


def _ratio(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _money(brand: Condition, amount: float) -> str:
    return f"{amount:.2f} {brand.currency}"
