"""Any history of a ledger against a plain model: decisions, charges in any order, time, crashes and losses.

Redis and a database are real. The model keeps every reservation until it ends, by a charge or by its time,
and what the database says was spent. After every step both must agree, so that no reservation is lost, comes
back or ends twice, and nothing is granted beyond a budget.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import delete, insert, update

from adbid.data import ledger_snapshots
from adbid.data.database import Database
from adbid.data.ledger import Ledger, Open, Spent
from adbid.data.ledger_keys import name_of
from adbid.data.tables import brand, brand_day, brand_strategy, ledger_snapshot, metadata
from adbid.domain.errors import Conflict
from adbid.domain.ledger import Budget, Candidate, Lifetimes, Won, budget_day, day_bounds, holdback
from adbid.domain.money import from_micros
from tests.support.ledger_model import NOW, Account, BrandDay, Model, minutes
from tests.support.servers import fresh_database

ZONES = {"a": "UTC", "b": "America/New_York", "c": "Asia/Kolkata", "free": "UTC"}
LIFETIMES = Lifetimes(cpm=minutes(5), cpc=minutes(30), cpa=minutes(60))
RECENT = timedelta(days=2)
STARTS = (
    NOW,
    datetime(2026, 10, 31, 18, tzinfo=UTC),  # before New York's day of 25 hours
    datetime(2026, 3, 7, 18, tzinfo=UTC),  # and its day of 23
)

brands = st.sampled_from(sorted(ZONES))
budgets = st.integers(0, 60)
offers = st.tuples(brands, st.integers(0, 25), st.sampled_from(["CPM", "CPC", "CPA"]), st.booleans())
bundles = st.lists(st.lists(offers, max_size=4), min_size=1, max_size=4)


class Mortal(Redis):
    """A client whose next script but `left` is never answered."""

    left: int | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = super().execute_command(*args, **options)
        if args[0] == "EVALSHA" and self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise RedisConnectionError("died")
        return answer


class Histories(RuleBasedStateMachine):
    """`spent` is what the database says, `news` what Redis was not told yet."""

    def __init__(self, redis: Mortal, database: Database, partitions: int) -> None:
        super().__init__()
        self.redis, self.database, self.partitions = redis, database, partitions
        redis.left = None
        redis.flushdb()
        self.model = Model(LIFETIMES)
        self.now = NOW
        self.count = 0
        self.versions = {name: [Budget(NOW.date(), 50, 1)] for name in ZONES if name != "free"}
        self.decided: dict[str, tuple[Any, bytes]] = {}
        self.wins: list[Won] = []
        self.spent: dict[BrandDay, tuple[int, int]] = {}
        self.news: list[tuple[list[Won], Spent]] = []
        self.snapshot: dict[BrandDay, Account] = {}
        self.taken: datetime | None = None
        self.ledger = Ledger(redis, partitions=partitions, lifetimes=LIFETIMES)
        self._set_up()

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: datetime) -> None:
        self.now = start
        assert ledger_snapshots.restore(self.database, self.ledger, self.now)

    def _set_up(self) -> None:
        history = {"version": 1, "created_at": NOW, "updated_at": NOW}
        common = {"vertical": "", "strategy_id": "s", "currency": "USD", "target_roas": 1, "status": "active"}

        def write(connection: Any) -> None:
            for table in (ledger_snapshot, brand_day, brand, brand_strategy):
                connection.execute(delete(table))
            shares = {"priority": 0, "probe_share": 0, "exploration_share": 0}
            connection.execute(
                insert(brand_strategy).values(id="s", name="s", vpi_multiplier=1, **shares, **history)
            )
            for name, zone in ZONES.items():
                budget = None if name == "free" else from_micros(50)
                row = {"id": name, "name": name, "timezone": zone, "daily_budget": budget}
                connection.execute(insert(brand).values(**row, **common, **history))

        self.database.transaction(write)

    # What people and partners do ------------------------------------------------------------------

    def _contests(self, bundle: list[list[tuple[str, int, str, bool]]]) -> list[list[Candidate]]:
        """Candidates of today; some callers know a brand's budget only as it was."""
        contests = []
        behind: dict[str, bool] = {}
        self.count += 1
        for slot, contest in enumerate(bundle):
            candidates = []
            for name, micros, pricing_model, late in contest:
                self.count += 1
                day = budget_day(self.now, ZONES[name])
                limit = None
                if name != "free":
                    known = self.versions[name][-2:][0 if behind.setdefault(name, late) else -1]
                    limit = Budget(day, known.micros, known.version)
                bid = f"bid{self.count}"
                candidates.append(Candidate(bid, name, "p", f"s{slot}", pricing_model, day, micros, limit))
            contests.append(candidates)
        return contests

    def _note_wins(self, decision: str, contests: list[list[Candidate]], wins: tuple[int, ...]) -> None:
        keys = []
        for contest, win in zip(contests, wins, strict=True):
            if win >= 0:
                keys.append((decision, contest[win].bid_id))
        won = self.ledger.won(keys)
        assert set(won) == set(keys)
        self.wins += won.values()

    @rule(bundle=bundles)
    def decide(self, bundle: list[list[tuple[str, int, str, bool]]]) -> None:
        contests = self._contests(bundle)
        decision = f"d{self.count}"
        preview = self.ledger.preview(contests, self.now)
        outcome = self.ledger.decide(decision, b"f", decision.encode(), contests, self.now)
        expected = self.model.decide(decision, contests, self.now)
        assert (outcome.wins, outcome.refused, outcome.stored) == (*expected, None)
        assert (preview.wins, preview.refused) == expected
        self.decided[decision] = expected, decision.encode()
        self._note_wins(decision, contests, outcome.wins)

    @rule(bundle=bundles, left=st.integers(0, 6))
    def decide_dies_and_is_repeated(self, bundle: list[list[tuple[str, int, str, bool]]], left: int) -> None:
        contests = self._contests(bundle)
        decision = f"d{self.count}"
        self.redis.left = left
        try:
            outcome = self.ledger.decide(decision, b"f", b"first", contests, self.now)
        except RedisConnectionError:
            self.redis.left = None
            outcome = self.ledger.decide(decision, b"f", b"second", contests[:1], self.now)
            assert outcome.stored == b"first"
        self.redis.left = None
        expected = self.model.decide(decision, contests, self.now)
        assert (outcome.wins, outcome.refused) == expected
        self.decided[decision] = expected, b"first"
        self._note_wins(decision, contests, outcome.wins)

    @precondition(lambda self: self.partitions > 1)
    @rule(bundle=bundles, left=st.integers(0, 3))
    def decide_dies_for_good(self, bundle: list[list[tuple[str, int, str, bool]]], left: int) -> None:
        """What it has reserved by then ends by itself, and never was too much."""
        contests = self._contests(bundle)
        decision = f"d{self.count}"
        self.redis.left = left
        try:
            outcome = self.ledger.decide(decision, b"f", b"", contests, self.now)
        except RedisConnectionError:
            self.redis.left = None
            offered = {one.bid_id: one for contest in contests for one in contest}
            for key in {(one.brand_id, one.day) for one in offered.values() if one.budget}:
                account = self.model.account(*key)
                account.release(self.now)
                day = self.ledger.partition(key[0]).day(name_of(*key))
                told: Any = self.redis.hget(day, "version")
                if int(told or 0):  # of a newer budget, perhaps
                    account.note(self.versions[key[0]][int(told) - 1])
                for one in self.ledger.open(*key):
                    if one.won.decision_id == decision:
                        assert one.won.micros == offered[one.won.bid_id].micros
                        account.open[decision, one.won.bid_id] = (one.won.micros, one.ends)
                        account.granted += one.won.micros
                        assert account.spent + account.reserved <= account.budget
            return
        self.redis.left = None
        self._note_wins(decision, contests, outcome.wins)
        expected = self.model.decide(decision, contests, self.now)
        assert (outcome.wins, outcome.refused) == expected

    @precondition(lambda self: self.decided)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        decision = data.draw(st.sampled_from(sorted(self.decided)))
        expected, record = self.decided[decision]
        outcome = self.ledger.decide(decision, b"f", b"new", [], self.now)
        assert (outcome.wins, outcome.refused, outcome.stored) == (*expected, record)
        with pytest.raises(Conflict):
            self.ledger.decide(decision, b"other", b"new", [], self.now)

    @rule(name=st.sampled_from("abc"), micros=budgets)
    def change_budget(self, name: str, micros: int) -> None:
        version = self.versions[name][-1].version + 1
        self.versions[name].append(Budget(NOW.date(), micros, version))
        values = {"daily_budget": from_micros(micros), "version": version}
        self.database.transaction(
            lambda connection: connection.execute(update(brand).where(brand.c.id == name).values(values))
        )

    # Charges --------------------------------------------------------------------------------------

    def _book(self, name: str, day: date, micros: int) -> Spent:
        """What ingest commits: the sum, and one revision more."""
        spent, revision = self.spent.get((name, day), (0, 0))
        total, number = spent + micros, revision + 1
        self.spent[name, day] = total, number

        def write(connection: Any) -> None:
            key = (brand_day.c.brand_id == name) & (brand_day.c.day == day)
            counts = dict.fromkeys(("impressions", "clicks", "conversions", "cost", "revenue"), 0)
            row = {"brand_id": name, "day": day, "spent": from_micros(total), "revision": number}
            connection.execute(delete(brand_day).where(key))
            connection.execute(insert(brand_day).values(**row, **counts))

        self.database.transaction(write)
        return Spent(name, day, total, number)

    def _hear(self, closed: list[Won], total: Spent) -> None:
        """The model is told what Redis is told."""
        for won in closed:
            self.model.charge(won.decision_id, won.bid_id, won.brand_id, won.day)
        account = self.model.account(total.brand_id, total.day)
        if total.revision > account.revision:
            account.spent, account.revision = total.micros, total.revision

    @precondition(lambda self: self.wins)
    @rule(data=st.data(), paid=st.integers(0, 40))
    def charge(self, data: st.DataObject, paid: int) -> None:
        """The event is committed. Redis may hear of it now, later, twice, in another order, or never."""
        won = data.draw(st.sampled_from(self.wins[-12:]))
        self.news.append(([won], self._book(won.brand_id, won.day, paid)))

    @precondition(lambda self: any(spent for spent, _ in self.spent.values()))
    @rule(data=st.data())
    def restate(self, data: st.DataObject) -> None:
        """Money comes back."""
        name, day = data.draw(st.sampled_from(sorted(key for key, (spent, _) in self.spent.items() if spent)))
        less = data.draw(st.integers(1, self.spent[name, day][0]))
        self.news.append(([], self._book(name, day, -less)))

    @precondition(lambda self: self.news)
    @rule(data=st.data(), again=st.booleans())
    def tell(self, data: st.DataObject, again: bool) -> None:
        place = data.draw(st.integers(0, len(self.news) - 1))
        closed, total = self.news[place]
        self.ledger.settle(closed, [total], self.now)
        self._hear(closed, total)
        if not again:
            del self.news[place]

    @precondition(lambda self: self.news)
    @rule()
    def tell_is_lost(self) -> None:
        self.news.pop()

    @rule()
    def tell_all_sums(self) -> None:
        """As the monitor does every minute."""
        totals = [Spent(name, day, *known) for (name, day), known in self.spent.items()]
        self.ledger.settle([], totals, self.now)
        for total in totals:
            self._hear([], total)

    # Time, snapshots, losses ----------------------------------------------------------------------

    @rule(number=st.sampled_from([0.5, 4, 5, 25, 30, 59, 600]))
    def time_passes(self, number: float) -> None:
        self.now += minutes(number)

    @rule()
    def sweep(self) -> None:
        self.ledger.sweep(self.now)
        self.model.sweep(self.now)
        for key, held in self.ledger.accounts(self.ledger.days()).items():
            assert held.reserved == self.model.account(*key).reserved

    @rule()
    def take_snapshot(self) -> None:
        ledger_snapshots.take(self.database, self.ledger, self.now)
        since = (self.now - RECENT).date()
        for key, account in self.model.accounts.items():
            if key[1] >= since and (account.version >= 0 or account.open):
                copy = Account(account.budget, account.version, granted=account.granted)
                copy.open = dict(account.open)
                self.snapshot[key] = copy
        self.taken = self.now

    @rule(dies=st.booleans())
    def lose_redis(self, dies: bool) -> None:
        self.redis.flushdb()
        self.decided.clear()
        contest = self._contests(
            [[("a", 1, "CPC", False), ("free", 1, "CPC", False)], [("b", 0, "CPC", False)]]
        )
        lost = self.ledger.decide(f"lost{self.count}", b"f", b"", contest, self.now)
        assert lost.wins == (1, -1)
        assert lost.refused == (("ledger_unavailable",), ("ledger_unavailable",))
        if dies:  # in the middle of coming back
            self.redis.left = 0
            assert not ledger_snapshots.restore(self.database, self.ledger, self.now)
            self.redis.left = None
            assert not self.ledger.alive()
            for partition in self.ledger.partitions:
                self.redis.delete(partition.lock)  # as after its time
        assert ledger_snapshots.restore(self.database, self.ledger, self.now)
        self._restore_model()

    def _restore_model(self) -> None:
        since = (self.now - RECENT).date()
        limits = {}
        for name, versions in self.versions.items():
            limits[name, budget_day(self.now, ZONES[name])] = versions[-1]
        known = {key: one for key, one in self.snapshot.items() if key[1] >= since}
        spent = {key: one for key, one in self.spent.items() if key[1] >= since}
        fresh = self.taken is None and not any(micros for micros, _ in spent.values())
        self.model.accounts = {}
        for key in {*known, *spent, *limits}:
            account = self.model.account(*key)
            account.spent, account.revision = spent.get(key, (0, 0))
            if key in known:
                then = known[key]
                account.budget, account.granted = then.budget, then.granted
                account.version = 0 if then.version >= 0 else -1
                account.open = {k: v for k, v in then.open.items() if v[1] > self.now}
            if key in limits and not fresh:
                account.budget, account.version = limits[key].micros, limits[key].version
                remaining = account.budget - account.spent - account.reserved
                bounds = day_bounds(key[1], ZONES[key[0]])
                micros = holdback(
                    account.budget,
                    remaining,
                    account.granted,
                    bounds,
                    self.taken,
                    self.now,
                    LIFETIMES.longest,
                )
                if micros:
                    ends = self.now + LIFETIMES.longest
                    account.open["", f"held until {ends}"] = (micros, ends)

    # What holds at all times ----------------------------------------------------------------------

    @invariant()
    def sums_are_the_sums_of_their_entries(self) -> None:
        assert self.ledger.check() == []

    @invariant()
    def the_model_agrees(self) -> None:
        held = self.ledger.accounts({*self.model.accounts, *self.ledger.days()})
        for key, found in held.items():
            account = self.model.account(*key)
            assert found.spent == account.spent
            assert found.revision == account.revision
            assert found.granted == account.granted
            assert found.budget == (None if account.version < 0 else account.budget)
            entries = sorted(
                (_name(one), one.won.micros, one.ends)
                for one in self.ledger.open(*key)
                if one.ends > self.now
            )
            expected = sorted(
                (("", "") if name[0] == "" else name, *entry)
                for name, entry in account.open.items()
                if entry[1] > self.now
            )
            assert entries == expected


def _name(one: Open) -> tuple[str, str]:
    """Who it is for; a holdback is for nobody."""
    return (one.won.decision_id, one.won.bid_id if one.won.decision_id else "")


@pytest.mark.parametrize("partitions", [1, 3])
def test_any_history_of_the_ledger_adds_up(redis_url: str, partitions: int) -> None:
    with (
        fresh_database("sqlite://") as url,
        Database(url) as database,
        Mortal.from_url(redis_url) as redis,
    ):
        metadata.create_all(database.engine)
        run_state_machine_as_test(
            lambda: Histories(redis, database, partitions),
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
