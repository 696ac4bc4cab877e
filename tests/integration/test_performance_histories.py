"""Any history of events, in any batches, adds up to what a plain model says."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adbid.data.ledger import KEPT
from adbid.domain.decay import quarter_hour
from adbid.domain.events import Event
from adbid.domain.money import MICROS
from tests.support.performance import (  # noqa: F401  # fixtures
    NOW,
    Store,
    database_with_catalog,
    fresh_store,
    statuses,
    store_maker,
)

IDS = [f"e{number}" for number in range(5)]
ADJUSTMENT_IDS = [f"a{number}" for number in range(5)]
DAY = date(2026, 11, 18)
DECISIONS = {"d0": "b0", "d1": "auckland"}
"""The brands that won them; each reserved 0.40 of `DAY` for a click."""

MONEY = st.integers(0, 10**9).map(lambda micros: Decimal(micros).scaleb(-6))
OUTCOMES = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(IDS),
        "type_": st.sampled_from(["impression", "click", "conversion"]),
        "event_time": st.sampled_from(
            [NOW, NOW - timedelta(hours=5), NOW - timedelta(hours=23), NOW - timedelta(days=40)]
        ),
        "brand_id": st.sampled_from(["b0", "b1", "auckland"]),
        "decision_id": st.sampled_from(["", "", "d0", "d1", "forgotten"]),
        "count": st.integers(1, 1000),
        "cost": MONEY,
        "revenue": MONEY,
    }
)
ADJUSTMENTS = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(ADJUSTMENT_IDS),
        "type_": st.sampled_from(["restatement", "retraction"]),
        "adjusts": st.sampled_from([*IDS, *IDS, *ADJUSTMENT_IDS]),
        "count": st.none() | st.integers(1, 1000),
        "cost": st.none() | MONEY,
        "revenue": st.none() | MONEY,
    }
)
# Often the same again, because that is where counting twice would show.
HISTORIES = st.lists(st.one_of(OUTCOMES, OUTCOMES, ADJUSTMENTS), min_size=1, max_size=12).flatmap(
    lambda said: st.lists(st.sampled_from(said), min_size=1, max_size=30)
)


class Plain:
    """The same rules in the plainest way: every event in a dictionary, added up at the end."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, object]] = {}
        self.counted: dict[str, dict[str, object] | None] = {}
        self.charged: set[object] = set()

    def take(self, said: dict[str, object]) -> str:
        event_id = str(said["event_id"])
        if event_id in self.bodies:
            return "duplicate" if self.bodies[event_id] == said else "conflict"
        if "adjusts" in said:
            target = str(said["adjusts"])
            if target not in self.bodies:
                return "unknown_event"
            if target not in self.counted:
                return "not_adjustable"
            now = self.counted[target]
            if now is None:
                return "already_retracted"
            named = {name: said[name] for name in ("count", "cost", "revenue") if said[name] is not None}
            self.counted[target] = None if said["type_"] == "retraction" else {**now, **named}
        else:
            decision = said["decision_id"]
            if DECISIONS.get(str(decision), said["brand_id"]) != said["brand_id"]:
                return "contradicts_decision"
            if said["type_"] == "click":
                self.charged.add(decision)
            self.counted[event_id] = said
        self.bodies[event_id] = said
        return "accepted"

    def spent(self) -> dict[object, Decimal]:
        """What each decision's events cost now."""
        sums: dict[object, Decimal] = {}
        for said in filter(None, self.counted.values()):
            decision = said["decision_id"]
            sums[decision] = sums.get(decision, Decimal(0)) + Decimal(str(said["cost"]))
        return sums

    def totals(self) -> dict[tuple[object, ...], tuple[object, ...]]:
        sums: dict[tuple[object, ...], list[Decimal]] = {}
        for said in filter(None, self.counted.values()):
            at = said["event_time"]
            assert isinstance(at, datetime)
            cell = (quarter_hour(at), said["brand_id"], "s0", "mobile", "", "", "", "")
            total = sums.setdefault(cell, [Decimal(0)] * 5)
            place = ["impression", "click", "conversion"].index(str(said["type_"]))
            total[place] += Decimal(str(said["count"]))
            total[3] += Decimal(str(said["cost"]))
            total[4] += Decimal(str(said["revenue"]))
        return {cell: tuple(total) for cell, total in sums.items()}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=HISTORIES, cuts=st.sets(st.integers(1, 29)))
def test_any_history_in_any_batches_adds_up(
    stores: Callable[[], Store], history: list[dict[str, object]], cuts: set[int]
) -> None:
    store, plain = stores(), Plain()
    for decision, brand in DECISIONS.items():
        store.win(decision, brand_id=brand, day=DAY, now=NOW - timedelta(days=2))
    edges = [0, *sorted(cut for cut in cuts if cut < len(history)), len(history)]
    for start, end in pairwise(edges):
        part = history[start:end]
        results = store.ingest([_event(store, said) for said in part])
        assert statuses(results) == [plain.take(said) for said in part]
    assert store.totals() == plain.totals()
    store.check_redis()
    store.check_days()
    _check_ledger(store, plain)

    left = [event_id for event_id, said in plain.counted.items() if said is not None]
    store.ingest([store.adjustment(f"x-{event_id}", "retraction", event_id) for event_id in left])
    assert store.totals() == {}
    assert store.days() == {}
    store.check_redis()
    assert not any(account.spent for account in store.ledger.accounts(store.ledger.days()).values())


def _check_ledger(store: Store, plain: Plain) -> None:
    """Redis holds what MySQL says of every day; what was decided is paid from its day, and reserved until it
    is charged."""
    spent = {day: int(cast(Decimal, numbers[5]) * MICROS) for day, numbers in store.days().items()}
    accounts = store.ledger.accounts({*spent, *store.ledger.days()})
    recent = {day: micros for day, micros in spent.items() if day[1] >= (NOW - KEPT).date()}
    assert {day: one.spent for day, one in accounts.items() if one.spent} == {
        d: m for d, m in recent.items() if m
    }
    for decision, brand in DECISIONS.items():
        account = accounts[brand, DAY]
        assert account.spent == int(plain.spent().get(decision, Decimal(0)) * MICROS)
        assert account.reserved == (0 if decision in plain.charged else 400_000)
    assert store.ledger.check() == []


def _event(store: Store, said: dict[str, object]) -> Event:
    make = store.adjustment if "adjusts" in said else partial(store.event, bid_id="bid")
    return make(**said)  # type: ignore[operator]
