"""Money is exact: decimals with at most six places outside, whole micros of a currency inside."""

from decimal import ROUND_CEILING, Decimal

MICROS = 1_000_000
PLACES = Decimal("0.000001")


def to_micros(amount: Decimal) -> int:
    """Micros of `amount`, rounded up. Exact for up to six decimal places."""
    return int((amount * MICROS).to_integral_value(rounding=ROUND_CEILING))


def from_micros(micros: int) -> Decimal:
    """The decimal of a whole number of micros."""
    return Decimal(micros).scaleb(-6)


def format_money(amount: Decimal) -> str:
    """A plain decimal string with two to six places: 12.5 → "12.50", 1.234567 → "1.234567"."""
    text = f"{amount:.6f}"
    while text.endswith("0") and text[-3] != ".":
        text = text[:-1]
    return text
