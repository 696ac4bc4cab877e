"""The ledger on a real Redis, in one partition and in several: who gets the money, and where it goes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from time import monotonic

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from adbid.data.ledger import Difference, Ledger, Spent
from adbid.domain.errors import Conflict
from adbid.domain.ledger import Account, Lifetimes, Won
from tests.support.ledger_model import DAY, NOW, candidate, minutes
from tests.support.processes import free_port

EXHAUSTED, UNAVAILABLE = "budget_exhausted", "ledger_unavailable"


@pytest.fixture(params=[1, 3])
def ledger(redis_client: Redis, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger that nothing was lost of."""
    made = Ledger(redis_client, partitions=request.param)
    revive(made)
    yield made
    assert made.check() == []


def revive(ledger: Ledger) -> None:
    for partition in ledger.partitions:
        ledger.client.call("SET", partition.alive, "1")


def dump(redis: Redis) -> dict[bytes, bytes | None]:
    """All that is in it."""
    return {key: redis.dump(key) for key in redis.scan_iter()}


def account(ledger: Ledger, brand: str = "b", day: date = DAY) -> Account:
    return ledger.accounts([(brand, day)])[brand, day]


def test_the_first_affordable_candidate_wins_and_the_others_learn_why(ledger: Ledger) -> None:
    contests = [
        [candidate("1", "poor", 11, 10), candidate("2", "rich", 30), candidate("3", "other", 1)],
        [candidate("4", "poor", 11, 10)],
        [],
    ]
    outcome = ledger.decide("d", b"f", b"record", contests, NOW)
    assert outcome.wins == (1, -1, -1)
    assert outcome.refused == ((EXHAUSTED,), (EXHAUSTED,), ())
    assert outcome.stored is None
    assert account(ledger, "rich") == Account("rich", DAY, 100, 0, 0, 30, 30)
    assert account(ledger, "poor") == Account("poor", DAY, 10, 0, 0, 0, 0)
    assert account(ledger, "other") == Account("other", DAY, None, 0, 0, 0, 0)  # nobody asked for it


def test_contests_draw_in_their_order(ledger: Ledger) -> None:
    contests = [[candidate(str(n), "b", 40), candidate(f"next-{n}", "c", 1)] for n in range(4)]
    assert ledger.decide("d", b"f", b"", contests, NOW).wins == (0, 0, 1, 1)
    assert account(ledger).reserved == 80
    assert account(ledger, "c").reserved == 2


def test_an_earlier_contest_draws_first_though_its_best_candidate_is_elsewhere(ledger: Ledger) -> None:
    # Brands lie in different partitions; the first contest comes back to "b" only once "a" is refused.
    for number in range(20):
        first = [candidate("1", f"a{number}", 200), candidate("2", f"b{number}", 100)]
        second = [candidate("3", f"b{number}", 1), candidate("4", f"c{number}", 1)]
        outcome = ledger.decide(f"d{number}", b"f", b"", [first, second], NOW)
        assert outcome.wins == (1, 1)
        assert outcome.refused == ((EXHAUSTED,), (EXHAUSTED,))


def test_the_last_micro_can_be_spent_and_not_one_more(ledger: Ledger) -> None:
    assert ledger.decide("1", b"f", b"", [[candidate("x", "b", 99)]], NOW).wins == (0,)
    assert ledger.decide("2", b"f", b"", [[candidate("x", "b", 2)]], NOW).wins == (-1,)
    assert ledger.decide("3", b"f", b"", [[candidate("x", "b", 1)]], NOW).wins == (0,)
    assert ledger.decide("4", b"f", b"", [[candidate("x", "b", 1)]], NOW).wins == (-1,)
    assert account(ledger).remaining == 0


def test_a_brand_without_a_budget_needs_no_ledger(redis_client: Redis) -> None:
    for partitions in (1, 3):
        ledger = Ledger(redis_client, partitions=partitions)  # nothing is alive here
        contest = [candidate("1", "b", 5), candidate("2", "free", 5, None), candidate("3", "c", 5)]
        outcome = ledger.decide("d", b"f", b"", [contest], NOW)
        assert outcome.wins == (1,)
        assert outcome.refused == ((UNAVAILABLE,),)
        won = ledger.won([("d", "2"), ("d", "1")])
        assert won == {("d", "2"): Won("d", "2", "free", "partner", "slot", "CPC", DAY, 0)}
        assert ledger.days() == []


def test_a_repeated_decision_gets_the_first_outcome(ledger: Ledger) -> None:
    first = ledger.decide("d", b"f", b"the record", [[candidate("1", "b", 60)]], NOW)
    again = ledger.decide("d", b"f", b"another", [[candidate("1", "b", 70)]], NOW + minutes(1))
    assert (again.wins, again.refused, again.stored) == (first.wins, first.refused, b"the record")
    assert account(ledger).reserved == 60


def test_a_decision_id_stands_for_one_request(ledger: Ledger) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    with pytest.raises(Conflict) as refused:
        ledger.decide("d", b"g", b"", [[candidate("1", "b", 1)]], NOW)
    assert refused.value.code == "decision_conflict"
    assert account(ledger).reserved == 60


def test_a_decision_of_which_only_the_wins_are_left_cannot_be_repeated(ledger: Ledger) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    ledger.client.call("DEL", ledger.partition("d").decision("d"))
    with pytest.raises(Conflict) as refused:
        ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    assert refused.value.code == "decision_expired"
    assert account(ledger).reserved == 60


def test_what_is_kept_of_a_decision_has_its_time(redis_client: Redis) -> None:
    ledger = Ledger(redis_client, decision_seconds=600, won_seconds=7000)
    revive(ledger)
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    own = ledger.partition("d")
    assert redis_client.ttl(own.decision("d")) == pytest.approx(600, abs=5)
    assert redis_client.ttl(own.won("d")) == pytest.approx(7000, abs=5)
    lasting = {own.alive, own.days, own.day(f"b\x1f{DAY}"), own.open(f"b\x1f{DAY}")}
    assert {key for key in lasting if redis_client.ttl(key) == -1} == lasting  # evictable otherwise


def test_a_preview_is_the_decision_that_would_be_made_and_leaves_no_trace(
    ledger: Ledger, redis_client: Redis
) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60), candidate("2", "c", 60)]], NOW - minutes(29))
    contests = [[candidate(f"{n}", "b", 30), candidate(f"c{n}", "c", 30)] for n in range(6)]
    for later in (0, 1):  # while the reservation is open, and when it is due
        before = dump(redis_client)
        preview = ledger.preview(contests, NOW + minutes(later))
        assert dump(redis_client) == before
        assert preview.wins == ((0, 1, 1, 1, -1, -1), (0, 0, 0, 1, 1, 1))[later]
    assert ledger.decide("e", b"f", b"", contests, NOW + minutes(1)).wins == preview.wins


def test_a_charge_ends_the_reservation_once_and_books_what_was_paid(ledger: Ledger) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    won = ledger.won([("d", "1"), ("d", "other"), ("other", "1")])
    assert won == {("d", "1"): Won("d", "1", "b", "partner", "slot", "CPC", DAY, 60)}
    for _ in range(2):
        ledger.settle(won.values(), [Spent("b", DAY, 55, 1)], NOW)
        assert account(ledger) == Account("b", DAY, 100, 55, 1, 0, 60)
    assert ledger.open("b", DAY) == []
    assert ledger.decide("e", b"f", b"", [[candidate("1", "b", 46), candidate("2", "b", 45)]], NOW).wins == (
        1,
    )


def test_an_older_revision_changes_nothing(ledger: Ledger) -> None:
    ledger.settle([], [Spent("b", DAY, 70, 3)], NOW)  # also of a day that is unknown yet
    ledger.settle([], [Spent("b", DAY, 50, 2)], NOW)
    assert account(ledger) == Account("b", DAY, None, 70, 3, 0, 0)
    ledger.settle([], [Spent("b", DAY, 20, 4), Spent("b", DAY, 90, 3)], NOW)  # money that came back
    assert account(ledger).spent == 20
    assert ledger.days() == [("b", DAY)]
    assert ledger.decide("d", b"f", b"", [[candidate("1", "b", 81), candidate("2", "b", 80)]], NOW).wins == (
        1,
    )


def test_what_is_never_charged_is_released_when_its_time_is_over(ledger: Ledger) -> None:
    models = {"CPM": 5, "CPC": 30, "CPA": 60}
    for model in models:
        ledger.decide(model, b"f", b"", [[candidate("1", "b", 30, pricing_model=model)]], NOW)
    assert {one.won.pricing_model: one.ends - NOW for one in ledger.open("b", DAY)} == {
        model: minutes(lifetime) for model, lifetime in models.items()
    }
    moment = timedelta(milliseconds=1)
    assert ledger.sweep(NOW + minutes(5) - moment) == 0
    for number, lifetime in enumerate(models.values()):
        assert account(ledger).reserved == 90 - 30 * number
        assert ledger.sweep(NOW + minutes(lifetime)) == 1
    assert account(ledger) == Account("b", DAY, 100, 0, 0, 0, 90)


def test_due_money_can_be_reserved_before_anyone_swept(ledger: Ledger) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    assert ledger.decide("e", b"f", b"", [[candidate("1", "b", 60)]], NOW + minutes(29)).wins == (-1,)
    assert ledger.decide("g", b"f", b"", [[candidate("1", "b", 60)]], NOW + minutes(30)).wins == (0,)
    assert account(ledger).reserved == 60
    assert ledger.sweep(NOW + minutes(59)) == 0
    ledger.settle(ledger.won([("d", "1")]).values(), [], NOW + minutes(59))  # late: it ended before
    assert account(ledger).reserved == 60


def test_thousands_of_reservations_end_at_once(redis_client: Redis) -> None:
    ledger = Ledger(redis_client)
    revive(ledger)
    contests = [[candidate(str(n), "b", 1, 2500)] for n in range(2500)]
    assert ledger.decide("d", b"f", b"", contests, NOW).wins == (0,) * 2500
    assert ledger.decide("e", b"f", b"", [[candidate("1", "b", 2500, 2500)]], NOW + minutes(30)).wins == (0,)
    assert ledger.sweep(NOW + minutes(60)) == 1
    assert ledger.decide("g", b"f", b"", contests, NOW + minutes(60)).wins == (0,) * 2500
    assert ledger.sweep(NOW + minutes(90)) == 2500
    assert account(ledger).reserved == 0


def test_the_newest_budget_counts_whoever_brings_it(ledger: Ledger) -> None:
    assert ledger.decide("1", b"f", b"", [[candidate("1", "b", 60, 100)]], NOW).wins == (0,)
    lowered = candidate("1", "b", 1, 50, version=2)
    assert ledger.decide("2", b"f", b"", [[lowered]], NOW).wins == (-1,)  # refused, and yet it is known now
    assert ledger.decide("3", b"f", b"", [[candidate("1", "b", 1, 100)]], NOW).wins == (-1,)
    ledger.settle(ledger.won([("1", "1")]).values(), [Spent("b", DAY, 65, 1)], NOW)
    assert (account(ledger).overrun, account(ledger).remaining) == (15, 0)
    assert ledger.decide("4", b"f", b"", [[candidate("1", "b", 0, 50, version=2)]], NOW).wins == (-1,)
    raised = candidate("1", "b", 35, 100, version=3)
    assert ledger.decide("5", b"f", b"", [[raised]], NOW).wins == (0,)
    assert account(ledger).overrun == 0


def test_budgets_of_two_versions_in_one_call_count_as_the_newer(ledger: Ledger) -> None:
    contests = [[candidate("1", "b", 60, 100, version=1)], [candidate("2", "b", 60, 200, version=2)]]
    assert ledger.decide("d", b"f", b"", contests, NOW).wins == (0, 0)


def test_days_are_apart(ledger: Ledger) -> None:
    tomorrow = DAY + timedelta(days=1)
    contests = [[candidate("1", "b", 100)], [candidate("2", "b", 100, day=tomorrow)]]
    assert ledger.decide("d", b"f", b"", contests, NOW).wins == (0, 0)
    assert sorted(ledger.days()) == [("b", DAY), ("b", tomorrow)]
    assert account(ledger, "b", tomorrow).reserved == 100


def test_old_days_are_forgotten_and_not_taken_up_again(ledger: Ledger) -> None:
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)]], NOW)
    later = NOW + timedelta(days=9)
    ledger.sweep(later)
    assert ledger.days() == [("b", DAY)]
    ledger.sweep(later + timedelta(days=1))
    ledger.settle(ledger.won([("d", "1")]).values(), [Spent("b", DAY, 5, 1)], later + timedelta(days=1))
    assert ledger.days() == []
    assert account(ledger).spent == 0


def test_ids_may_be_of_any_script_and_money_as_large_as_it_gets(ledger: Ledger) -> None:
    huge, brand = 10**18, "Bränd 株式会社:{x}"
    one = candidate("ビッド", brand, 2**53 - 2, huge, slot="#N/A")
    outcome = ledger.decide("décision", b"\xff\x00", b"\x00\xfe", [[one, candidate("2", "b", 1)]], NOW)
    assert outcome.wins == (0,)
    assert account(ledger, brand).reserved == 2**53 - 2
    (won,) = ledger.won([("décision", "ビッド")]).values()
    assert (won.brand_id, won.slot_id) == (brand, "#N/A")
    assert ledger.decide("2", b"f", b"", [[candidate("1", brand, 2, huge)]], NOW).wins == (-1,)
    ledger.settle([won], [Spent(brand, DAY, 10**18 + 1, 1)], NOW)
    assert account(ledger, brand).spent == 10**18 + 1
    assert ledger.decide("décision", b"\xff\x00", b"", [], NOW).stored == b"\x00\xfe"


def test_a_broken_balance_is_found(redis_client: Redis) -> None:
    ledger = Ledger(redis_client, partitions=3)
    revive(ledger)
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60)], [candidate("2", "c", 60)]], NOW)
    redis_client.hincrby(ledger.partition("b").day(f"b\x1f{DAY}"), "reserved", 1)
    assert ledger.check() == [Difference("b", DAY, "reserved", 61, "open", 60)]


@pytest.mark.parametrize("partitions", [1, 3])
def test_sixteen_threads_end_at_exactly_the_last_affordable_win(redis_url: str, partitions: int) -> None:
    budget, cost, calls = 1_000_003, 7_001, 25  # 142 wins fit, and sixteen threads ask for 400
    with Redis.from_url(redis_url) as client:
        ledger = Ledger(client, partitions=partitions)
        revive(ledger)

        def spend(thread: int) -> int:
            wins = 0
            for call in range(calls):
                contest = [candidate("1", "b", cost, budget)]
                wins += ledger.decide(f"{thread}-{call}", b"f", b"", [contest], NOW).wins == (0,)
            return wins

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(spend, range(16))) == budget // cost
        found = account(ledger)
        assert found.reserved == budget // cost * cost
        assert found.remaining is not None
        assert 0 <= found.remaining < cost
        assert ledger.check() == []


def test_a_redis_that_is_down_is_an_error_and_not_a_wait() -> None:
    address = f"redis://127.0.0.1:{free_port()}"
    with Redis.from_url(address, socket_connect_timeout=0.25, retry=Retry(NoBackoff(), 1)) as client:
        ledger = Ledger(client)
        begin = monotonic()
        with pytest.raises(RedisError):
            ledger.decide("d", b"f", b"", [[candidate("1", "b", 1)]], NOW)
        with pytest.raises(RedisError):
            ledger.alive()
        assert monotonic() - begin < 1


def test_lifetimes_are_a_setting(redis_client: Redis) -> None:
    ledger = Ledger(redis_client, lifetimes=Lifetimes(cpm=timedelta(seconds=7)))
    revive(ledger)
    ledger.decide("d", b"f", b"", [[candidate("1", "b", 60, pricing_model="CPM")]], NOW)
    assert [one.ends - NOW for one in ledger.open("b", DAY)] == [timedelta(seconds=7)]
