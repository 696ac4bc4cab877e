"""The ledger as plain Python, and candidates for its tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from adbid.domain.ledger import BUDGET_EXHAUSTED, Budget, Candidate, Lifetimes

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
DAY = date(2026, 11, 20)

Contests = Sequence[Sequence[Candidate]]
BrandDay = tuple[str, date]


def candidate(
    bid: str,
    brand: str,
    micros: int,
    budget: int | None = 100,
    *,
    version: int = 1,
    slot: str = "slot",
    pricing_model: str = "CPC",
    day: date = DAY,
) -> Candidate:
    """A bid of a brand whose day has that budget."""
    limit = None if budget is None else Budget(day, budget, version)
    return Candidate(bid, brand, "partner", slot, pricing_model, day, micros, limit)


@dataclass
class Account:
    """A brand-day. `open`: by (decision, bid), what is reserved and when that ends."""

    budget: int = 0
    version: int = -1
    spent: int = 0
    revision: int = 0
    granted: int = 0
    open: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    charged: int = 0
    """How many reservations ended by being charged."""
    expired: int = 0
    """How many ended because nobody did."""

    @property
    def reserved(self) -> int:
        return sum(micros for micros, _ in self.open.values())

    def release(self, now: datetime) -> int:
        """Ends what is due; how many."""
        due = [key for key, (_, ends) in self.open.items() if ends <= now]
        for key in due:
            del self.open[key]
        self.expired += len(due)
        return len(due)

    def note(self, budget: Budget) -> None:
        """Takes over a newer budget."""
        if budget.version > self.version:
            self.budget, self.version = budget.micros, budget.version


class Model:
    """Decides as the ledger must, one decision at a time."""

    def __init__(self, lifetimes: Lifetimes | None = None) -> None:
        self.lifetimes = lifetimes or Lifetimes()
        self.accounts: dict[BrandDay, Account] = {}

    def account(self, brand: str, day: date = DAY) -> Account:
        return self.accounts.setdefault((brand, day), Account())

    def decide(
        self, decision: str, contests: Contests, now: datetime
    ) -> tuple[tuple[int, ...], tuple[tuple[str, ...], ...]]:
        """Wins and refusals, as `Outcome` has them."""
        wins, refused = [], []
        for contest in contests:
            win, codes = -1, []
            for place, one in enumerate(contest):
                if one.budget is None or self._grant(decision, one, one.budget, now):
                    win = place
                    break
                codes.append(BUDGET_EXHAUSTED)
            wins.append(win)
            refused.append(tuple(codes))
        return tuple(wins), tuple(refused)

    def _grant(self, decision: str, one: Candidate, budget: Budget, now: datetime) -> bool:
        account = self.account(one.brand_id, one.day)
        account.note(budget)
        account.release(now)
        if account.spent + account.reserved + one.micros > account.budget:
            return False
        if one.micros:
            ends = now + self.lifetimes.of(one.pricing_model)
            account.open[decision, one.bid_id] = (one.micros, ends)
            account.granted += one.micros
        return True

    def charge(self, decision: str, bid: str, brand: str, day: date) -> None:
        """The charging event has come."""
        account = self.account(brand, day)
        if account.open.pop((decision, bid), None):
            account.charged += 1

    def sweep(self, now: datetime) -> int:
        return sum(account.release(now) for account in self.accounts.values())


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)
