"""The ledger: what each brand's budget day has spent and promised, in Redis, in whole micros.

Reservations are granted and ended here, each step atomic within a partition (`adbid.data.ledger_scripts`).
What was spent is MySQL's (`brand_day`): ingest and the monitor put its newest revision here. A partition
that lost its keys says so by its missing `alive` mark, and promises nothing until it is restored
(`adbid.data.ledger_snapshots`). Money has no expiry in Redis: what has one may be evicted.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from adbid.data.ledger_calls import Outcome, Packer
from adbid.data.ledger_client import Client, Connection
from adbid.data.ledger_decisions import Decisions
from adbid.data.ledger_keys import (
    Partition,
    brand_day,
    member_of,
    milliseconds,
    moment,
    name_of,
    number_of,
    won_of_member,
    won_of_value,
)
from adbid.data.ledger_scripts import ADD_UP, FORGET, SETTLE, SWEEP
from adbid.data.wire import nothing
from adbid.domain.ledger import Account, Candidate, Contenders, Lifetimes, Won

__all__ = ["Difference", "Ledger", "Open", "Outcome", "Spent"]

T = TypeVar("T")

KEPT = timedelta(days=9)
"""How long a brand-day stays in Redis: longer than late events find their decision."""

_ACCOUNT = ("budget", "spent", "revision", "reserved", "granted")
_AT_ONCE = 50  # brand-days per script call, each with up to a thousand reservations: Redis serves nobody else
_PER_PIPELINE = 1_000


@dataclass(frozen=True, slots=True)
class Spent:
    """What MySQL says was spent on a brand's `day`, in micros, after so many changes."""

    brand_id: str
    day: date
    micros: int
    revision: int


@dataclass(frozen=True, slots=True)
class Open:
    """An open reservation, and when it ends unless it is charged. A holdback has no decision."""

    won: Won
    ends: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """Two numbers of a brand-day, in micros, that should be the same."""

    brand_id: str
    day: date
    name: str
    micros: int
    other: str
    other_micros: int


class Ledger:
    """`redis`: a client, or what makes one. Every method may raise redis.exceptions.RedisError: what was
    asked has then happened in part or not at all, and may be repeated. A budget above `ledger_keys.NEVER`
    micros counts as that."""

    def __init__(
        self,
        redis: Connection | Callable[[], Connection],
        *,
        partitions: int = 1,
        lifetimes: Lifetimes = Lifetimes(),  # noqa: B008 (immutable)
        decision_seconds: int = 600,
        won_seconds: int = 7 * 86_400,
    ) -> None:
        self.client = Client(redis)
        self.partitions = tuple(Partition.of(number, partitions) for number in range(partitions))
        self.lifetimes = lifetimes
        self.won_seconds = won_seconds
        packer = Packer(lifetimes)
        self._decisions = Decisions(self.client, self.partitions, packer, decision_seconds, won_seconds)

    def decide(
        self,
        decision_id: str,
        fingerprint: bytes,
        record: bytes,
        contests: Sequence[Sequence[Candidate]] | Contenders,
        now: datetime,
        meanwhile: Callable[[], None] = nothing,
    ) -> Outcome:
        """Reserves for each contest, in order, the first candidate whose brand can afford it.

        `fingerprint` stands for the request: repeated, it gets the first decision's outcome and `record`.
        Raises Conflict `decision_conflict` when the id was used for another request, `decision_expired`
        when the decision is too old to be repeated. `meanwhile` may be called while Redis is at work, more
        than once, or never.
        """
        asked = contests if isinstance(contests, Contenders) else Contenders.of(contests)
        if len(self.partitions) == 1:
            return self._decisions.at_once(decision_id, fingerprint, record, asked, now, meanwhile)
        return self._decisions.in_rounds(decision_id, fingerprint, record, asked.contests(), now)

    def preview(self, contests: Sequence[Sequence[Candidate]] | Contenders, now: datetime) -> Outcome:
        """What `decide` would answer now; nothing is written."""
        asked = contests if isinstance(contests, Contenders) else Contenders.of(contests)
        return self._decisions.preview(asked, now)

    def won(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Won]:
        """What bids won, by decision and bid; without those that won nothing, or too long ago."""
        found: dict[tuple[str, str], Won] = {}
        for some in _batches(dict.fromkeys(keys)):
            values = self.client.calls(
                ("HGET", self.partition(decision_id).won(decision_id), bid_id) for decision_id, bid_id in some
            )
            for key, value in zip(some, values, strict=True):
                if value is not None:
                    found[key] = won_of_value(*key, value)
        return found

    def settle(self, closed: Collection[Won], spent: Collection[Spent], now: datetime) -> None:
        """Ends the reservations of charged bids, and takes over what was spent where its revision is newer.

        What has ended before stays as it is. Days that are no longer kept here are left out.
        """
        oldest = _oldest(now)
        members: dict[str, list[str]] = defaultdict(list)
        totals: dict[str, Spent] = {}
        brands: dict[str, str] = {}
        for one in closed:
            if one.micros and one.day >= oldest:
                name = name_of(one.brand_id, one.day)
                brands[name] = one.brand_id
                members[name].append(member_of(one))
        for total in spent:
            if total.day >= oldest:
                name = name_of(total.brand_id, total.day)
                brands[name] = total.brand_id
                known = totals.setdefault(name, total)
                if total.revision > known.revision:
                    totals[name] = total
        for partition, names in self._grouped(brands):
            arguments: list[str | int] = []
            for name in names:
                new = totals.get(name)
                arguments += ("", "") if new is None else (new.micros, new.revision)
                arguments += (len(members[name]), *members[name])
            self.client.run(SETTLE, [partition.days, *_keys(partition, names)], arguments)

    def accounts(self, days: Collection[tuple[str, date]]) -> dict[tuple[str, date], Account]:
        """The account of each brand-day, empty where the ledger has never heard of it.

        `reserved` still has in it what is due but was not swept yet.
        """
        found = {}
        for some in _batches(dict.fromkeys(days)):
            answers = self.client.calls(
                ("HMGET", self.partition(brand_id).day(name_of(brand_id, day)), *_ACCOUNT)
                for brand_id, day in some
            )
            for (brand_id, day), values in zip(some, answers, strict=True):
                budget, *others = (None if value is None else int(value) for value in values)
                found[brand_id, day] = Account(brand_id, day, budget, *(other or 0 for other in others))
        return found

    def open(self, brand_id: str, day: date) -> list[Open]:
        """A brand-day's open reservations, the first to end first."""
        return self.opens([(brand_id, day)])[brand_id, day]

    def opens(self, days: Collection[tuple[str, date]]) -> dict[tuple[str, date], list[Open]]:
        """The open reservations of many brand-days."""
        found = {}
        for some in _batches(dict.fromkeys(days)):
            answers = self.client.calls(
                ("ZRANGE", self.partition(brand_id).open(name_of(brand_id, day)), 0, -1, "WITHSCORES")
                for brand_id, day in some
            )
            for one, members in zip(some, answers, strict=True):
                found[one] = [
                    Open(won_of_member(member.decode(), *one), moment(score)) for member, score in members
                ]
        return found

    def sweep(self, now: datetime) -> int:
        """Releases what is due, and forgets old days. How many reservations ended."""
        at, oldest, ended = milliseconds(now), _oldest(now).isoformat(), 0
        for partition in self.partitions:
            more: Any = True
            while more:
                due = self.client.call("ZRANGEBYSCORE", partition.days, "-inf", at, "LIMIT", 0, _AT_ONCE)
                names = [name.decode() for name in due]
                if names:
                    answer = self.client.run(SWEEP, [partition.days, *_keys(partition, names)], [at])
                    ended += answer[0]
                more = len(names) == _AT_ONCE or (names and answer[1])
            old = [name for name in self._names(partition) if name[-10:] < oldest]
            for some in _batches(old, _AT_ONCE):
                self.client.run(FORGET, [partition.days, *_keys(partition, some)])
        return ended

    def days(self) -> list[tuple[str, date]]:
        """The brands and days that the ledger holds."""
        return [brand_day(name) for partition in self.partitions for name in self._names(partition)]

    def alive(self) -> bool:
        """Whether all of it can be trusted: nothing was lost, or all was restored."""
        return None not in self.lives()

    def lives(self) -> list[bytes | None]:
        """Per partition a mark that changes when it was lost and restored; None while it can't be trusted."""
        return self.client.calls(("GET", partition.alive) for partition in self.partitions)

    def check(self) -> list[Difference]:
        """Where `reserved` isn't the sum of the open reservations: nowhere, at any time."""
        differences = []
        for partition in self.partitions:
            for names in _batches(self._names(partition), _AT_ONCE):
                sums = self.client.run(ADD_UP, _keys(partition, names))
                for name, reserved, total in zip(names, sums[::2], sums[1::2], strict=True):
                    if int(reserved) != int(total):
                        differences.append(
                            Difference(*brand_day(name), "reserved", int(reserved), "open", int(total))
                        )
        return differences

    def partition(self, text: str) -> Partition:
        """Where a brand or a decision lives."""
        return self.partitions[number_of(text, len(self.partitions))]

    def _grouped(self, brands: Mapping[str, str]) -> Iterator[tuple[Partition, list[str]]]:
        """Names of brand-days, with the partition that they are in, some at a time."""
        groups: dict[Partition, list[str]] = defaultdict(list)
        for name, brand_id in brands.items():
            groups[self.partition(brand_id)].append(name)
        for partition, names in groups.items():
            for some in _batches(names, _AT_ONCE):
                yield partition, some

    def _names(self, partition: Partition) -> list[str]:
        return [name.decode() for name in self.client.call("ZRANGE", partition.days, 0, -1)]


def _keys(partition: Partition, names: Iterable[str]) -> list[str]:
    return [key for name in names for key in (partition.day(name), partition.open(name))]


def _oldest(now: datetime) -> date:
    return (now - KEPT).date()


def _batches(items: Iterable[T], size: int = _PER_PIPELINE) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
