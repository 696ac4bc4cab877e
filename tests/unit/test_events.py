"""What an event adds, how later events change that, and when two bodies mean the same."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.entities import BrandFeatures, SlotFeatures, StrategyFeatures
from adbid.domain.errors import Invalid
from adbid.domain.events import (
    ADJUSTMENT,
    NOTHING,
    RESTATED,
    RETRACTED,
    Amounts,
    Event,
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
from adbid.domain.ledger import Won

CLICK = Event(
    partner_id="p7",
    event_id="e-1",
    type="click",
    event_time=datetime(2026, 11, 20, 9, 29, 59, 999999, UTC),
    brand_id="camp 1",
    slot_id="#N/A",
    context=("mobile", "banner", "", "US", ""),
    pricing_model="CPC",
    currency="USD",
    decision_id="d1",
    bid_id="b1",
    adjusts_event_id="",
    count=3,
    cost=Decimal("1.20"),
    revenue=Decimal("0.5"),
)
RETRACTION = replace(
    CLICK,
    event_id="r-1",
    type="retraction",
    brand_id="",
    slot_id="",
    context=("", "", "", "", ""),
    pricing_model="",
    currency="",
    decision_id="",
    bid_id="",
    adjusts_event_id="e-1",
    count=None,
    cost=None,
    revenue=None,
)
RESTATEMENT = replace(RETRACTION, type="restatement", event_id="s-1", currency="USD", cost=Decimal("0.90"))
HASH = bytes(32)
TODAY = date(2026, 11, 20)
RECORD = accept(CLICK, HASH, TODAY)
STRATEGY = StrategyFeatures("st", "growth", 1.0, 0, 0.0, 0.0, 1)
WON = Won("d1", "b1", "camp 1", "p7", "#N/A", "CPC", date(2026, 11, 18), 400_000)
BRAND = BrandFeatures("camp 1", "retail", "USD", "UTC", None, 2.0, "active", 1, STRATEGY)


def code(wrong: pytest.ExceptionInfo[Invalid]) -> str:
    return wrong.value.code


def test_an_outcome_counts_in_its_quarter_hour_and_its_own_measure() -> None:
    cell = cell_of(CLICK)
    assert cell.bucket_start == datetime(2026, 11, 20, 9, 15, tzinfo=UTC)
    assert (cell.brand_id, cell.partner_id, cell.slot_id) == ("camp 1", "p7", "#N/A")
    assert (cell.context, cell.pricing_model) == (("mobile", "banner", "", "US", ""), "CPC")
    assert change(CLICK, NOTHING, RECORD.current) == (0, 3, 0, Decimal("1.20"), Decimal("0.5"))
    assert change(replace(CLICK, type="impression"), NOTHING, RECORD.current)[:3] == (3, 0, 0)
    assert change(replace(CLICK, type="conversion"), NOTHING, RECORD.current)[:3] == (0, 0, 3)


def test_an_outcome_that_names_no_amounts_is_one_for_nothing() -> None:
    silent = replace(CLICK, count=None, cost=None, revenue=None)
    assert accept(silent, HASH, TODAY).current == Amounts(1, Decimal(0), Decimal(0))


def test_a_restatement_replaces_what_it_names_and_keeps_the_rest() -> None:
    after, adjustment = adjust(RECORD, RESTATEMENT, HASH)
    assert after.current == Amounts(3, Decimal("0.90"), Decimal("0.5"))
    assert (after.state, after.sent, after.event) == (RESTATED, RECORD.sent, CLICK)
    assert change(CLICK, RECORD.current, after.current) == (0, 0, 0, Decimal("-0.30"), Decimal(0))
    assert (adjustment.state, adjustment.current) == (ADJUSTMENT, NOTHING)
    assert (adjustment.event.brand_id, adjustment.event.slot_id) == ("camp 1", "#N/A")


def test_a_retraction_takes_back_what_counts_now() -> None:
    restated, _ = adjust(RECORD, replace(RESTATEMENT, count=5), HASH)
    after, _ = adjust(restated, replace(RETRACTION, count=1), HASH)
    assert (after.current, after.state) == (NOTHING, RETRACTED)
    assert change(CLICK, restated.current, after.current) == (0, -5, 0, Decimal("-0.90"), Decimal("-0.5"))


def test_what_was_retracted_stays_retracted() -> None:
    retracted, _ = adjust(RECORD, RETRACTION, HASH)
    for again in (RESTATEMENT, replace(RETRACTION, event_id="r-2")):
        with pytest.raises(Invalid) as wrong:
            adjust(retracted, again, HASH)
        assert code(wrong) == "already_retracted"


def test_an_adjustment_cannot_be_adjusted() -> None:
    _, adjustment = adjust(RECORD, RESTATEMENT, HASH)
    with pytest.raises(Invalid) as wrong:
        adjust(adjustment, replace(RETRACTION, adjusts_event_id="s-1"), HASH)
    assert code(wrong) == "not_adjustable"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("brand_id", "camp 2"),
        ("slot_id", "s9"),
        ("pricing_model", "CPM"),
        ("decision_id", "d2"),
        ("bid_id", "b2"),
        ("context", ("desktop", "", "", "", "")),
        ("context", ("", "", "campaign", "", "")),
    ],
)
def test_an_adjustment_may_repeat_the_original_but_not_contradict_it(name: str, other: object) -> None:
    adjust(RECORD, replace(RETRACTION, **{name: getattr(CLICK, name)}), HASH)
    with pytest.raises(Invalid) as wrong:
        adjust(RECORD, replace(RETRACTION, **{name: other}), HASH)
    assert code(wrong) == "contradicts_event"


def test_an_adjustment_is_booked_on_the_day_of_what_it_adjusts() -> None:
    late = accept(CLICK, HASH, WON.day)
    after, adjustment = adjust(late, RETRACTION, HASH)
    assert after.budget_day == adjustment.budget_day == WON.day


@pytest.mark.parametrize(
    ("name", "other"),
    [("partner_id", "p8"), ("brand_id", "camp 2"), ("slot_id", "s9"), ("pricing_model", "CPM")],
)
def test_an_event_agrees_with_the_decision_it_follows_from(name: str, other: str) -> None:
    check_decision(CLICK, WON)
    check_decision(replace(CLICK, pricing_model=""), WON)
    with pytest.raises(Invalid) as wrong:
        check_decision(replace(CLICK, **{name: other}), WON)
    assert (wrong.value.code, wrong.value.message) == (
        "contradicts_decision",
        f"{name}: decision d1 says otherwise",
    )
    assert not charges(replace(CLICK, **{name: other}), WON)


def test_of_another_partners_decision_only_that_is_said() -> None:
    with pytest.raises(Invalid, match=r"^partner_id: decision d1 says otherwise$"):
        check_decision(replace(CLICK, partner_id="p8", brand_id="camp 2", slot_id="s9"), WON)


@pytest.mark.parametrize(
    ("pricing", "paid"), [("CPM", "impression"), ("CPC", "click"), ("CPA", "conversion")]
)
def test_what_a_won_bid_is_paid_for(pricing: str, paid: str) -> None:
    won = replace(WON, pricing_model=pricing)
    for kind in ("impression", "click", "conversion", "retraction"):
        assert charges(replace(CLICK, type=kind, pricing_model=pricing), won) == (kind == paid)


def test_five_minutes_into_the_future_are_a_clock_and_more_is_a_mistake() -> None:
    check_time(CLICK, CLICK.event_time - timedelta(minutes=5))
    with pytest.raises(Invalid) as wrong:
        check_time(CLICK, CLICK.event_time - timedelta(minutes=5, microseconds=1))
    assert code(wrong) == "event_in_future"


def test_money_needs_the_brands_currency() -> None:
    check_brand(CLICK, BRAND)
    check_brand(replace(CLICK, currency="", cost=Decimal(0), revenue=None), BRAND)
    for event, brand, expected in (
        (CLICK, None, "unknown_brand"),
        (replace(CLICK, currency="EUR"), BRAND, "currency_mismatch"),
        (replace(CLICK, currency="EUR", cost=None, revenue=None), BRAND, "currency_mismatch"),
        (replace(CLICK, currency="", revenue=None), BRAND, "invalid_event"),
        (replace(CLICK, currency="", cost=None), BRAND, "invalid_event"),
    ):
        with pytest.raises(Invalid) as wrong:
            check_brand(event, brand)
        assert code(wrong) == expected


def test_a_slot_is_its_owners_or_everyones() -> None:
    open_slot = SlotFeatures("#N/A", None, 0.5, Decimal(0), "USD", 1)
    check_slot(CLICK, open_slot)
    check_slot(CLICK, replace(open_slot, partner_id="p7"))
    for slot in (None, replace(open_slot, partner_id="p8")):
        with pytest.raises(Invalid) as wrong:
            check_slot(CLICK, slot)
        assert code(wrong) == "unknown_slot"


def test_bodies_that_mean_the_same_have_the_same_hash() -> None:
    plain = replace(CLICK, count=None, cost=None, revenue=Decimal("0.5"))
    same = replace(plain, count=1, cost=Decimal("0.000"), revenue=Decimal("0.500000"))
    assert plain.body_hash() == same.body_hash()
    assert len(plain.body_hash()) == 32
    # An adjustment that says nothing keeps what is; one that says 0 does not.
    assert RESTATEMENT.body_hash() != replace(RESTATEMENT, revenue=Decimal(0)).body_hash()


TEXTS = [
    "type",
    "brand_id",
    "slot_id",
    "pricing_model",
    "currency",
    "decision_id",
    "bid_id",
    "adjusts_event_id",
]


@given(
    name=st.sampled_from([*TEXTS, "event_time", "count", "cost", "revenue"]),
    text=st.text(st.characters(exclude_categories=["C"]), max_size=64),
    number=st.integers(1, 10**12),
    micros=st.integers(0, 10**18 - 1),
    moved=st.timedeltas(timedelta(days=-9000), timedelta(days=9000)),
)
def test_any_other_value_gives_another_hash(
    name: str, text: str, number: int, micros: int, moved: timedelta
) -> None:
    money = Decimal(micros).scaleb(-6)
    values = {"event_time": CLICK.event_time + moved, "count": number, "cost": money, "revenue": money}
    other = replace(CLICK, **{name: values.get(name, text)})
    assert (other.body_hash() == CLICK.body_hash()) == (other == CLICK)


@given(st.tuples(*[st.sampled_from(["", "a", "b"])] * 5))
def test_context_values_do_not_run_into_each_other(context: tuple[str, ...]) -> None:
    other = replace(CLICK, context=context)
    assert (other.body_hash() == replace(CLICK, context=("a", "", "b", "", "")).body_hash()) == (
        context == ("a", "", "b", "", "")
    )
