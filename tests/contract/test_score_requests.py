"""What POST /api/score takes and answers is what its schema says, also where it reads and writes past it."""

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adbid.domain.errors import Invalid
from functions.score.app import handler
from functions.score.models import REQUEST, Bid, ScoreAnswer, ScoreRequest
from functions.score.request import FLAGS, OPTIONAL, REQUIRED, Asked, by_schema, plain
from tests.support.world import World, http_event, world  # noqa: F401  # a fixture

_numbers = count()

NAMES = (
    "b1",
    "p 1",
    "é",
    "",
    " x",
    "x ",
    "a" * 64,
    "a" * 65,
    "tab\there",
    "nul\x00",
    "\x7f",
    "\u2028",
    "x~!",
)
ODD = (None, True, 0, 1, -1, 1.5, [], {}, [1], "null")
AMOUNTS = (
    "12.50",
    "0",
    "1.1234567",
    "1e3",
    "-1",
    "+1",
    "",
    " 1",
    "1\n",
    "٣",
    "0123456789",
    0.1,
    1e9,
    2e9,
    3,
    -0.0,
)
BID = {
    "id": "b",
    "brand_id": "1l1",
    "partner_id": "p",
    "slot_id": "s",
    "pricing_model": "CPC",
    "amount": "0.85",
    "currency": "USD",
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("brand_id", "slot_id", "device_type", "os"), st.sampled_from(NAMES + ODD)),
    "partner_id": st.sampled_from(("p", *NAMES, *ODD)),
    "publisher_id": st.sampled_from(("p", "q")),
    "pricing_model": st.sampled_from(("CPM", "CPC", "CPA", "cpc", "CPX", *ODD)),
    "amount": st.sampled_from(AMOUNTS + ODD) | st.decimals(0, 10, places=7).map(str) | st.floats(0, 1e3),
    "currency": st.sampled_from(("USD", "EUR", "usd", "USDX", "US", "U$D", "ÄÖÜ", *ODD)),
    "country": st.sampled_from(("SE", "se", "S", "ÅÄ", *ODD)),
    "surprise": st.just(1),
}
CHANGES = st.dictionaries(st.sampled_from(sorted(VALUES)), st.none(), max_size=2).flatmap(
    lambda chosen: st.fixed_dictionaries({name: VALUES[name] for name in chosen})
)
BIDS = st.lists(
    st.tuples(CHANGES, st.sampled_from((*sorted(BID), *[""] * 20)), st.booleans()), min_size=0, max_size=4
)
TOPS = st.sampled_from(
    (
        *[{}] * 6,
        {"dry_run": True},
        {"dry_run": None},
        {"explore": False, "explain": True},
        {"explain": 1},
        {"at": "2026-11-20T09:00:00+00:00"},
        {"dry_run": True, "at": "2026-11-20T09:00:00+00:00"},
        {"surprise": 1},
        {"id": ""},
        {"id": "å"},
        {"bids": None},
        {"bids": [1]},
    )
)


def bodies(top: dict[str, Any], changes: list[tuple[dict[str, Any], str, bool]]) -> bytes:
    bids = []
    for number, (change, lacking, backwards) in enumerate(changes):
        bid = {**BID, "id": f"b{number}", **change}
        bid.pop(lacking, None)
        bids.append(dict(reversed(bid.items())) if backwards else bid)
    return json.dumps({"id": "r", "bids": bids, **top}).encode()


def documented(body: bytes) -> Asked | None:
    """What the schema makes of a body; None where it refuses it."""
    try:
        return by_schema(REQUEST.validate_json(body))
    except (ValidationError, Invalid):
        return None


def said(asked: Asked) -> list[Any]:
    """Everything in a request, in a form that compares."""
    columns = [list(column) for column in vars(asked.bundle).values()]
    return [asked.id, asked.dry_run, asked.explore, asked.explain, asked.at, columns]


def test_both_know_the_same_properties() -> None:
    assert Bid.__required_keys__ == REQUIRED
    assert Bid.__optional_keys__ == OPTIONAL
    assert ScoreRequest.__annotations__.keys() == {"id", "bids", *FLAGS, "at"}


@settings(max_examples=1_000)
@given(top=TOPS, changes=BIDS)
def test_what_is_read_as_columns_is_what_the_schema_reads(
    top: dict[str, Any], changes: list[tuple[dict[str, Any], str, bool]]
) -> None:
    body = bodies(top, changes)
    read, expected = plain(body), documented(body)
    if read is not None:
        assert expected is not None
        assert said(read) == said(expected)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"amount": 1.5},
        {"amount": 3},
        {"device_type": "mobile", "country": "SE", "os": None},
        {"partner_id": "~" * 64},
        {"partner_id": "p", "campaign_id": "camp 1", "os": "#N/A"},
    ],
)
def test_the_usual_needs_no_schema(change: dict[str, Any]) -> None:
    body = bodies({}, [(change, "", False), ({}, "", True)])
    read, expected = plain(body), documented(body)
    assert read is not None
    assert expected is not None
    assert said(read) == said(expected)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"id": "r"}',
        b'{"id": "r", "bids": []}',
        b'{"id": "r", "bids": [NaN]}',
        b'\xef\xbb\xbf{"id": "r", "bids": []}',
        b'{"id": "r", "bids": [{"id": "\\ud800"}]}',
    ],
)
def test_what_is_not_a_request_is_left_to_the_schema(body: bytes) -> None:
    assert plain(body) is None
    assert documented(body) is None


def test_of_a_property_that_comes_twice_the_last_counts() -> None:
    body = bodies({}, [({}, "", False)]).replace(b'"currency"', b'"currency": 1, "currency"')
    read, expected = plain(body), documented(body)
    assert read is not None
    assert expected is not None
    assert said(read) == said(expected)


def test_two_bids_of_one_id_are_refused() -> None:
    assert plain(bodies({}, [({"id": "b"}, "", False)] * 2)) is None


@pytest.fixture
def market(world: World) -> World:  # noqa: F811
    strategies = [{"id": "plain", "vpi_multiplier": 1, "probe_share": 0.4, "exploration_share": 0.3}]
    paused = [{"id": "off", "strategy_id": "plain", "status": "paused"}]
    brands = [{"id": f"b{number}", "strategy_id": "plain", "daily_budget": number} for number in range(3)]
    world.set(
        {
            "strategies": strategies,
            "brands": [*brands, *paused],
            "partners": [{"id": "p"}, {"id": "other"}],
            "slots": [{"id": "s"}, {"id": "dear", "floor": 100}, {"id": "theirs", "partner_id": "other"}],
        }
    )
    world.past([{"brand_id": "b0", "partner_id": "p", "slot_id": "s", "impressions": 900, "clicks": 9}])
    return world


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bids=st.lists(
        st.fixed_dictionaries(
            {
                "brand_id": st.sampled_from(["b0", "b1", "b2", "off", "nobody"]),
                "slot_id": st.sampled_from(["s", "dear", "theirs", "nowhere"]),
                "pricing_model": st.sampled_from(["CPM", "CPC", "CPA"]),
                "amount": st.sampled_from(["0", "2.5", "40"]),
                "currency": st.sampled_from(["USD", "USD", "EUR"]),
            }
        ),
        min_size=1,
        max_size=8,
    ),
    explain=st.booleans(),
    dry_run=st.booleans(),
)
def test_an_answer_is_what_its_model_says(
    market: World, bids: list[dict[str, Any]], explain: bool, dry_run: bool
) -> None:
    numbered = [{**BID, **bid, "id": f"b{number}"} for number, bid in enumerate(bids)]
    request = {"id": f"r{next(_numbers)}", "bids": numbered, "explain": explain, "dry_run": dry_run}
    answer = handler(http_event("POST", "/api/score", request), None)
    assert answer["statusCode"] == 200, answer["body"]
    documented = ScoreAnswer.model_validate_json(answer["body"], strict=True)
    shown = documented.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert shown == json.loads(answer["body"])
