"""Any history of scores and events, through the functions, against a plain model of every brand's money.

Scores are repeated, events come late, twice, out of order, are corrected and taken back; Redis misses what
was committed, or is emptied; time passes over midnights and a change of clocks. After every step each budget
day has what the model says, and the check of the ledger finds nothing.
"""

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from math import ceil
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
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import delete

from adbid import wiring
from adbid.data import brand_days, ledger_checks, ledger_snapshots, tables
from adbid.data.ledger import Spent
from adbid.domain.ledger import CHARGED_BY, Lifetimes, Won, budget_day
from adbid.domain.money import from_micros
from functions.ingest.app import handler as ingest
from functions.score.app import handler as score
from tests.support.ledger_model import minutes
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

START = datetime(2026, 10, 31, 18, tzinfo=UTC)  # New York's next day has 25 hours
ZONES = {"here": "UTC", "york": "America/New_York", "delhi": "Asia/Kolkata"}
BUDGET = 10_000  # micros
SLOTS = ("s1", "s2", "s3")

Day = tuple[str, date]

amounts = st.sampled_from([500, 1_000, 2_500, 4_000, 10_000])
brands = st.sampled_from([*ZONES, *ZONES, "free"])
models = st.sampled_from(["CPM", "CPM", "CPC", "CPA"])
offers = st.lists(st.tuples(brands, amounts, models), min_size=1, max_size=len(SLOTS))
passing = st.sampled_from([0, 1, 5, 30, 60, 240, 600])  # minutes
kinds = st.sampled_from(["charging", *CHARGED_BY.values()])


@dataclass
class Account:
    """A budget day. `told` is what Redis was told of `spent`. `open`: what is reserved, and until when."""

    spent: int = 0
    told: int = 0
    open: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)

    def reserved(self, now: datetime) -> int:
        return sum(micros for micros, ends in self.open.values() if ends > now)


@dataclass
class Counted:
    """An event as it was sent, the bid it follows from, and what it costs now on which day."""

    body: dict[str, Any]
    won: Won
    day: Day
    micros: int


class Money(RuleBasedStateMachine):
    def __init__(self, world: World) -> None:  # noqa: F811
        super().__init__()
        self.world = world
        world.clock = START
        wiring.redis_client().flushdb()
        wiring.close()
        self._empty()
        strategy = {"id": "plain", "vpi_multiplier": 1}
        limited = {"strategy_id": "plain", "daily_budget": from_micros(BUDGET)}
        world.set(
            {
                "strategies": [strategy],
                "brands": [{"id": "free", "strategy_id": "plain"}]
                + [{"id": brand, "timezone": zone, **limited} for brand, zone in ZONES.items()],
                "partners": [{"id": "p"}],
                "slots": [{"id": slot} for slot in SLOTS],
            }
        )
        self.numbers = iter(range(10**6))
        self.accounts: dict[Day, Account] = {}
        self.asked: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.wins: list[Won] = []
        self.known: set[tuple[str, str]] = set()  # the wins that Redis remembers
        self.events: list[Counted] = []
        self._report({"cost": "0", "revenue": "100", "brand_id": "free"}, "impression", count=100)
        assert ledger_snapshots.restore(wiring.database(), wiring.ledger(), START)

    def _empty(self) -> None:
        def write(connection: Any) -> None:
            for table in reversed(tables.metadata.sorted_tables):
                connection.execute(delete(table))

        wiring.database().transaction(write)

    def account(self, day: Day) -> Account:
        return self.accounts.setdefault(day, Account())

    def _score(self, body: dict[str, Any]) -> dict[str, Any]:
        response = score(http_event("POST", "/api/score", body), None)
        assert response["statusCode"] == 200, response["body"]
        found: dict[str, Any] = json.loads(response["body"])
        return found

    def _report(self, said: dict[str, Any], kind: str, **more: Any) -> tuple[dict[str, Any], str]:
        event = {"event_id": f"e{next(self.numbers)}", "type": kind, "partner_id": "p", "slot_id": "s1"}
        event |= {"pricing_model": "CPM", "currency": "USD", "event_time": self.world.clock.isoformat()}
        event |= {**said, **more}
        return event, self._send(event)

    def _send(self, event: dict[str, Any]) -> str:
        response = ingest(http_event("POST", "/api/performance", {"events": [event]}), None)
        [result] = json.loads(response["body"])["results"]
        return str(result["status"])

    # Scores ---------------------------------------------------------------------------------------

    @initialize(bundles=st.lists(offers, min_size=2, max_size=6))
    def begin(self, bundles: list[list[tuple[str, int, str]]]) -> None:
        for offered in bundles:
            self._ask(offered)

    @rule(offered=offers, later=passing, paid=st.lists(st.tuples(amounts, kinds, st.booleans()), max_size=3))
    def score(
        self, offered: list[tuple[str, int, str]], later: int, paid: list[tuple[int, str, bool]]
    ) -> None:
        """One bundle; what is won may be paid after a while."""
        before = len(self.wins)
        self._ask(offered)
        new = self.wins[before:]
        if new and paid:
            self.world.clock += minutes(later)
        for won, (micros, kind, heard) in zip(new, paid, strict=False):
            self._event(won, micros, kind, heard)

    def _ask(self, offered: list[tuple[str, int, str]]) -> None:
        request = f"r{next(self.numbers)}"
        bids = [
            {
                "id": f"b{place}",
                "brand_id": brand,
                "partner_id": "p",
                "slot_id": SLOTS[place],
                "pricing_model": model,
                "amount": str(from_micros(micros * 1_000 if model == "CPM" else micros * 20)),
                "currency": "USD",
            }
            for place, (brand, micros, model) in enumerate(offered)
        ]
        body = {"id": request, "bids": bids}
        answer = self._score(body)
        self.asked[request] = body, answer
        by_id = {bid["id"]: bid for bid in bids}
        # Slots draw in the order of their top score.
        for result in sorted(answer["results"], key=lambda one: (-one["score"], one["slot_id"])):
            self._expect(answer["decision_id"], by_id[result["bid_id"]], result)

    def _expect(self, decision: str, bid: dict[str, Any], result: dict[str, Any]) -> None:
        brand, model, now = bid["brand_id"], bid["pricing_model"], self.world.clock
        micros = ceil(round(result["predicted_cost"] * 1e6, 9))
        day = budget_day(now, ZONES.get(brand, "UTC"))
        if brand in ZONES:
            account = self.account((brand, day))
            if account.told + account.reserved(now) + micros > BUDGET:
                assert (result["status"], result["reasons"]) == ("rejected", ["budget_exhausted"])
                return
            account.open[decision, bid["id"]] = (micros, now + Lifetimes().of(model))
        assert (result["status"], result["reasons"]) == ("won", [])
        won = Won(decision, bid["id"], brand, "p", bid["slot_id"], model, day, micros)
        self.wins.append(won)
        self.known.add((decision, bid["id"]))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        body, answer = self.asked[data.draw(st.sampled_from(sorted(self.asked)))]
        assert self._score({**body, "bids": body["bids"][::-1]}) == answer

    # Events ---------------------------------------------------------------------------------------

    def _close(self, won: Won, kind: str) -> None:
        """What the ledger makes of an event that it hears of, also for the second time."""
        if kind == CHARGED_BY[won.pricing_model] and (won.decision_id, won.bid_id) in self.known:
            account = self.account((won.brand_id, won.day))
            account.open.pop((won.decision_id, won.bid_id), None)

    def _book(self, event: Counted, micros: int, heard: bool) -> None:
        account = self.account(event.day)
        changed = micros != event.micros
        account.spent += micros - event.micros
        event.micros = micros
        if heard and changed:
            account.told = account.spent

    @precondition(lambda self: self.wins)
    @rule(data=st.data(), micros=amounts, kind=kinds, heard=st.booleans(), again=st.booleans())
    def report(self, data: st.DataObject, micros: int, kind: str, heard: bool, again: bool) -> None:
        """Unless it is `heard`, Redis is gone between the commit and the ledger."""
        self._event(data.draw(st.sampled_from(self.wins[-8:])), micros, kind, heard)
        if again:
            self._repeat_event(self.events[-1])

    def _event(self, won: Won, micros: int, kind: str, heard: bool) -> None:
        kind = CHARGED_BY[won.pricing_model] if kind == "charging" else kind
        said = {"brand_id": won.brand_id, "slot_id": won.slot_id, "pricing_model": won.pricing_model}
        said |= {"decision_id": won.decision_id, "bid_id": won.bid_id, "revenue": "0.05"}
        with pytest.MonkeyPatch.context() as patch:
            if not heard:
                patch.setattr(wiring.ledger(), "settle", _gone)
            body, status = self._report(said, kind, cost=str(from_micros(micros)))
        assert status == "accepted"
        known = (won.decision_id, won.bid_id) in self.known
        day = won.day if known else budget_day(self.world.clock, ZONES.get(won.brand_id, "UTC"))
        event = Counted(body, won, (won.brand_id, day), 0)
        self.events.append(event)
        self._book(event, micros, heard)
        if heard:
            self._close(won, kind)

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def report_again(self, data: st.DataObject) -> None:
        self._repeat_event(data.draw(st.sampled_from(self.events)))

    def _repeat_event(self, event: Counted) -> None:
        assert self._send(event.body) == "duplicate"
        self._close(event.won, event.body["type"])

    @precondition(lambda self: self.events)
    @rule(data=st.data(), micros=st.none() | amounts)
    def correct(self, data: st.DataObject, micros: int | None) -> None:
        """Another price, or none: then it is taken back for good."""
        event = data.draw(st.sampled_from(self.events))
        said = {"brand_id": event.won.brand_id, "adjusts_event_id": event.body["event_id"]}
        said |= {name: event.body[name] for name in ("slot_id", "pricing_model")}
        if micros is None:
            _, status = self._report(said, "retraction")
            self.events.remove(event)
        else:
            _, status = self._report(said, "restatement", cost=str(from_micros(micros)))
        assert status == "accepted"
        self._book(event, micros or 0, heard=True)

    # The rest of the world ------------------------------------------------------------------------

    @rule(number=passing)
    def time_passes(self, number: int) -> None:
        self.world.clock += minutes(number)

    @rule()
    def the_monitor_looks(self) -> None:
        """Every minute it says again what was spent, and sweeps."""
        now = self.world.clock
        with wiring.database().read() as connection:
            days = list(brand_days.recent(connection, START.date()))
            totals = brand_days.spent(connection, [(one.brand_id, one.day) for one in days])
        wiring.ledger().settle([], [Spent(*_fields(one)) for one in totals], now)
        wiring.ledger().sweep(now)
        for account in self.accounts.values():
            account.told = account.spent

    @rule()
    def redis_is_emptied(self) -> None:
        """Right after a snapshot, so that nothing is missing."""
        now = self.world.clock
        ledger_snapshots.take(wiring.database(), wiring.ledger(), now)
        wiring.redis_client().flushdb()
        assert ledger_snapshots.restore(wiring.database(), wiring.ledger(), now)
        self.asked.clear()
        self.known = {
            bid for account in self.accounts.values() for bid, (_, ends) in account.open.items() if ends > now
        }
        for account in self.accounts.values():
            account.told = account.spent

    # What holds at all times ----------------------------------------------------------------------

    @invariant()
    def every_day_has_what_the_model_says(self) -> None:
        now, ledger = self.world.clock, wiring.ledger()
        held = ledger.accounts(self.accounts)
        opened = ledger.opens(self.accounts)
        for day, account in self.accounts.items():
            assert held[day].spent == account.told, day
            found = {(one.won.decision_id, one.won.bid_id): (one.won.micros, one.ends) for one in opened[day]}
            assert {bid: entry for bid, entry in found.items() if entry[1] > now} == {
                bid: entry for bid, entry in account.open.items() if entry[1] > now
            }

    @invariant()
    def the_check_finds_only_what_redis_has_not_heard_of(self) -> None:
        found = ledger_checks.check(wiring.database(), wiring.ledger(), self.world.clock)
        behind = {day for day, account in self.accounts.items() if account.told != account.spent}
        assert {(one.brand_id, one.day) for one in found} == behind
        assert {one.name for one in found} <= {"spent in Redis"}


def _gone(*_: object) -> None:
    raise RedisConnectionError("gone")


def _fields(one: Spent) -> tuple[str, date, int, int]:
    return one.brand_id, one.day, one.micros, one.revision


def test_any_history_of_scores_and_events_adds_up(world: World) -> None:  # noqa: F811
    run_state_machine_as_test(
        lambda: Money(world),
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
