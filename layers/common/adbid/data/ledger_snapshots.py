"""Snapshots of the ledger in MySQL, and the way back from them.

Every minute the open reservations of the days that changed are stored; what was spent is in `brand_day`
anyway. When Redis was lost, both make the ledger again. What was reserved after the snapshot is unknown then:
as much of the budget as that may be is held back until it can no longer be open.
"""

import logging
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import Connection, delete, select

from adbid.data.database import Database, upsert
from adbid.data.ledger import KEPT, Ledger, Open
from adbid.data.ledger_keys import member_of, milliseconds, moment, won_of_member
from adbid.data.ledger_restore import Interrupted, Restored, holdback_of, restoration
from adbid.data.tables import brand, brand_day, ledger_snapshot
from adbid.domain.errors import Unavailable
from adbid.domain.ledger import Account, budget_day, day_bounds, holdback
from adbid.domain.money import from_micros, to_micros

logger = logging.getLogger(__name__)

_NOBODY = ""
"""No brand has this id: its row says when the last snapshot of all was taken, also if nothing had changed,
and what the partitions' marks of life were then."""

_RECENT = timedelta(days=2)  # somewhere it is still yesterday, and yesterday's reservations may be open
_ROWS_PER_WRITE = 1_000
_LINE = "\x1e"  # between reservations; within one it is the keys' separator
_MARK = b"\n"  # between marks of life

BrandDay = tuple[str, date]


def take(database: Database, ledger: Ledger, now: datetime) -> int:
    """Stores what changed since the last time, and forgets old days; how many days changed.

    Days of a partition that is not alive keep their last good snapshot. Raises Unavailable, RedisError.
    """
    before = ledger.lives()
    since = (now - _RECENT).date()
    accounts = ledger.accounts([day for day in ledger.days() if day[1] >= since])
    with database.read() as connection:
        known, marks = _known(connection, since)
    # What was restored since then has holdbacks: reserved, but never granted.
    same = {one for one, life, mark in zip(ledger.partitions, before, marks, strict=False) if life == mark}
    changed = [
        day
        for day, account in accounts.items()
        if known.get(day, _NOTHING) != _state(account)
        or (day in known and ledger.partition(day[0]) not in same)
    ]
    opened = ledger.opens(changed)
    lives = zip(ledger.partitions, before, ledger.lives(), strict=True)
    sound = {partition for partition, first, then in lives if first == then is not None}
    rows = [_row(accounts[day], opened[day], now) for day in changed if ledger.partition(day[0]) in sound]
    stored = len(rows)
    if len(sound) == len(ledger.partitions):
        nothing = Account(_NOBODY, now.date(), None, 0, 0, 0, 0)
        rows.append({**_row(nothing, [], now), "reservations": _MARK.join(filter(None, before))})
    for start in range(0, len(rows), _ROWS_PER_WRITE):
        database.transaction(partial(_write, rows=rows[start : start + _ROWS_PER_WRITE]))
    database.transaction(partial(_forget, before=(now - KEPT).date()))
    return stored


def restore(database: Database, ledger: Ledger, now: datetime, deadline: float | None = None) -> bool:
    """Whether the ledger is alive, made again from its snapshot if need be.

    False when that can't be had now: another process is at it, `deadline` (of time.monotonic) is over, or
    the database or Redis is down. What was not restored to its end stays dead.
    """
    try:
        with restoration(ledger) as work:
            if work.partitions:
                with database.read() as connection:
                    days = list(_to_restore(connection, ledger, now))
                work.remember(days)
                for _ in work.put_back(days):
                    if deadline is not None and time.monotonic() > deadline:
                        raise Interrupted
                work.revive()
                logger.info("restored %d days of the ledger", len(days))
        return ledger.alive()
    except (Interrupted, Unavailable, RedisError) as error:
        logger.warning("the ledger is not restored: %s", error or type(error).__name__)
        return False


@dataclass(frozen=True, slots=True)
class _Snapshot:
    taken_at: datetime
    budget: int | None
    granted: int
    open: list[Open]


def _to_restore(connection: Connection, ledger: Ledger, now: datetime) -> Iterator[Restored]:
    since = (now - _RECENT).date()
    taken, snapshots = _snapshots(connection, since, now)
    spent = _spent(connection, since)
    limits = _limits(connection, now)
    # Nothing can be missing of a ledger that never was.
    fresh = taken is None and not snapshots and not any(micros for micros, _ in spent.values())
    longest = ledger.lifetimes.longest
    for key in sorted({*snapshots, *spent, *limits}):
        snapshot = snapshots.get(key)
        micros, revision = spent.get(key, (0, 0))
        budget, version, granted, last = None, 0, 0, taken
        reserved: list[Open] = []
        if snapshot is not None:
            budget, granted, reserved = snapshot.budget, snapshot.granted, list(snapshot.open)
            last = max(taken or snapshot.taken_at, snapshot.taken_at)
        if key in limits and not fresh:
            budget, version, bounds = limits[key]
            remaining = budget - micros - sum(one.won.micros for one in reserved)
            held = holdback(budget, remaining, granted, bounds, last, now, longest)
            if held:
                reserved.append(holdback_of(*key, held, now + longest))
        yield Restored(*key, budget, version, micros, revision, granted, reserved)


def _known(
    connection: Connection, since: date
) -> tuple[dict[BrandDay, tuple[int | None, int, int]], list[bytes]]:
    """What the snapshot says of each day, budget, reserved, granted; and the partitions' marks of life."""
    row = ledger_snapshot.c
    query = select(row.brand_id, row.day, row.budget, row.reserved, row.granted).where(row.day >= since)
    last = select(row.reservations).where(row.brand_id == _NOBODY, row.day >= since).order_by(row.day.desc())
    known = {
        (brand_id, day): (_micros(budget), to_micros(reserved), to_micros(granted))
        for brand_id, day, budget, reserved, granted in connection.execute(query)
    }
    return known, (connection.execute(last.limit(1)).scalar() or b"").split(_MARK)


_NOTHING = (None, 0, 0)


def _state(account: Account) -> tuple[int | None, int, int]:
    """Between losses, equal sums granted and reserved are equal reservations: each is more than nothing."""
    return (account.budget, account.reserved, account.granted)


def _snapshots(
    connection: Connection, since: date, now: datetime
) -> tuple[datetime | None, dict[BrandDay, _Snapshot]]:
    """When the last snapshot was taken, and what it says of each day. What is due by now is left out."""
    row = ledger_snapshot.c
    query = select(row.brand_id, row.day, row.taken_at, row.budget, row.granted, row.reservations)
    found = {}
    taken = None
    for brand_id, day, taken_at, budget, granted, packed in connection.execute(query.where(row.day >= since)):
        if brand_id == _NOBODY:
            taken = max(taken or taken_at, taken_at)
            continue
        open_now = [one for one in _unpacked(brand_id, day, packed) if one.ends > now]
        found[brand_id, day] = _Snapshot(taken_at, _micros(budget), to_micros(granted), open_now)
    return taken, found


def _spent(connection: Connection, since: date) -> dict[BrandDay, tuple[int, int]]:
    """Micros and revision."""
    row = brand_day.c
    query = select(row.brand_id, row.day, row.spent, row.revision).where(row.day >= since)
    return {
        (brand_id, day): (to_micros(spent), revision)
        for brand_id, day, spent, revision in connection.execute(query)
    }


def _limits(
    connection: Connection, now: datetime
) -> dict[BrandDay, tuple[int, int, tuple[datetime, datetime]]]:
    """Today's budgets: micros, the brand's version, and the day's bounds."""
    row = brand.c
    query = select(row.id, row.timezone, row.daily_budget, row.version).where(row.daily_budget.is_not(None))
    days: dict[str, tuple[date, tuple[datetime, datetime]]] = {}
    found = {}
    for brand_id, timezone, budget, version in connection.execute(query):
        if timezone not in days:
            day = budget_day(now, timezone)
            days[timezone] = day, day_bounds(day, timezone)
        day, bounds = days[timezone]
        found[brand_id, day] = to_micros(budget), version, bounds
    return found


def _row(account: Account, reservations: Collection[Open], now: datetime) -> Mapping[str, Any]:
    return {
        "brand_id": account.brand_id,
        "day": account.day,
        "taken_at": now,
        "budget": None if account.budget is None else from_micros(account.budget),
        "reserved": from_micros(sum(one.won.micros for one in reservations)),
        "granted": from_micros(account.granted),
        "reservations": _packed(reservations),
    }


def _write(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    upsert(
        connection,
        ledger_snapshot,
        rows,
        replace=("taken_at", "budget", "reserved", "granted", "reservations"),
    )


def _forget(connection: Connection, before: date) -> None:
    connection.execute(delete(ledger_snapshot).where(ledger_snapshot.c.day < before))


def _packed(reservations: Collection[Open]) -> bytes:
    lines = (f"{milliseconds(one.ends)} {member_of(one.won)}" for one in reservations)
    return zlib.compress(_LINE.join(lines).encode(), 1)


def _unpacked(brand_id: str, day: date, packed: bytes) -> Iterator[Open]:
    for line in filter(None, zlib.decompress(packed).decode().split(_LINE)):
        ends, _, member = line.partition(" ")
        yield Open(won_of_member(member, brand_id, day), moment(int(ends)))


def _micros(amount: Decimal | None) -> int | None:
    return None if amount is None else to_micros(amount)
