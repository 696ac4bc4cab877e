"""Claims as both of API Gateway's authorizers hand them on, and what they let their bearer see."""

import json
from typing import Any

import pytest

from adbid.domain.errors import Unauthorized
from adbid.web.claims import Claims, read_claims

NOW = 1_800_000_000.0
LATER = "1800000060"


def ours(**context: Any) -> dict[str, Any]:
    """An event after our own authorizer: strings."""
    return {"requestContext": {"authorizer": {"lambda": {"sub": "s", "exp": LATER, **context}}}}


def native(scopes: list[str] | None = None, **claims: Any) -> dict[str, Any]:
    """An event after API Gateway's JWT authorizer: strings too, its lists in its own rendering."""
    jwt = {"claims": {"sub": "s", "exp": LATER, **claims}, "scopes": scopes}
    return {"requestContext": {"authorizer": {"jwt": jwt}}}


@pytest.mark.parametrize(
    "event",
    [
        ours(scope="brand partner"),
        native(scope="brand partner"),
        native(scp="[brand partner]"),
        native(scopes=["brand"], scope="partner"),
        native(scp=["brand", "partner"]),
        native(scope="brand", scp="partner"),
    ],
)
def test_scopes_in_every_shape(event: dict[str, Any]) -> None:
    assert read_claims(event, NOW).scopes == {"brand", "partner"}


@pytest.mark.parametrize(
    ("claim", "ids"),
    [
        ('["p1","camp 1","#N/A"]', {"p1", "camp 1", "#N/A"}),
        (["p1", "p2"], {"p1", "p2"}),
        ("[p1 p2]", {"p1", "p2"}),
        ("p1", {"p1"}),
        ("camp 1", {"camp 1"}),
        ("*", {"*"}),
        ('["*"]', {"*"}),
        ("[*]", {"*"}),
        ("[007]", {"007"}),
        ("[1.50]", {"1.50"}),  # an id that looks like a number stays the text it is
        ("[1e5]", {"1e5"}),
        ("[true]", {"true"}),
        ("[123456789012345678901234567890]", {"123456789012345678901234567890"}),
        ("", set()),
        ("[]", set()),
        (None, set()),
    ],
)
def test_ids_in_every_shape(claim: Any, ids: set[str]) -> None:
    for event in (ours(scope="partner", partner_ids=claim), native(scope="partner", partner_ids=claim)):
        assert read_claims(event, NOW).partner_ids == ids


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"requestContext": {}},
        {"requestContext": {"authorizer": None}},
        {"requestContext": {"authorizer": {"lambda": None}}},
        {"requestContext": {"authorizer": {"lambda": {}}}},
        {"requestContext": {"authorizer": {"jwt": {"claims": None, "scopes": None}}}},
        {"requestContext": {"authorizer": {"jwt": {"claims": {"scope": "admin"}, "scopes": ["admin"]}}}},
        *(ours(scope="admin", exp=exp) for exp in ("", "soon", None, "nan", "-inf", "1800000000", "0")),
    ],
)
def test_nobody_without_claims_that_still_hold(event: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        read_claims(event, NOW)


def test_a_token_counts_until_the_moment_it_expires() -> None:
    event = ours(scope="admin", exp="1800000000")
    assert read_claims(event, NOW - 0.001).is_admin
    with pytest.raises(Unauthorized, match="expired"):
        read_claims(event, NOW)


def claims(*scopes: str, brands: tuple[str, ...] = (), partners: tuple[str, ...] = ()) -> Claims:
    return Claims("s", frozenset(scopes), frozenset(brands), frozenset(partners))


@pytest.mark.parametrize(
    ("caller", "brands", "partners"),
    [
        (claims("partner", partners=("p1",)), frozenset(), {"p1"}),
        (claims("partner", brands=("b1",), partners=("p1",)), frozenset(), {"p1"}),
        (claims("brand", brands=("b1",), partners=("p1",)), {"b1"}, frozenset()),
        (claims("brand", "partner", brands=("b1",), partners=("*",)), {"b1"}, None),
        (claims("partner", partners=("*", "p1")), frozenset(), None),
        (claims("admin"), None, None),
        (claims("metrics", brands=("*",), partners=("*",)), frozenset(), frozenset()),
        (claims("Admin", "PARTNER", partners=("p1",)), frozenset(), frozenset()),
        (claims(), frozenset(), frozenset()),
    ],
)
def test_what_a_caller_sees(caller: Claims, brands: set[str] | None, partners: set[str] | None) -> None:
    assert caller.brands == brands
    assert caller.partners == partners
    assert caller.may_see_brand("b1") == (brands is None or "b1" in brands)
    assert caller.may_see_partner("p1") == (partners is None or "p1" in partners)
    assert caller.may_see_partner("*") == (partners is None)


def test_both_authorizers_say_the_same() -> None:
    lists = {"brand_ids": ["b1", "b2"], "partner_ids": ["*"]}
    strings = {name: json.dumps(ids) for name, ids in lists.items()}
    rendered = {name: f"[{' '.join(ids)}]" for name, ids in lists.items()}
    assert read_claims(ours(scope="brand partner", **strings), NOW) == read_claims(
        native(scope="brand partner", **rendered), NOW
    )
