"""What a bid is about, as a chain of ever finer cells: the one list of levels and dimensions.

A *cell* is a set of impressions that share their ids down to some level:
global → vertical → brand → ×partner → ×slot → ×device type → … → ×os.
Cells hold money, and there are no exchange rates: no cell holds two currencies. A brand has one, so this only
matters above it: "global" is everything in the brand's currency, "vertical" its vertical in that currency.
"""

from collections.abc import Mapping

CONTEXT_DIMENSIONS = ("device_type", "creative_type", "campaign_id", "country", "os")
"""Context a bid or an event may carry. Where absent it is "", and that level is skipped."""

LEVELS = ("global", "vertical", "brand", "partner", "slot", *CONTEXT_DIMENSIONS)
"""The hierarchy of response rates, coarse to fine."""

FIRST_CONTEXT_LEVEL = LEVELS.index(CONTEXT_DIMENSIONS[0])

_SEPARATOR = "\x1f"  # ids hold no control characters, so joined ids cannot collide


def market(currency: str, vertical: str) -> str:
    """What names a brand's cells above it: its currency and its vertical."""
    return f"{currency}{_SEPARATOR}{vertical}"


def parts(market: str) -> tuple[str, str]:
    """Currency and vertical of a market; "" and "" of "", that of a brand which isn't known."""
    currency, _, vertical = market.rpartition(_SEPARATOR)
    return currency, vertical


def chain(market: str, brand: str, partner: str, slot: str, context: tuple[str, ...]) -> list[str | None]:
    """Cell names of one bid or event, one per level of `LEVELS`; None where the level is skipped.

    `market` is what the function of that name gives, "" of a brand which isn't known; `context` holds one
    value per `CONTEXT_DIMENSIONS`, "" where absent.
    """
    currency, vertical = parts(market)
    base = f"{brand}{_SEPARATOR}{partner}"
    leaf = f"{base}{_SEPARATOR}{slot}"
    top = f"g{currency}", f"v{market}" if vertical else None
    cells: list[str | None] = [*top, f"b{brand}", f"p{base}", f"s{leaf}"]
    for depth, value in enumerate(context):
        leaf = f"{leaf}{_SEPARATOR}{value}"
        cells.append(f"{depth}{leaf}" if value else None)
    return cells


def context_of(row: Mapping[str, str | None]) -> tuple[str, ...]:
    """The values of `CONTEXT_DIMENSIONS` in `row`, "" where missing or None."""
    return tuple([row.get(dimension) or "" for dimension in CONTEXT_DIMENSIONS])
