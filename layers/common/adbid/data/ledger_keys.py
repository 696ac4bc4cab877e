"""Names and texts of the ledger in Redis: its partitions, its keys, and what their values say.

A brand, with all its days, lives in one partition, and so does a decision. A partition is a hash tag, so
that on a Redis cluster every script finds its keys on one node. The number of partitions is part of the
tag: a ledger never takes the keys of another division for its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zlib import crc32

from adbid.domain.ledger import Won

SEPARATOR = "\x1f"  # ids have no control characters
NEVER = 2**53 - 1
"""The largest number that Redis' Lua counts with exactly, in micros some nine billion of a currency. It also
stands for the time at which nothing is due."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Partition:
    """The keys of one partition. `days` is a sorted set: its brand-days by when something may be due."""

    prefix: str
    alive: str
    days: str
    lock: str

    @classmethod
    def of(cls, number: int, partitions: int) -> "Partition":
        prefix = f"{{ledger:{number}/{partitions}}}:"
        return cls(prefix, f"{prefix}alive", f"{prefix}days", f"{prefix}restoring")

    # Scripts cut a brand-day's name from its key: what comes before is as long as `days`.
    def day(self, name: str) -> str:
        """A hash: budget, spent, reserved and granted in micros, version, revision, due in milliseconds."""
        return f"{self.prefix}day:{name}"

    def open(self, name: str) -> str:
        """A sorted set: the open reservations of a brand-day by when they end, in epoch milliseconds."""
        return f"{self.prefix}open:{name}"

    def decision(self, decision_id: str) -> str:
        """A hash: fingerprint, record, outcome; until the last is there, claim and contests."""
        return f"{self.prefix}decision:{decision_id}"

    def won(self, decision_id: str) -> str:
        """A hash: what each bid won."""
        return f"{self.prefix}won:{decision_id}"

    def verdicts(self, decision_id: str, claim: str) -> str:
        """A hash: what this partition said of each bid of an unfinished decision."""
        return f"{self.prefix}verdicts:{decision_id}:{claim}"


def number_of(text: str, partitions: int) -> int:
    """The partition that a brand or a decision belongs to."""
    return crc32(text.encode()) % partitions if partitions > 1 else 0


def name_of(brand_id: str, day: date) -> str:
    """A brand-day in keys and texts."""
    return f"{brand_id}{SEPARATOR}{day.isoformat()}"


def brand_day(name: str) -> tuple[str, date]:
    """What `name_of` was given."""
    brand_id, _, day = name.partition(SEPARATOR)
    return brand_id, date.fromisoformat(day)


def milliseconds(at: datetime) -> int:
    """Since 1970, rounded down."""
    return (at - _EPOCH) // _MILLISECOND


def moment(since: float) -> datetime:
    """The time of so many milliseconds since 1970."""
    return _EPOCH + since * _MILLISECOND


def member_of(won: Won) -> str:
    """A reservation, as it stands in its brand-day's open ones."""
    return SEPARATOR.join((won.decision_id, won.bid_id, _tail(won)))


def won_of_member(member: str, brand_id: str, day: date) -> Won:
    """The reservation that a member of a brand-day's open ones is."""
    decision_id, bid_id, micros, partner_id, slot_id, pricing_model = member.split(SEPARATOR)
    return Won(decision_id, bid_id, brand_id, partner_id, slot_id, pricing_model, day, int(micros))


def value_of(won: Won) -> str:
    """A won bid, as it stands in its decision's record."""
    return SEPARATOR.join((_tail(won), name_of(won.brand_id, won.day)))


def won_of_value(decision_id: str, bid_id: str, value: bytes) -> Won:
    """What `value_of` was given."""
    micros, partner_id, slot_id, pricing_model, brand_id, day = value.decode().split(SEPARATOR)
    return Won(
        decision_id,
        bid_id,
        brand_id,
        partner_id,
        slot_id,
        pricing_model,
        date.fromisoformat(day),
        int(micros),
    )


def _tail(won: Won) -> str:
    return SEPARATOR.join((str(won.micros), won.partner_id, won.slot_id, won.pricing_model))


def decoded(stored: Mapping[Any, Any]) -> dict[str, str]:
    """A hash of texts."""
    return {name.decode(): value.decode() for name, value in stored.items()}
