"""Money is exact."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.money import format_money, from_micros, to_micros

AMOUNT = st.decimals(0, 10**11, places=6)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("12.5", "12.50"),
        ("0", "0.00"),
        ("100", "100.00"),
        ("1.234567", "1.234567"),
        ("1E+2", "100.00"),
        ("-3.1", "-3.10"),
    ],
)
def test_it_is_shown_plainly(amount: str, text: str) -> None:
    assert format_money(Decimal(amount)) == text


@given(AMOUNT)
def test_micros_and_back(amount: Decimal) -> None:
    assert from_micros(to_micros(amount)) == amount
    assert Decimal(format_money(amount)) == amount


def test_a_reservation_rounds_up() -> None:
    assert to_micros(Decimal("0.0000001")) == 1
    assert to_micros(Decimal("0.0000010")) == 1
