"""The sums made anew from MySQL equal those that were kept up event by event, whatever happens meanwhile."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
import redis
from numpy.typing import NDArray
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Connection, delete

from adbid.data import evidence, history, rebuild
from adbid.data.counters import POINTER, Counters, Generation, Increment, decayed
from adbid.data.database import Database
from adbid.data.outbox import Outbox
from adbid.data.tables import performance, performance_delta, performance_event
from adbid.domain.context import LEVELS, chain, market
from adbid.domain.decay import LANDMARK_LIFETIME
from adbid.domain.errors import Unavailable
from adbid.domain.events import Event
from adbid.engine.performance import PerformanceIngest
from tests.support.past import AT, Path, added_up, catalog, path_of, random_rows, store

ROWS = random_rows(300)
PATHS = [path_of(cell) for cell in ROWS]
NEW = (market("USD", "retail"), "b0", "p0", "s0", ("tv", "", "", "", ""))


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool_size=2)
    catalog(made)
    store(made, ROWS)
    yield made
    made.dispose()


@pytest.fixture
def database(filled: Database) -> Database:
    """`ROWS` and nothing else."""

    def clean(connection: Connection) -> None:
        connection.execute(delete(performance).where(performance.c.device_type == NEW[4][0]))
        connection.execute(delete(performance_event))
        connection.execute(delete(performance_delta))

    filled.transaction(clean)
    return filled


@pytest.fixture
def counters(redis_client: redis.Redis) -> Counters:
    return Counters(redis_client)


def known(counters: Counters, paths: list[Path], at: datetime = AT) -> NDArray[np.float64]:
    """The evidence of `paths` that Redis holds at that moment."""
    generation = counters.current()
    assert generation is not None
    names = [cell for path in paths for cell in chain(*path)]
    values = counters.redis.mget([generation.key(name) if name else "nothing" for name in names])
    sums = decayed(values, generation.landmark, at)
    return sums.reshape(len(paths), len(LEVELS), *sums.shape[1:])


def sent(number: int, quarters: int = 1) -> Event:
    """An event in the last quarter hour, or so many before `AT`."""
    return Event(
        partner_id="p0",
        event_id=f"e{number}",
        type="click",
        event_time=AT - quarters * timedelta(minutes=15),
        brand_id="b0",
        slot_id="s0",
        context=NEW[4],
        pricing_model="CPC",
        currency="USD",
        decision_id="",
        bid_id="",
        adjusts_event_id="",
        count=3,
        cost=Decimal("0.75"),
        revenue=Decimal("2.50"),
    )


def ingest(database: Database, counters: Counters, *numbers: int) -> None:
    use_case = PerformanceIngest(database, Outbox(database, counters))
    results = use_case.ingest([sent(number) for number in numbers], visible_partners=None, now=AT)
    assert {result.status for result in results} == {"accepted"}


def in_the_middle(work: Callable[[], object]) -> Callable[[int], None]:
    """A rebuild's progress that does `work` once, with the snapshot already taken."""
    left = [work]

    def progress(_: int) -> None:
        if left:
            left.pop()()

    return progress


def test_sums_equal_those_added_up_by_hand(database: Database, counters: Counters) -> None:
    generation = rebuild.rebuild(database, counters, AT)
    assert counters.current() == generation
    found = known(counters, PATHS)
    np.testing.assert_allclose(found, added_up(ROWS, PATHS, AT), rtol=1e-12)
    with database.read() as connection:
        np.testing.assert_allclose(found, evidence.evidence_before(connection, PATHS, AT), rtol=1e-12)


def test_sums_equal_those_kept_up_event_by_event(database: Database, counters: Counters) -> None:
    kept_up = Generation.new(AT - timedelta(days=90))
    counters.publish(kept_up)
    for number, (cell, totals) in enumerate(ROWS.items()):
        *ids, context = path_of(cell)
        one = Increment(*ids, context, cell.bucket_start, tuple(map(float, totals)))
        assert counters.add(kept_up, str(number), [one])
    before = known(counters, PATHS)
    rebuild.rebuild(database, counters, AT)
    np.testing.assert_allclose(known(counters, PATHS), before, rtol=1e-12)


def test_pages_and_growth_make_no_difference(
    database: Database, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild.rebuild(database, counters, AT)
    at_once = known(counters, PATHS)
    monkeypatch.setattr(history, "_ROWS_PER_PAGE", 7)
    monkeypatch.setattr(rebuild, "_CELLS_PER_WRITE", 11)
    read: list[int] = []
    rebuild.rebuild(database, counters, AT, progress=read.append)
    assert sum(read) == len(ROWS)
    assert max(read) <= 7
    np.testing.assert_allclose(known(counters, PATHS), at_once, rtol=1e-12)


def test_no_data_is_a_generation_too(new_database_url: str, counters: Counters) -> None:
    empty = Database(new_database_url)
    catalog(empty)
    rebuild.rebuild(empty, counters, AT)
    assert not known(counters, PATHS).any()
    empty.dispose()


@pytest.mark.parametrize("served_before", [True, False])
def test_an_event_that_comes_in_meanwhile_counts_once(
    database: Database, counters: Counters, served_before: bool
) -> None:
    if served_before:
        rebuild.rebuild(database, counters, AT)  # so that the event is first added to what serves now
    ingest(database, counters, 1)
    rebuild.rebuild(database, counters, AT, progress=in_the_middle(lambda: ingest(database, counters, 2, 3)))
    meanwhile = known(counters, [*PATHS, NEW])
    counters.redis.flushdb()
    rebuild.rebuild(database, counters, AT)
    np.testing.assert_allclose(meanwhile, known(counters, [*PATHS, NEW]), rtol=1e-12)
    slot = LEVELS.index("device_type")
    assert meanwhile[-1, slot, 0, 1] == pytest.approx(9 * 2 ** (-1 / 96))


@pytest.mark.parametrize("reported", [True, False])
def test_a_delta_left_pending_is_not_added_again(
    database: Database, counters: Counters, reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(database, counters, 1)  # Redis has no sums yet: the delta stays pending
    if not reported:  # the sums are published, but the database doesn't say so yet
        monkeypatch.setattr(rebuild, "_report", lambda *_: None)
    generation = rebuild.rebuild(database, counters, AT)
    before = known(counters, [NEW])
    looked_up = Outbox(database, counters).drain(generation, AT + timedelta(minutes=1), 10)
    assert looked_up == (0 if reported else 1)
    np.testing.assert_array_equal(known(counters, [NEW]), before)


def test_a_delta_of_many_cells_is_marked_as_a_whole(counters: Counters) -> None:
    generation = Generation.new(AT)
    many = [
        Increment(NEW[0], f"b{n}", "p", "s", NEW[4], AT, (1.0, 0.0, 0.0, 0.0, 0.0)) for n in range(400)
    ]  # more cells than one call takes
    counters.mark(generation, "7", many)
    counters.publish(generation)
    assert counters.add(generation, "7", many)
    assert counters.redis.get(generation.key("gUSD")) is None


def test_a_second_rebuild_waits_its_turn(database: Database, counters: Counters) -> None:
    refused: list[object] = []

    def second() -> None:
        refused.append(rebuild.ensure_current(database, counters, AT))
        with pytest.raises(Unavailable) as error:
            rebuild.rebuild(database, counters, AT)
        refused.append(error.value.code)

    generation = rebuild.rebuild(database, counters, AT, progress=in_the_middle(second))
    assert refused == [None, "rebuild_running"]
    assert rebuild.ensure_current(database, counters, AT) == generation
    assert not counters.redis.exists(rebuild.LOCK)


def test_a_redis_emptied_meanwhile_is_not_taken_for_complete(database: Database, counters: Counters) -> None:
    with pytest.raises(Unavailable) as error:
        rebuild.rebuild(database, counters, AT, progress=in_the_middle(counters.redis.flushdb))
    assert error.value.code == "rebuild_interrupted"
    assert counters.current() is None


def test_emptied_at_the_last_moment(
    database: Database, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = counters.write

    def emptied(*arguments: object) -> None:
        counters.redis.flushdb()
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(counters, "write", emptied)
    with pytest.raises(Unavailable, match="emptied"):
        rebuild.rebuild(database, counters, AT)
    assert counters.current() is None


def test_a_deadline_ends_it_and_leaves_what_served(database: Database, counters: Counters) -> None:
    serving = rebuild.rebuild(database, counters, AT)
    before = known(counters, PATHS)
    with pytest.raises(Unavailable) as error:
        rebuild.rebuild(database, counters, AT, deadline=time.monotonic())
    assert error.value.code == "rebuild_timed_out"
    assert counters.current() == serving
    assert not counters.redis.exists(rebuild.LOCK)
    np.testing.assert_array_equal(known(counters, PATHS), before)
    assert all(counters.redis.ttl(key) == -1 for key in counters.redis.keys(serving.key("b*")))


def test_keys_of_other_generations_expire(database: Database, counters: Counters) -> None:
    counters.redis.set("cell:deadbeef:g", b"left by a rebuild that was killed")
    before = rebuild.rebuild(database, counters, AT)
    after = rebuild.rebuild(database, counters, AT)
    assert 0 < counters.redis.ttl("cell:deadbeef:g") <= 600
    assert 0 < counters.redis.ttl(before.key("gUSD")) <= 600
    assert counters.redis.ttl(after.key("gUSD")) == -1


def test_the_current_sums_are_made_when_there_are_none(database: Database, counters: Counters) -> None:
    made = rebuild.ensure_current(database, counters, AT)
    assert made is not None
    assert made == counters.current() == rebuild.ensure_current(database, counters, AT)


def test_sums_of_another_schema_count_as_lost(database: Database, counters: Counters) -> None:
    before = f"deadbeef {AT.timestamp():.0f}".encode()  # as the release before named them
    counters.redis.set("cell:deadbeef:g", b"sums over all currencies")
    counters.redis.set(POINTER, before)
    assert counters.current() is None
    made = rebuild.ensure_current(database, counters, AT)
    assert made is not None
    assert made == counters.current()
    np.testing.assert_allclose(known(counters, PATHS), added_up(ROWS, PATHS, AT), rtol=1e-12)
    assert 0 < counters.redis.ttl("cell:deadbeef:g") <= 600


def test_an_old_landmark_is_renewed(database: Database, counters: Counters) -> None:
    first = rebuild.ensure_current(database, counters, AT - LANDMARK_LIFETIME)
    second = rebuild.ensure_current(database, counters, AT)
    assert second is not None
    assert first is not None
    assert second.landmark - first.landmark == LANDMARK_LIFETIME
    np.testing.assert_allclose(known(counters, PATHS), added_up(ROWS, PATHS, AT), rtol=1e-12)


def test_a_rebuild_that_died_before_it_was_done_is_repeated(
    database: Database, counters: Counters, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild.rebuild(database, counters, AT)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    late = in_the_middle(lambda: ingest(database, counters, 1))
    with monkeypatch.context() as patched:
        patched.setattr(rebuild, "_add_late", killed)
        with pytest.raises(KeyboardInterrupt):
            rebuild.rebuild(database, counters, AT, progress=late)
    half = counters.current()
    assert not known(counters, [NEW])[0, -1].any()
    done = rebuild.ensure_current(database, counters, AT)
    assert done != half
    assert known(counters, [NEW])[0, LEVELS.index("device_type"), 0, 1] == pytest.approx(3 * 2 ** (-1 / 96))


def test_without_redis_there_is_nothing_current(database: Database) -> None:
    nowhere = redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
    assert rebuild.ensure_current(database, Counters(nowhere), AT) is None


def test_without_a_database_old_sums_go_on_serving(counters: Counters) -> None:
    gone = Database("mysql+pymysql://nobody@127.0.0.1:1/none")
    old = Generation.new(AT - LANDMARK_LIFETIME)
    counters.publish(old)
    assert rebuild.ensure_current(gone, counters, AT) == old
    counters.redis.delete(POINTER)
    assert rebuild.ensure_current(gone, counters, AT) is None


def test_what_is_past_the_horizon_is_left_out(new_database_url: str, counters: Counters) -> None:
    fresh = Database(new_database_url)
    catalog(fresh)
    [(cell, totals)] = random_rows(1).items()
    store(fresh, {cell: totals})
    last = cell.bucket_start + history.HORIZON
    for at, counts in ((last, True), (last + timedelta(minutes=15), False)):
        rebuild.rebuild(fresh, counters, at)
        assert known(counters, [path_of(cell)], at).any() == counts
    fresh.dispose()
