"""The ledger's rules: what a win reserves, on which day it is booked, and when it ends.

Money is in whole micros of the brand's currency. One won bid is one impression. A reservation is granted
only while spent + reserved + cost ≤ budget, and ends exactly once: at its charging event, or when its time
is over. What is really paid is booked on the decision's budget day, however late it is heard of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from math import ceil
from typing import NamedTuple
from zoneinfo import ZoneInfo

CHARGED_BY = {"CPM": "impression", "CPC": "click", "CPA": "conversion"}
"""The event that a brand pays for, by pricing model."""

BUDGET_EXHAUSTED, LEDGER_UNAVAILABLE = "budget_exhausted", "ledger_unavailable"
"""Why a candidate that was next in line did not get its slot."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a brand may spend on `day`: `micros`, as of the brand's `version` (a newer one replaces it)."""

    day: date
    micros: int
    version: int


class Candidate(NamedTuple):
    """An eligible bid: its predicted cost, rounded up; `budget` is None where spend is not limited."""

    bid_id: str
    brand_id: str
    partner_id: str
    slot_id: str
    pricing_model: str
    day: date
    micros: int
    budget: Budget | None


@dataclass(frozen=True, eq=False, slots=True)
class Contenders:
    """Contests of candidates, the best first in each, in columns: a bundle has up to a thousand.

    `lengths`: how many of them belong to each contest. `limits`: micros a day, None where spend is not
    limited; `versions`: the brand's, as of which its limit holds.
    """

    lengths: Sequence[int]
    bids: Sequence[str]
    brands: Sequence[str]
    partners: Sequence[str]
    slots: Sequence[str]
    pricing_models: Sequence[str]
    days: Sequence[date]
    micros: Sequence[int]
    limits: Sequence[int | None]
    versions: Sequence[int]

    @classmethod
    def of(cls, contests: Iterable[Iterable[Candidate]]) -> "Contenders":
        """Of those that can be next in line: nobody comes after one whose brand's spend is not limited."""
        asked = [_asked(contest) for contest in contests]
        columns = zip(*[one for contest in asked for one in contest], strict=True)
        bids, brands, partners, slots, models, days, micros, budgets = columns if any(asked) else ((),) * 8
        limits = [None if budget is None else budget.micros for budget in budgets]
        versions = [0 if budget is None else budget.version for budget in budgets]
        return cls(
            [len(contest) for contest in asked],
            bids,
            brands,
            partners,
            slots,
            models,
            days,
            micros,
            limits,
            versions,
        )

    def contests(self) -> list[list[Candidate]]:
        """One by one."""
        budgets = [
            None if limit is None else Budget(day, limit, version)
            for day, limit, version in zip(self.days, self.limits, self.versions, strict=True)
        ]
        columns = (self.bids, self.brands, self.partners, self.slots, self.pricing_models, self.days)
        every = map(Candidate, *columns, self.micros, budgets)
        return [list(islice(every, length)) for length in self.lengths]


def _asked(contest: Iterable[Candidate]) -> list[Candidate]:
    asked = []
    for one in contest:
        asked.append(one)
        if one.budget is None:
            break
    return asked


@dataclass(frozen=True, slots=True)
class Won:
    """A bid that won its slot: what it reserved (0 without a budget), booked on the brand's `day`."""

    decision_id: str
    bid_id: str
    brand_id: str
    partner_id: str
    slot_id: str
    pricing_model: str
    day: date
    micros: int


@dataclass(frozen=True, slots=True)
class Account:
    """A brand's budget day as the ledger holds it. `granted` sums all that was ever reserved on it;
    `revision` counts the changes of `spent` in MySQL; `budget` is None before the first reservation."""

    brand_id: str
    day: date
    budget: int | None
    spent: int
    revision: int
    reserved: int
    granted: int

    @property
    def remaining(self) -> int | None:
        """What may still be reserved, never below 0; None without a budget."""
        return None if self.budget is None else max(0, self.budget - self.spent - self.reserved)

    @property
    def overrun(self) -> int:
        """What actual prices took beyond the budget."""
        return 0 if self.budget is None else max(0, self.spent - self.budget)


@dataclass(frozen=True)
class Lifetimes:
    """How long a reservation waits for its charging event, by pricing model.

    Longer than the usual delay, or money is promised twice; not much longer, or what will never be charged
    keeps the budget from being used.
    """

    cpm: timedelta = timedelta(minutes=5)
    cpc: timedelta = timedelta(minutes=30)
    cpa: timedelta = timedelta(hours=1)

    def of(self, pricing_model: str) -> timedelta:
        lifetime: timedelta = getattr(self, pricing_model.lower())
        return lifetime

    @property
    def longest(self) -> timedelta:
        """After this time nothing is open any more."""
        return max(self.cpm, self.cpc, self.cpa)


def holdback(
    budget: int,
    remaining: int,
    granted: int,
    bounds: tuple[datetime, datetime],
    taken: datetime | None,
    now: datetime,
    longest: timedelta,
) -> int:
    """The micros of a restored day that stay reserved for what its snapshot may miss.

    Twice what is spent at an even pace, or at the pace of `granted` if that is faster, in the time since
    the snapshot was `taken` (None: there was none), as far as what was reserved then can still be open.
    `bounds` are the day's.
    """
    start, end = bounds
    known = start if taken is None else min(max(taken, start), end)
    pace = budget / (end - start).total_seconds()
    if granted:
        pace = max(pace, granted / max((known - start).total_seconds(), 60.0))
    missed = (min(now, end) - max(known, now - longest)).total_seconds()
    return max(0, min(remaining, ceil(2 * pace * missed)))


def budget_day(at: datetime, timezone: str) -> date:
    """The day that `at` belongs to in an IANA time zone. Its 23, 24 or 25 hours all have the one budget."""
    return at.astimezone(_zone(timezone)).date()


def day_bounds(day: date, timezone: str) -> tuple[datetime, datetime]:
    """[start, end) of a budget day, in UTC."""
    zone = _zone(timezone)
    start, end = (
        datetime(one.year, one.month, one.day, tzinfo=zone) for one in (day, day + timedelta(days=1))
    )
    return start.astimezone(UTC), end.astimezone(UTC)


@lru_cache(maxsize=1024)
def _zone(timezone: str) -> ZoneInfo:
    return ZoneInfo(timezone)
