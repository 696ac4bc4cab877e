"""Any number of partitions gives the outcome of one, on one Redis as on a cluster, also after a crash."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from adbid.data.ledger import Ledger, Outcome
from adbid.domain.errors import Conflict
from adbid.domain.ledger import Candidate
from tests.support.availability import CannotBeHad, not_run
from tests.support.cluster import redis_cluster
from tests.support.ledger_model import DAY, NOW, Model, candidate, minutes
from tests.support.processes import free_port

BRANDS = "abcdefgh"

costs = st.integers(0, 12)
brands = st.sampled_from(BRANDS)


@st.composite
def bundles(draw: st.DrawFn) -> list[list[list[Candidate]]]:
    """Decisions in a row: the same few brands again and again, budgets that change, some unlimited.

    A version of a brand has one budget, and a decision sees one version of it, not always the newest.
    """
    budgets = {brand: [draw(st.integers(0, 30))] for brand in BRANDS}
    found = []
    for _ in range(draw(st.integers(1, 3))):
        for brand in draw(st.sets(brands, max_size=2)):
            budgets[brand].append(draw(st.integers(0, 30)))
        seen = {brand: draw(st.integers(1, len(known))) for brand, known in budgets.items()}
        shapes = draw(st.lists(st.lists(st.tuples(brands, costs), max_size=6), max_size=5))
        bid = count()
        found.append(
            [
                [
                    candidate(
                        f"bid{next(bid)}",
                        brand,
                        cost,
                        None if brand == "h" else budgets[brand][seen[brand] - 1],
                        version=seen[brand],
                        slot=f"s{slot}",
                    )
                    for brand, cost in shape
                ]
                for slot, shape in enumerate(shapes)
            ]
        )
    return found


def revived(redis: "Redis | RedisCluster", partitions: int) -> Ledger:
    ledger = Ledger(redis, partitions=partitions)
    for partition in ledger.partitions:
        ledger.client.call("SET", partition.alive, "1")
    return ledger


def play(ledger: Ledger, decisions: list[list[list[Candidate]]]) -> list[object]:
    """What a ledger says to decisions half an hour apart, of which the first reservations end meanwhile."""
    said: list[object] = []
    for number, contests in enumerate(decisions):
        at = NOW + number * minutes(15)
        preview = ledger.preview(contests, at)
        outcome = ledger.decide(f"d{number}", b"f", b"", contests, at)
        assert (preview.wins, preview.refused) == (outcome.wins, outcome.refused)
        keys = [(f"d{number}", one.bid_id) for contest in contests for one in contest]
        accounts = ledger.accounts([(brand, DAY) for brand in BRANDS])
        # When what is due is released may differ: when somebody looks for money.
        held = {key: [one for one in ledger.open(*key) if one.ends > at] for key in accounts}
        said += [outcome, ledger.won(keys), held]
        said.append({key: replace(account, reserved=0) for key, account in accounts.items()})
    assert ledger.check() == []
    ledger.sweep(NOW + minutes(90))
    said += [sorted(ledger.days()), ledger.accounts([(brand, DAY) for brand in BRANDS])]
    return said


def same_everywhere(redis: "Redis | RedisCluster", decisions: list[list[list[Candidate]]]) -> None:
    played = []
    for partitions in (1, 3, 7):
        redis.flushall()
        played.append(play(revived(redis, partitions), decisions))
    assert played[0] == played[1] == played[2]
    model = Model()
    for number, contests in enumerate(decisions):
        outcome = played[0][4 * number]
        assert isinstance(outcome, Outcome)
        expected = model.decide(f"d{number}", contests, NOW + number * minutes(15))
        assert (outcome.wins, outcome.refused) == expected


@given(bundles())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_number_of_partitions_changes_nothing(
    redis_client: Redis, decisions: list[list[list[Candidate]]]
) -> None:
    same_everywhere(redis_client, decisions)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """Three nodes."""
    try:
        with redis_cluster() as client:
            yield client
    except CannotBeHad as reason:
        not_run(f"Redis cluster: {reason}")


@given(bundles())
@settings(max_examples=15)
def test_nor_does_a_cluster_of_three_nodes(
    cluster: RedisCluster, decisions: list[list[list[Candidate]]]
) -> None:
    same_everywhere(cluster, decisions)


def test_partitions_spread_over_the_nodes_of_a_cluster(cluster: RedisCluster) -> None:
    ledger = revived(cluster, 7)
    nodes = {cluster.get_node_from_key(partition.alive) for partition in ledger.partitions}
    assert len(nodes) == 3
    assert ledger.alive()


def test_a_cluster_that_is_down_is_a_redis_error() -> None:
    ledger = Ledger(
        lambda: RedisCluster(host="127.0.0.1", port=free_port(), socket_timeout=0.2), partitions=3
    )
    with pytest.raises(RedisError):
        ledger.decide("d", b"f", b"", [[candidate("1", "a", 1)]], NOW)
    with pytest.raises(RedisError):
        ledger.alive()


class Mortal(Redis):
    """A client of a process that dies at its `left`-th script from now, before that or (`late`) after it."""

    left: int | None = None
    late = False

    def execute_command(self, *args: object, **options: object) -> object:  # type: ignore[override]
        dies = False
        if args[0] == "EVALSHA" and self.left is not None:
            self.left -= 1
            dies = self.left < 0
        if dies and not self.late:
            raise RedisConnectionError("died before")
        answer = super().execute_command(*args, **options)
        if dies:
            raise RedisConnectionError("died after")
        return answer


@pytest.fixture
def mortal(redis_url: str) -> Iterator[Mortal]:
    with Mortal.from_url(redis_url) as client:
        for partitions in (1, 3):  # from now on it knows all scripts: each is one call
            revived(client, partitions).decide("d", b"f", b"", [[candidate("1", "a", 1)]], NOW)
        yield client


def _bid(number: int, brand: str, cost: int, budget: int) -> Candidate:
    return candidate(f"bid{number}", brand, cost, budget)


# Of three partitions a and c lie in the first, g in the second, b in the third. It dies when all is granted
# but not written down. Repeated, a's partition tells that c won while g is still to be asked: g's bid behind
# c, who can pay, must not win as well.
@example(
    [
        [
            [_bid(0, "a", 0, 0)],
            [_bid(1, "b", 1, 0), _bid(2, "g", 2, 1), _bid(3, "c", 1, 1), _bid(4, "g", 1, 1)],
        ]
    ],
    5,
    False,
    3,
)
@given(bundles(), st.integers(0, 12), st.booleans(), st.sampled_from([1, 3, 7]))
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_decision_that_broke_off_comes_to_the_same_end(
    mortal: Mortal, decisions: list[list[list[Candidate]]], step: int, late: bool, partitions: int
) -> None:
    model = Model()
    mortal.left = None
    mortal.flushall()
    ledger = revived(mortal, partitions)
    for number, contests in enumerate(decisions):
        expected = model.decide(f"d{number}", contests, NOW)
        mortal.left, mortal.late = step, late
        try:
            outcome = ledger.decide(f"d{number}", b"f", b"first", contests, NOW)
        except RedisConnectionError:
            mortal.left = None
            begun = late or step > 0
            if begun:
                with pytest.raises(Conflict):
                    ledger.decide(f"d{number}", b"g", b"other", [], NOW)
            # Whoever repeats it has seen the world change: other candidates, another record.
            again = [contest[::-1] for contest in contests] if begun else contests
            record = b"second" if begun else b"first"
            outcome = ledger.decide(f"d{number}", b"f", record, again, NOW + minutes(1))
            assert outcome.stored == (b"first" if begun else None)
        mortal.left = None
        assert (outcome.wins, outcome.refused) == expected
        last = ledger.decide(f"d{number}", b"f", b"third", [], NOW)
        assert (last.wins, last.refused, last.stored) == (*expected, b"first")
        assert ledger.check() == []
    for key, account in model.accounts.items():
        assert ledger.accounts([key])[key].reserved == account.reserved
        found = {(one.won.decision_id, one.won.bid_id): one.won.micros for one in ledger.open(*key)}
        assert found == {key: micros for key, (micros, _) in account.open.items()}
