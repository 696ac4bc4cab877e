"""What happened after a decision: events, what each adds to the totals, and how a later one changes that."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b

from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.decay import quarter_hour
from adbid.domain.entities import BrandFeatures, SlotFeatures
from adbid.domain.errors import Invalid
from adbid.domain.ledger import CHARGED_BY, Won

OUTCOMES = ("impression", "click", "conversion")
"""The types that count something: their `count` goes to the measure at the same place in `decay.MEASURES`."""

ADJUSTMENTS = frozenset({"restatement", "retraction"})
"""The types that change what another event counts."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far a sender's clock may be ahead of ours."""

COUNTED, RESTATED, RETRACTED, ADJUSTMENT = "counted", "restated", "retracted", "adjustment"
"""States of an accepted event: as sent, with other amounts, taken back; an adjustment adds nothing itself."""

_SEPARATOR, _UNSAID = "\x1f", "\x00"  # ids hold no control characters, so joined fields cannot collide

Key = tuple[str, str]
"""(partner, event id): what identifies an event."""

Totals = tuple[int, int, int, Decimal, Decimal]
"""A number per `decay.MEASURES`; a change of totals may be negative."""


def plus(known: Totals, more: Totals) -> Totals:
    """Both together."""
    return (
        known[0] + more[0],
        known[1] + more[1],
        known[2] + more[2],
        known[3] + more[3],
        known[4] + more[4],
    )


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many, what they cost the brand and what revenue they brought, in the brand's currency."""

    count: int
    cost: Decimal
    revenue: Decimal


NOTHING = Amounts(0, Decimal(0), Decimal(0))
ONE = Amounts(1, Decimal(0), Decimal(0))
"""What an outcome counts where it doesn't say."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a partner reports, normalised: its time in UTC, exact amounts, "" or None for what it doesn't say.

    `context` holds one value per `CONTEXT_DIMENSIONS`. Only an adjustment may leave out its brand and slot.
    """

    partner_id: str
    event_id: str
    type: str
    event_time: datetime
    brand_id: str
    slot_id: str
    context: tuple[str, ...]
    pricing_model: str
    currency: str
    decision_id: str
    bid_id: str
    adjusts_event_id: str
    count: int | None
    cost: Decimal | None
    revenue: Decimal | None

    @property
    def key(self) -> Key:
        return self.partner_id, self.event_id

    @property
    def adjusts(self) -> Key | None:
        """The event that this one restates or retracts."""
        return (self.partner_id, self.adjusts_event_id) if self.type in ADJUSTMENTS else None

    def body_hash(self) -> bytes:
        """32 bytes that are equal for bodies that mean the same, however they were written."""
        sent = _amounts(self, ONE) if self.type in OUTCOMES else self
        fields = (
            self.type,
            self.event_time.isoformat(),
            self.brand_id,
            self.slot_id,
            *self.context,
            self.pricing_model,
            self.currency,
            self.decision_id,
            self.bid_id,
            self.adjusts_event_id,
            _UNSAID if sent.count is None else str(sent.count),
            _UNSAID if sent.cost is None else f"{sent.cost:.6f}",
            _UNSAID if sent.revenue is None else f"{sent.revenue:.6f}",
        )
        return blake2b(_SEPARATOR.join(fields).encode(), digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """An accepted event. `sent` is what its sender said, `current` what it adds to the totals now.

    `budget_day` is the day in the brand's time zone whose budget its cost is booked on; None only for events
    from before days were kept. An adjustment's event names the original's brand, slot, context, pricing
    model, decision and bid, and has its budget day.
    """

    event: Event
    body_hash: bytes
    sent: Amounts
    current: Amounts
    state: str
    budget_day: date | None


@dataclass(frozen=True, slots=True)
class Cell:
    """What totals are kept for: one quarter hour of everything that tells impressions apart."""

    bucket_start: datetime
    brand_id: str
    partner_id: str
    slot_id: str
    context: tuple[str, ...]
    pricing_model: str


def cell_of(event: Event) -> Cell:
    """Where an outcome is counted."""
    return Cell(
        quarter_hour(event.event_time),
        event.brand_id,
        event.partner_id,
        event.slot_id,
        event.context,
        event.pricing_model,
    )


def accept(event: Event, body_hash: bytes, budget_day: date) -> Record:
    """The record of an outcome, which counts as it was sent."""
    amounts = _amounts(event, ONE)
    return Record(event, body_hash, amounts, amounts, COUNTED, budget_day)


def adjust(original: Record, adjustment: Event, body_hash: bytes) -> tuple[Record, Record]:
    """The original as it counts from now on, and the adjustment's own record.

    A restatement replaces the amounts it names and keeps the others; a retraction takes back everything.
    Raises Invalid: `not_adjustable`, `already_retracted` or `contradicts_event`.
    """
    event = original.event
    if event.type not in OUTCOMES:
        raise Invalid("not_adjustable", f"adjusts_event_id: {event.event_id} is a {event.type} itself")
    if original.state == RETRACTED:
        raise Invalid("already_retracted", f"adjusts_event_id: {event.event_id} was retracted before")
    _agree(event, adjustment)
    if adjustment.type == "retraction":
        amounts, state = NOTHING, RETRACTED
    else:
        amounts, state = _amounts(adjustment, original.current), RESTATED
    placed = replace(
        adjustment,
        brand_id=event.brand_id,
        slot_id=event.slot_id,
        context=event.context,
        pricing_model=event.pricing_model,
        decision_id=event.decision_id,
        bid_id=event.bid_id,
    )
    after = replace(original, current=amounts, state=state)
    return after, Record(placed, body_hash, amounts, NOTHING, ADJUSTMENT, original.budget_day)


def change(outcome: Event, before: Amounts, after: Amounts) -> Totals:
    """What the totals of the outcome's cell gain when it counts `after` instead of `before`."""
    counts = [0, 0, 0]
    counts[OUTCOMES.index(outcome.type)] = after.count - before.count
    return counts[0], counts[1], counts[2], after.cost - before.cost, after.revenue - before.revenue


def check_time(event: Event, now: datetime) -> None:
    """Raises Invalid `event_in_future`."""
    if event.event_time > now + CLOCK_SKEW:
        raise Invalid("event_in_future", f"event_time: {event.event_time.isoformat()} is still to come")


def check_brand(event: Event, brand: BrandFeatures | None) -> BrandFeatures:
    """The brand. Raises Invalid `unknown_brand`, `currency_mismatch`, or `invalid_event` where money has no
    currency."""
    if brand is None:
        raise Invalid("unknown_brand", f"brand_id: there is no brand {event.brand_id}")
    if event.currency and event.currency != brand.currency:
        raise Invalid("currency_mismatch", f"currency: brand {brand.id} counts in {brand.currency}")
    if not event.currency and (event.cost or event.revenue):
        raise Invalid("invalid_event", "currency: required with a cost or a revenue")
    return brand


def check_slot(event: Event, slot: SlotFeatures | None) -> None:
    """Raises Invalid `unknown_slot`, also for another partner's slot."""
    if slot is None or slot.partner_id not in (None, event.partner_id):
        raise Invalid("unknown_slot", f"slot_id: partner {event.partner_id} has no slot {event.slot_id}")


def check_decision(event: Event, won: Won) -> None:
    """Raises Invalid `contradicts_decision`, naming a field in which an outcome is at odds with the bid that
    it follows from. The partner comes first: of another's decision nobody learns anything else.
    """
    wrong = _contradiction(event, won)
    if wrong:
        raise Invalid("contradicts_decision", f"{wrong}: decision {event.decision_id} says otherwise")


def charges(event: Event, won: Won) -> bool:
    """Whether an event is what the brand pays the won bid for."""
    return event.type == CHARGED_BY[won.pricing_model] and not _contradiction(event, won)


def _contradiction(event: Event, won: Won) -> str | None:
    for name in ("partner_id", "brand_id", "slot_id", "pricing_model"):
        said = getattr(event, name)
        if said and said != getattr(won, name):
            return name
    return None


def _amounts(said: Event, default: Amounts) -> Amounts:
    return Amounts(
        default.count if said.count is None else said.count,
        default.cost if said.cost is None else said.cost,
        default.revenue if said.revenue is None else said.revenue,
    )


def _agree(original: Event, adjustment: Event) -> None:
    fields = ("brand_id", "slot_id", "pricing_model", "decision_id", "bid_id")
    pairs = [(name, getattr(adjustment, name), getattr(original, name)) for name in fields]
    pairs += zip(CONTEXT_DIMENSIONS, adjustment.context, original.context, strict=True)
    for name, said, known in pairs:
        if said and said != known:
            raise Invalid("contradicts_event", f"{name}: event {original.event_id} says otherwise")
