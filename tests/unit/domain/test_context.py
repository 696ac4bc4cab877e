"""The chain of cells that a bid belongs to."""

from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.context import CONTEXT_DIMENSIONS, LEVELS, chain, context_of, market, parts

ID = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=8)


def test_a_bid_has_one_cell_per_level_and_none_where_it_says_nothing() -> None:
    cells = chain(
        market("USD", "shoes"), "b", "p", "s", context_of({"device_type": "mobile", "country": None})
    )
    assert len(cells) == len(LEVELS)
    assert [level for level, cell in zip(LEVELS, cells, strict=True) if cell] == [
        "global",
        "vertical",
        "brand",
        "partner",
        "slot",
        "device_type",
    ]


def test_context_reads_every_dimension() -> None:
    row = {dimension: dimension for dimension in CONTEXT_DIMENSIONS}
    assert context_of(row) == CONTEXT_DIMENSIONS


@given(st.lists(st.tuples(ID, ID, ID, ID), min_size=2, max_size=2, unique=True))
def test_different_ids_never_share_their_finest_cell(two: list[tuple[str, str, str, str]]) -> None:
    first, second = (chain(market("USD", "v"), b, p, s, (d, "", "", "", "")) for b, p, s, d in two)
    assert first[5] != second[5]


@given(ID)
def test_above_the_brand_no_cell_holds_two_currencies(vertical: str) -> None:
    brand = LEVELS.index("brand")
    dollars, yen = (chain(market(currency, vertical), "b", "p", "s", ()) for currency in ("USD", "JPY"))
    assert not set(dollars[:brand]) & set(yen[:brand])
    assert dollars[brand:] == yen[brand:]


@given(ID)
def test_a_market_comes_apart_again(vertical: str) -> None:
    assert parts(market("USD", vertical)) == ("USD", vertical)


def test_a_brand_that_is_not_known_shares_no_cell_above_it() -> None:
    brand = LEVELS.index("brand")
    known = chain(market("USD", "shoes"), "b", "p", "s", ())
    assert not set(filter(None, chain("", "b", "p", "s", ())[:brand])) & set(known[:brand])
