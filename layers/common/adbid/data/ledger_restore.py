"""A lost ledger's way back into Redis: one process at a time puts its days back, and marks it alive last.

A partition's lock lives in the partition. Whoever finds it gone, because Redis was emptied again, stops.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from redis.exceptions import RedisError

from adbid.data.ledger import Ledger, Open
from adbid.data.ledger_keys import NEVER, Partition, member_of, milliseconds, name_of, value_of
from adbid.data.ledger_scripts import PUT_BACK, REVIVE, UNLOCK
from adbid.domain.ledger import Won

_LOCK_MILLISECONDS = 30_000  # a restorer that shows no sign of life for so long is dead
_AT_ONCE = 100
_DECISIONS_AT_ONCE = 1_000


class Interrupted(Exception):
    """The lock is lost: Redis was emptied again, or this process was taken for dead."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A brand-day to put back. Without a `budget` it comes with the next call; `version` is the brand's."""

    brand_id: str
    day: date
    budget: int | None
    version: int
    spent: int
    revision: int
    granted: int
    open: Sequence[Open]

    @property
    def name(self) -> str:
        return name_of(self.brand_id, self.day)


class Restoration:
    """Puts days back into the partitions that are not alive and whose lock this process got."""

    def __init__(self, ledger: Ledger, partitions: Sequence[Partition], token: str) -> None:
        self._ledger = ledger
        self._token = token
        self.partitions = partitions

    def put_back(self, days: Iterable[Restored]) -> Iterator[int]:
        """Writes some days at a time, and says how many. Raises Interrupted."""
        groups: dict[Partition, list[Restored]] = defaultdict(list)
        for one in days:
            groups[self._ledger.partition(one.brand_id)].append(one)
        for partition in self.partitions:
            rest = iter(groups[partition])
            while some := list(islice(rest, _AT_ONCE)):
                self._write(partition, some)
                yield len(some)

    def remember(self, days: Iterable[Restored]) -> None:
        """Writes down again what was won and is still open: an event must find its decision."""
        won: dict[str, list[str]] = defaultdict(list)
        for one in days:
            for reservation in one.open:
                if reservation.won.decision_id:
                    won[reservation.won.decision_id] += (reservation.won.bid_id, value_of(reservation.won))
        rest = iter(won.items())
        while some := list(islice(rest, _DECISIONS_AT_ONCE)):
            commands: list[tuple[str | int, ...]] = []
            for decision_id, values in some:
                key = self._ledger.partition(decision_id).won(decision_id)
                commands += (("HSET", key, *values), ("EXPIRE", key, self._ledger.won_seconds))
            self._ledger.client.calls(commands)

    def revive(self) -> None:
        """Marks the partitions alive. Raises Interrupted, and those that were not marked stay dead."""
        for partition in self.partitions:
            if not self._ledger.client.run(REVIVE, [partition.lock, partition.alive], [self._token]):
                raise Interrupted

    def _write(self, partition: Partition, days: Sequence[Restored]) -> None:
        keys = [partition.lock, partition.days]
        arguments: list[str | int] = [self._token, _LOCK_MILLISECONDS]
        for one in days:
            keys += (partition.day(one.name), partition.open(one.name))
            arguments += ("" if one.budget is None else min(one.budget, NEVER), one.version)
            arguments += (one.spent, one.revision, one.granted, len(one.open))
            for reservation in one.open:
                arguments += (milliseconds(reservation.ends), member_of(reservation.won))
        if not self._ledger.client.run(PUT_BACK, keys, arguments):
            raise Interrupted


@contextmanager
def restoration(ledger: Ledger) -> Iterator[Restoration]:
    """For the partitions that need it and that no other process is restoring; lets go of them at the end."""
    token = secrets.token_hex(16)
    own: list[Partition] = []
    try:
        for partition, life in zip(ledger.partitions, ledger.lives(), strict=True):
            if life is None and ledger.client.call(
                "SET", partition.lock, token, "NX", "PX", _LOCK_MILLISECONDS
            ):
                own.append(partition)
        yield Restoration(ledger, own, token)
    finally:
        with suppress(RedisError):  # it expires by itself
            for partition in own:
                ledger.client.run(UNLOCK, [partition.lock], [token])


def holdback_of(brand_id: str, day: date, micros: int, ends: datetime) -> Open:
    """What stays reserved for reservations that nobody remembers.

    Its end stands for the bid: holdbacks of one sum, from losses soon after each other, are told apart.
    """
    return Open(Won("", str(milliseconds(ends)), brand_id, "", "", "", day, micros), ends)
