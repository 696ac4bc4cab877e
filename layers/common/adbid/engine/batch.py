"""A batch of events, gone through one by one: what is known of each, what it changes, and what it is told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from adbid.data.brand_days import Day, Gain
from adbid.data.counters import Increment
from adbid.domain.entities import BrandFeatures, PartnerFeatures, SlotFeatures
from adbid.domain.errors import Invalid
from adbid.domain.events import (
    NOTHING,
    Amounts,
    Cell,
    Event,
    Key,
    Record,
    Totals,
    accept,
    adjust,
    cell_of,
    change,
    charges,
    check_brand,
    check_decision,
    check_slot,
    check_time,
)
from adbid.domain.ledger import Won, budget_day

Bid = tuple[str, str]
"""(decision, bid): what an outcome follows from."""

_TOTAL_LIMIT = Decimal(1_000_000_000_000)  # what DECIMAL(18,6) holds
_NONE = Decimal(0)
_ZERO: Totals = (0, 0, 0, _NONE, _NONE)


@dataclass(frozen=True, slots=True)
class Result:
    """Of one event: `accepted`, `duplicate`, `conflict`, or `rejected` with a code and a message."""

    event_id: str | None
    status: str
    code: str = ""
    message: str = ""


def rejected(event_id: str | None, why: Invalid) -> Result:
    """The result of an event that can't be counted."""
    return Result(event_id, "rejected", why.code, why.message)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a batch names, as far as it exists."""

    brands: Mapping[str, BrandFeatures]
    partners: Mapping[str, PartnerFeatures]
    slots: Mapping[str, SlotFeatures]


class Batch:
    """The batch as far as it has been gone through.

    `hashes` are the body hashes of its events that were accepted before, `originals` the events that it
    adjusts, `won` the bids that its events follow from, as far as they are remembered.
    """

    def __init__(
        self,
        hashes: dict[Key, bytes],
        originals: Mapping[Key, Record],
        catalog: Catalog,
        won: Mapping[Bid, Won],
    ) -> None:
        self._hashes = hashes
        self._originals = originals
        self._catalog = catalog
        self._won = won
        self._cells: dict[Cell, Totals] = {}
        self._days: dict[Day, Totals] = {}
        self._spent: dict[Day, Decimal] = {}
        self.new: dict[Key, Record] = {}
        self.changed: dict[Key, Record] = {}
        self.charged: dict[Bid, Won] = {}

    def take(self, event: Event, now: datetime) -> Result:
        """Decide on the next event."""
        body_hash = event.body_hash()
        known = self._hashes.get(event.key)
        if known is not None:
            if known != body_hash:
                return Result(event.event_id, "conflict")
            self._charge(
                event
            )  # again: its first sender may have ended before it could close the reservation
            return Result(event.event_id, "duplicate")
        try:
            if event.partner_id not in self._catalog.partners:
                raise unknown_partner(event)
            check_time(event, now)
            if event.adjusts is None:
                self._take_outcome(event, body_hash)
            else:
                self._take_adjustment(event, event.adjusts, body_hash)
        except Invalid as why:
            return rejected(event.event_id, why)
        self._hashes[event.key] = body_hash
        return Result(event.event_id, "accepted")

    @property
    def brands(self) -> Iterable[BrandFeatures]:
        """The brands it names."""
        return self._catalog.brands.values()

    def cells(self) -> dict[Cell, Totals]:
        """What the totals gain."""
        return {cell: gain for cell, gain in self._cells.items() if gain != _ZERO}

    def days(self) -> dict[Day, Gain]:
        """What brands' days gain."""
        gains = {
            day: Gain(self._days.get(day, _ZERO), self._spent.get(day, _NONE))
            for day in self._days.keys() | self._spent.keys()
        }
        return {day: gain for day, gain in gains.items() if gain.spent or gain.totals != _ZERO}

    def increments(self, cells: Mapping[Cell, Totals]) -> list[Increment]:
        """`cells` as the sums in Redis take them."""
        return [
            Increment(
                self._catalog.brands[cell.brand_id].market,
                cell.brand_id,
                cell.partner_id,
                cell.slot_id,
                cell.context,
                cell.bucket_start,
                tuple([float(number) for number in totals]),
            )
            for cell, totals in cells.items()
        ]

    def _take_outcome(self, event: Event, body_hash: bytes) -> None:
        brand = check_brand(event, self._catalog.brands.get(event.brand_id))
        check_slot(event, self._catalog.slots.get(event.slot_id))
        won = self._won.get((event.decision_id, event.bid_id))
        happened = budget_day(event.event_time, brand.timezone)
        if won is not None:
            check_decision(event, won)
        record = accept(event, body_hash, happened if won is None else won.day)
        self._gain(record, NOTHING, happened)
        self._charge(event)
        self.new[event.key] = record

    def _take_adjustment(self, event: Event, adjusts: Key, body_hash: bytes) -> None:
        original = self.new.get(adjusts) or self.changed.get(adjusts) or self._originals.get(adjusts)
        if original is None:
            raise Invalid("unknown_event", f"adjusts_event_id: there is no event {event.adjusts_event_id}")
        brand = check_brand(event, self._catalog.brands.get(original.event.brand_id))
        happened = budget_day(original.event.event_time, brand.timezone)
        if original.budget_day is None:
            original = replace(original, budget_day=happened)
        after, record = adjust(original, event, body_hash)
        self._gain(after, original.current, happened)
        (self.new if adjusts in self.new else self.changed)[adjusts] = after
        self.new[event.key] = record

    def _gain(self, outcome: Record, before: Amounts, happened: date) -> None:
        """Counts an outcome as it stands now instead of as `before`."""
        event = outcome.event
        more = change(event, before, outcome.current)
        assert outcome.budget_day is not None
        cell, day, paid = cell_of(event), (event.brand_id, happened), (event.brand_id, outcome.budget_day)
        in_cell = _plus(self._cells.get(cell, _ZERO), more)
        on_day = _plus(self._days.get(day, _ZERO), more)
        spent = self._spent.get(paid, _NONE) + more[3]
        if more[3] or more[4]:  # most events are impressions, many of them for nothing
            amounts = (*in_cell[3:], *on_day[3:], spent)
            if max(amounts) >= _TOTAL_LIMIT or min(amounts) <= -_TOTAL_LIMIT:
                raise out_of_range()
        self._cells[cell], self._days[day], self._spent[paid] = in_cell, on_day, spent

    def _charge(self, event: Event) -> None:
        bid = (event.decision_id, event.bid_id)
        won = self._won.get(bid)
        if won is not None and charges(event, won):
            self.charged[bid] = won


def out_of_range() -> Invalid:
    return Invalid(
        "amount_out_of_range", "cost, revenue: a quarter hour's or a day's total would get too large"
    )


def unknown_partner(event: Event) -> Invalid:
    return Invalid("unknown_partner", f"partner_id: there is no partner {event.partner_id}")


def _plus(known: Totals, more: Totals) -> Totals:
    return (
        known[0] + more[0],
        known[1] + more[1],
        known[2] + more[2],
        known[3] + more[3],
        known[4] + more[4],
    )
