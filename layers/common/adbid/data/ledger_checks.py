"""Whether the money adds up: in Redis by itself, and with what MySQL says was spent.

reserved of a day   = the sum of its open reservations                 (Redis)
spent in Redis      = `brand_day.spent`                                (both)
`brand_day.spent`   = the sum of what the day's events cost now        (MySQL)
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, func, select

from adbid.data import events
from adbid.data.database import Database
from adbid.data.ledger import KEPT, Difference, Ledger
from adbid.data.tables import brand_day, performance_event
from adbid.domain.money import to_micros

_MARGIN = timedelta(days=2)  # time zones, and clocks that are not quite right
_NEAR = timedelta(days=1)


def check(database: Database, ledger: Ledger, now: datetime) -> list[Difference]:
    """Every difference, for the days whose events are all kept and carry their budget's day.

    Reads while others write: what differs is looked up once more, and only what still differs is told. What
    lies in partitions that were lost and are not restored is left out, but for the database's own sums.
    """
    differences = set(_differences(database, ledger, now))
    if differences:
        differences &= set(_differences(database, ledger, now))
    return sorted(differences, key=lambda one: (one.brand_id, one.day, one.name, one.other))


def _differences(database: Database, ledger: Ledger, now: datetime) -> Iterator[Difference]:
    yield from ledger.check()
    alive = {one for one, life in zip(ledger.partitions, ledger.lives(), strict=True) if life is not None}
    accounts = ledger.accounts(ledger.days())
    with database.read() as connection:
        stored = _stored(connection, now)
        costs = _costs(connection, now)
    today = now.date()
    for key in {*accounts, *stored}:
        if ledger.partition(key[0]) not in alive:
            continue
        account, (spent, revision) = accounts.get(key), stored.get(key, (0, 0))
        if account is None:  # it keeps the last days, and after a loss it has the current ones again
            if spent and today - _NEAR <= key[1] <= today + _NEAR:
                yield Difference(*key, "spent in Redis", 0, "in brand_day", spent)
        elif account.spent != spent and key[1] >= (now - KEPT).date():
            yield Difference(*key, "spent in Redis", account.spent, "in brand_day", spent)
        elif account.revision > revision:
            yield Difference(*key, "revision in Redis", account.revision, "in brand_day", revision)
    since = _complete_since(database, now)
    for key in {*stored, *costs}:
        spent, _ = stored.get(key, (0, 0))
        if key[1] >= since and spent != costs.get(key, 0):
            yield Difference(*key, "spent in brand_day", spent, "of events", costs.get(key, 0))


def _stored(connection: Connection, now: datetime) -> dict[tuple[str, date], tuple[int, int]]:
    """What each day has spent, in micros, and its revision."""
    row = brand_day.c
    query = select(row.brand_id, row.day, row.spent, row.revision).where(row.day >= _oldest(now))
    return {
        (brand, day): (to_micros(spent), revision)
        for brand, day, spent, revision in connection.execute(query)
    }


def _costs(connection: Connection, now: datetime) -> dict[tuple[str, date], int]:
    """What the events booked on each day cost, in micros."""
    event = performance_event.c
    total = func.sum(event.current_cost, type_=event.current_cost.type)
    query = (
        select(event.brand_id, event.budget_day, total)
        .where(event.budget_day >= _oldest(now))
        .group_by(event.brand_id, event.budget_day)
    )
    return {(brand, day): to_micros(cost) for brand, day, cost in connection.execute(query)}


def _complete_since(database: Database, now: datetime) -> date:
    """The first day from which on all events are kept and say which day pays for them."""
    newest = select(func.max(performance_event.c.event_time)).where(performance_event.c.budget_day.is_(None))
    with database.read() as connection:
        undated = connection.execute(newest).scalar_one()
    return max(_oldest(now), (undated + _MARGIN).date()) if undated else _oldest(now)


def _oldest(now: datetime) -> date:
    return (now - events.KEPT + _MARGIN).date()
