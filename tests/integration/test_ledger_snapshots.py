"""The ledger comes back from its snapshot, less what the snapshot may miss, however often it is lost."""

import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from redis import Redis
from sqlalchemy import Connection, insert, select

from adbid.data import ledger_snapshots
from adbid.data.database import Database
from adbid.data.ledger import Ledger
from adbid.data.tables import brand, brand_strategy, ledger_snapshot, metadata
from adbid.domain.errors import Conflict
from adbid.domain.ledger import Account
from tests.support.ledger_model import DAY, NOW, candidate, minutes
from tests.support.servers import fresh_database
from tests.support.world import BRAND, STRATEGY

BUDGET = 86_400
"""In micros: at an even pace one a second, so that a holdback is two for each second that is missed."""


@pytest.fixture
def database() -> Iterator[Database]:
    """`b` and `c` may each spend `BUDGET` a day."""
    history = {"version": 1, "created_at": NOW, "updated_at": NOW}

    def write(connection: Connection) -> None:
        connection.execute(
            insert(brand_strategy).values(id="s", name="s", vpi_multiplier=1, **STRATEGY, **history)
        )
        limited = {**BRAND, "strategy_id": "s", "daily_budget": Decimal("0.0864"), **history}
        connection.execute(insert(brand), [{**limited, "id": one, "name": one} for one in "bc"])

    with fresh_database("sqlite://") as url, Database(url) as made:
        metadata.create_all(made.engine)
        made.transaction(write)
        yield made


@pytest.fixture
def ledger(redis_client: Redis, database: Database) -> Iterator[Ledger]:
    """Three partitions; b and c lie in two of them."""
    made = Ledger(redis_client, partitions=3)
    assert made.partition("b") != made.partition("c")
    assert ledger_snapshots.restore(database, made, NOW)  # it never was, so that nothing can be missing
    yield made
    assert made.check() == []


def reserved(ledger: Ledger, brand_id: str = "b") -> int:
    return account(ledger, brand_id).reserved


def account(ledger: Ledger, brand_id: str = "b") -> Account:
    return ledger.accounts([(brand_id, DAY)])[brand_id, DAY]


def test_what_was_open_is_open_again_and_what_may_be_missing_is_held_back(
    ledger: Ledger, database: Database, redis_client: Redis
) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 500, BUDGET)]], NOW)
    assert ledger_snapshots.take(database, ledger, NOW) == 1
    ledger.decide("e", b"f", b"", [[candidate("1", "b", 90, BUDGET)]], NOW + minutes(0.5))
    won = ledger.won([("d", "1")])
    redis_client.flushdb()
    assert ledger_snapshots.restore(database, ledger, NOW + minutes(1))
    assert ledger.won([("d", "1"), ("e", "1")]) == won
    assert account(ledger) == Account("b", DAY, BUDGET, 0, 0, 500 + 120, 500)
    assert account(ledger, "c") == Account("c", DAY, BUDGET, 0, 0, 120, 0)
    first, held = ledger.open("b", DAY)
    assert (first.won, first.ends) == (won["d", "1"], NOW + minutes(30))
    assert (held.won.decision_id, held.won.micros, held.ends) == ("", 120, NOW + minutes(61))


def test_equal_holdbacks_of_two_losses_are_two(
    ledger: Ledger, database: Database, redis_client: Redis
) -> None:
    for number in range(2):
        ledger_snapshots.take(database, ledger, NOW + minutes(number))
        redis_client.flushdb()
        assert ledger_snapshots.restore(database, ledger, NOW + minutes(number + 1))
    assert reserved(ledger) == 240
    ends = [one.ends for one in ledger.open("b", DAY)]
    assert ends == [NOW + minutes(61), NOW + minutes(62)]


def test_a_holdback_as_large_as_one_that_is_over_gets_into_the_snapshot(
    ledger: Ledger, database: Database, redis_client: Redis
) -> None:
    now = NOW
    for _ in range(2):  # an hour is missed, two a second: held for an hour, both times
        ledger_snapshots.take(database, ledger, now)
        now += minutes(60)
        redis_client.flushdb()
        assert ledger_snapshots.restore(database, ledger, now)
        ledger.sweep(now)
        assert reserved(ledger) == 7_200
    ledger_snapshots.take(database, ledger, now)
    redis_client.flushdb()
    assert ledger_snapshots.restore(database, ledger, now + minutes(1))
    assert reserved(ledger) == 7_200 + 120


def test_a_decision_whose_wins_came_back_is_not_made_again(
    ledger: Ledger, database: Database, redis_client: Redis
) -> None:
    contests = [[candidate("1", "b", 500, BUDGET)]]
    ledger.decide("d", b"f", b"", contests, NOW)
    ledger_snapshots.take(database, ledger, NOW)
    redis_client.flushdb()
    assert ledger_snapshots.restore(database, ledger, NOW)
    with pytest.raises(Conflict) as refused:
        ledger.decide("d", b"f", b"", contests, NOW)
    assert refused.value.code == "decision_expired"
    assert reserved(ledger) == 500


def test_only_what_changed_is_stored(ledger: Ledger, database: Database) -> None:
    contests = [[candidate("1", "b", 5, BUDGET)], [candidate("2", "c", 5, BUDGET)]]
    ledger.decide("d", b"f", b"", contests, NOW)
    assert ledger_snapshots.take(database, ledger, NOW) == 2
    assert ledger_snapshots.take(database, ledger, NOW + minutes(1)) == 0
    ledger.settle(ledger.won([("d", "1")]).values(), [], NOW)
    assert ledger_snapshots.take(database, ledger, NOW + minutes(2)) == 1
    row = ledger_snapshot.c
    with database.read() as connection:
        taken = dict(connection.execute(select(row.brand_id, row.taken_at)).all())
    assert taken == {"": NOW + minutes(2), "b": NOW + minutes(2), "c": NOW}


def test_a_partition_that_is_lost_keeps_its_last_snapshot(
    ledger: Ledger, database: Database, redis_client: Redis
) -> None:
    contests = [[candidate("1", "b", 5, BUDGET)], [candidate("2", "c", 5, BUDGET)]]
    ledger.decide("d", b"f", b"", contests, NOW)
    ledger_snapshots.take(database, ledger, NOW)
    for key in redis_client.keys(ledger.partition("b").prefix + "*"):
        redis_client.delete(key)
    assert ledger_snapshots.take(database, ledger, NOW + minutes(2)) == 0
    assert ledger_snapshots.restore(database, ledger, NOW + minutes(3))
    assert reserved(ledger) == 5 + 2 * 180  # since the last snapshot of all
    assert reserved(ledger, "c") == 5  # it was never lost


def test_old_days_are_forgotten(ledger: Ledger, database: Database) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 5, BUDGET)]], NOW)
    ledger_snapshots.take(database, ledger, NOW)
    later = NOW + timedelta(days=10)
    ledger.sweep(later)
    ledger_snapshots.take(database, ledger, later)
    with database.read() as connection:
        assert connection.execute(select(ledger_snapshot.c.day)).scalars().all() == [later.date()]


def test_what_could_not_be_restored_to_its_end_stays_dead(
    ledger: Ledger, database: Database, redis_client: Redis
) -> None:
    ledger_snapshots.take(database, ledger, NOW)
    redis_client.flushdb()
    assert not ledger_snapshots.restore(database, ledger, NOW + minutes(1), deadline=time.monotonic() - 1)
    assert not ledger.alive()
    refused = ledger.decide("d", b"f", b"", [[candidate("1", "b", 5, BUDGET)]], NOW + minutes(1))
    assert refused.refused == (("ledger_unavailable",),)
    assert ledger_snapshots.restore(database, ledger, NOW + minutes(1))
    assert reserved(ledger) == 120


def test_while_one_restores_another_lets_it(ledger: Ledger, database: Database, redis_client: Redis) -> None:
    redis_client.flushdb()
    for partition in ledger.partitions:
        redis_client.set(partition.lock, "another process")
    assert not ledger_snapshots.restore(database, ledger, NOW)
    assert [redis_client.get(partition.lock) for partition in ledger.partitions] == [b"another process"] * 3
