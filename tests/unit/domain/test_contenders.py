"""Contests in columns are the contests that they were made of, as far as the ledger asks about them."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.ledger import Budget, Candidate, Contenders

DAY = date(2026, 11, 20)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    day = DAY + timedelta(days=draw(st.integers(-1, 1)))
    budget = draw(st.none() | st.builds(Budget, st.just(day), st.integers(0, 10**18), st.integers(1, 9)))
    bid, brand, partner, slot = (draw(st.text(min_size=1, max_size=3)) for _ in range(4))
    model = draw(st.sampled_from(["CPM", "CPC", "CPA"]))
    return Candidate(bid, brand, partner, slot, model, day, draw(st.integers(0, 10**15)), budget)


@given(st.lists(st.lists(candidates(), max_size=4), max_size=5))
def test_columns_hold_every_candidate_up_to_one_that_can_afford_all(contests: list[list[Candidate]]) -> None:
    found = Contenders.of(contests).contests()
    assert len(found) == len(contests)
    for asked, contest in zip(found, contests, strict=True):
        assert asked == contest[: len(asked)]
        unlimited = [place for place, one in enumerate(contest) if one.budget is None]
        assert len(asked) == (unlimited[0] + 1 if unlimited else len(contest))


@given(st.lists(st.lists(candidates(), max_size=4), max_size=5))
def test_of_what_was_cut_nothing_more_is_cut(contests: list[list[Candidate]]) -> None:
    once = Contenders.of(contests).contests()
    assert Contenders.of(once).contests() == once
