"""The small types of every request: what is taken, what is refused, and what it then is."""

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from adbid.domain.money import format_money
from adbid.web.schema import MONEY_LIMIT, Country, Currency, Id, Moment, Money
from functions.score.models import REQUEST

MONEY: TypeAdapter[Decimal] = TypeAdapter(Money)
MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
ID: TypeAdapter[str] = TypeAdapter(Id)


def refused(schema: TypeAdapter[Any], text: str) -> str:
    """The code that `text` (JSON) is refused with."""
    with pytest.raises(ValidationError) as caught:
        schema.validate_json(text)
    return str(caught.value.errors()[0]["type"])


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ('"12.50"', "12.5"),
        ("12.5", "12.5"),
        ("0.1", "0.1"),
        ('"00012.5"', "12.5"),
        ('"1.0000000"', "1"),
        ("1e2", "100"),
        ("0.000001", "0.000001"),
        ('"-0"', "0"),
        ("-0.0", "0"),
        ('"999999999999.999999"', "999999999999.999999"),
        ("123456789.012345", "123456789.012345"),  # fifteen digits are exact in a JSON number
    ],
)
def test_money_is_the_decimal_that_was_meant(text: str, amount: str) -> None:
    found = MONEY.validate_json(text)
    assert found == Decimal(amount)
    assert not found.is_signed()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('"1_000"', "not_decimal"),
        ('" 1"', "not_decimal"),
        ('"1\\n"', "not_decimal"),
        ('"１２"', "not_decimal"),
        ('"1e2"', "not_decimal"),
        ('"+1"', "not_decimal"),
        ('"1,5"', "not_decimal"),
        ('".5"', "not_decimal"),
        ('"0x10"', "not_decimal"),
        ('""', "not_decimal"),
        ('"NaN"', "not_decimal"),
        ('"Infinity"', "not_decimal"),
        ("NaN", "finite_number"),
        ("1e400", "finite_number"),
        ("0.30000000000000004", "inexact"),
        ("12345678901.234567", "inexact"),
        ("1e-7", "decimal_max_places"),
        ('"0.0000001"', "decimal_max_places"),
        ("-0.01", "greater_than_equal"),
        ("1000000000000", "less_than"),
        ('"' + "9" * 400 + '"', "less_than"),
        ("true", "decimal_type"),
        ("null", "decimal_type"),
        ("[1]", "decimal_type"),
    ],
)
def test_money_that_is_refused(text: str, code: str) -> None:
    assert refused(MONEY, text) == code


@given(st.integers(0, 10**18 - 1))
def test_every_amount_survives_as_a_string(micros: int) -> None:
    amount = Decimal(micros).scaleb(-6)
    assert MONEY.validate_json(json.dumps(format_money(amount))) == amount


@given(st.floats(0, float(MONEY_LIMIT), exclude_max=True))
def test_a_number_is_taken_as_it_was_written_or_not_at_all(number: float) -> None:
    text = json.dumps(number)
    try:
        found = MONEY.validate_json(text)
    except ValidationError:
        return
    assert found == Decimal(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-20T09:00:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        ("2026-11-20T09:00:00+09:00", datetime(2026, 11, 20, 0, tzinfo=UTC)),
        ("2026-11-20T00:30:00.25-05:30", datetime(2026, 11, 20, 6, 0, 0, 250_000, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_moments_are_utc(text: str, moment: datetime) -> None:
    found = MOMENT.validate_json(json.dumps(text))
    assert (found, found.utcoffset()) == (moment, timedelta(0))
    assert found.hour == moment.hour


@pytest.mark.parametrize(
    "text",
    [
        '"2026-11-20T09:00:00"',
        '"2026-11-20"',
        '"2026-02-30T00:00:00Z"',
        '"2026-11-20T25:00:00Z"',
        '"2026-11-20T09:00:00+99:00"',
        '"1999-12-31T23:59:59Z"',
        '"2000-01-01T00:00:00+00:01"',
        '"0001-01-01T00:00:00+14:00"',
        '"9999-12-31T23:59:59-14:00"',
        '"1700000000"',
        '"1700000000.5"',
        '"now"',
        '""',
        "1700000000",
        "1.5",
        "true",
        "null",
    ],
)
def test_moments_that_are_refused(text: str) -> None:
    refused(MOMENT, text)


@pytest.mark.parametrize(
    "one", ["1l1007802", "camp 1", "#N/A", "a:b", "50%20", "ü", "😀" * 64, "a", "x" * 64]
)
def test_ids(one: str) -> None:
    assert ID.validate_json(json.dumps(one)) == one


@pytest.mark.parametrize("text", ['""', '" a"', '"a "', '"a\\n"', '"\\u00a0a"', '"\\ud800"', "1", "null"])
def test_what_is_no_id(text: str) -> None:
    refused(ID, text)
    refused(ID, json.dumps("x" * 65))


@given(st.characters(categories=["Cc"]), st.sampled_from(["a{}", "{}a", "a{}a"]))
def test_no_control_character_is_in_an_id(character: str, shape: str) -> None:
    assert unicodedata.category(character) == "Cc"
    refused(ID, json.dumps(shape.format(character)))


@pytest.mark.parametrize(("kind", "good"), [(Currency, "USD"), (Country, "DE")])
def test_codes_are_capitals(kind: Any, good: str) -> None:
    schema = TypeAdapter(kind)
    assert schema.validate_json(f'"{good}"') == good
    for bad in (good.lower(), good + "X", good[:-1], f" {good}", "１" * len(good), "ÄÖÜ"[: len(good)]):
        refused(schema, json.dumps(bad))


BID = {
    "id": "b",
    "brand_id": "b1",
    "partner_id": "p1",
    "slot_id": "s1",
    "pricing_model": "CPM",
    "amount": "4.00",
    "currency": "USD",
}


def request(**changed: Any) -> str:
    return json.dumps({"id": "r", "bids": [{**BID, **changed}]})


@pytest.mark.parametrize("amount", ["0", "00012.5", "999999999.999999", 0, 4, 4.5, 1e3, 1e-300, 5e-324, 1e9])
def test_amounts_of_a_bid(amount: Any) -> None:
    asked = REQUEST.validate_json(request(amount=amount))
    assert float(asked["bids"][0]["amount"]) == float(amount)


@pytest.mark.parametrize(
    "amount",
    [
        *("1e3", "-1", "+1", "1_0", "１２", "٣", " 1", "1 ", "1\n", ".5", "5.", "1.0000000", "1" * 10),
        *("NaN", "", "true", True, None, [], {}, -1, -1e-300, 1e9 + 1, float("nan"), float("inf")),
    ],
)
def test_amounts_no_bid_has(amount: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        REQUEST.validate_json(request(amount=amount))
    assert {error["loc"][:3] for error in caught.value.errors()} == {("bids", 0, "amount")}


def test_numbers_too_long_to_read_are_no_crash() -> None:
    for digits in ("9" * 5000, "0." + "1" * 5000, "1e" + "9" * 400, "-" + "9" * 400):
        text = request(amount=1).replace('"amount": 1', f'"amount": {digits}')
        try:
            REQUEST.validate_json(text)
        except ValidationError:
            continue
        assert digits.startswith("0.")  # a fraction of many digits is a number like any other


def test_a_partner_by_its_other_name_but_not_by_both() -> None:
    bid = {name: value for name, value in BID.items() if name != "partner_id"}
    asked = REQUEST.validate_json(json.dumps({"id": "r", "bids": [{**bid, "publisher_id": "p2"}]}))
    assert asked["bids"][0]["partner_id"] == "p2"
    for other in ("p1", "p2"):
        with pytest.raises(ValidationError, match="publisher_id"):
            REQUEST.validate_json(request(publisher_id=other))
