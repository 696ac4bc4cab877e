"""The body of POST /api/score, read as columns.

What is documented is `functions.score.models.REQUEST`. Most bodies are of the plainest kind: ids of printable
ASCII, known properties only. Those are told by looking at whole columns, and need no more; all others, and
everything that is wrong, are left to the schema, so that both say the same. The schema, and pydantic with it,
isn't imported before.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from adbid.domain.context import CONTEXT_DIMENSIONS
from adbid.domain.errors import FieldError, Invalid
from adbid.engine.bundle import Bundle, columns_of

if TYPE_CHECKING:
    from functions.score.models import ScoreRequest

AMOUNT_LIMIT = 1_000_000_000
MOST_BIDS = 1_000

EXPLAINED_BIDS = 100
"""Taking 100 predictions apart takes a quarter of a second."""

FLAGS = ("dry_run", "explore", "explain")
_TOP = frozenset({"id", "bids", *FLAGS})
REQUIRED = frozenset({"id", "brand_id", "partner_id", "slot_id", "pricing_model", "amount", "currency"})
OPTIONAL = frozenset(CONTEXT_DIMENSIONS)
_KNOWN = REQUIRED | OPTIONAL
_IDS = ("id", "brand_id", "partner_id", "slot_id", "device_type", "creative_type", "campaign_id", "os")
_LONGEST_ID = 64
_PRICING_MODELS = frozenset({"CPM", "CPC", "CPA"})
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_CURRENCY, _COUNTRY = 3, 2  # letters


@dataclass(frozen=True)
class Asked:
    """A request: its bids, and how they are to be scored."""

    id: str
    bundle: Bundle
    dry_run: bool = False
    explore: bool = True
    explain: bool = False
    at: datetime | None = None


def plain(body: bytes) -> Asked | None:
    """The request, if it is of the plainest kind."""
    try:
        document = orjson.loads(body)
        if not isinstance(document, dict) or not document.keys() <= _TOP:
            return None
        bids, flags = document["bids"], [document.get(name, False) for name in FLAGS]
        if not isinstance(bids, list) or not 0 < len(bids) <= MOST_BIDS or {*map(type, bids)} != {dict}:
            return None
        if {*map(type, flags)} != {bool} or not _plain_ids([document["id"]]):
            return None
        columns = columns_of(bids)
        if not REQUIRED <= columns.keys() <= _KNOWN or not _plain_columns(columns):
            return None
    except (KeyError, TypeError, ValueError):
        return None
    if flags[2] and len(bids) > EXPLAINED_BIDS:
        return None
    dry_run, _, explain = flags
    bundle = Bundle.of_columns(columns)
    return Asked(document["id"], bundle, dry_run, document.get("explore", not dry_run), explain)


def by_schema(asked: "ScoreRequest") -> Asked:
    """The request that the schema accepts, if the rest holds too. Raises Invalid."""
    _check(asked)
    dry_run = asked.get("dry_run", False)
    return Asked(
        asked["id"],
        Bundle.of(asked["bids"]),
        dry_run,
        asked.get("explore", not dry_run),
        asked.get("explain", False),
        asked.get("at"),
    )


def _plain_columns(columns: Mapping[str, Sequence[Any]]) -> bool:
    """Raises TypeError where something isn't of the type it should be."""
    ids = [*columns["id"]]
    if len({*ids}) < len(ids):
        return False
    for name in _IDS[1:]:
        ids += _stated(columns.get(name, ()), name)
    amounts = columns["amount"]
    return (
        {*map(type, amounts)} <= {str, float, int}
        and all(map(_exact, {*amounts}))
        and _plain_ids(ids)
        and {*columns["pricing_model"]} <= _PRICING_MODELS
        and _capitals({*columns["currency"]}, _CURRENCY)
        and _capitals(_stated(columns.get("country", ()), "country"), _COUNTRY)
    )


def _stated(values: Iterable[Any], name: str) -> set[Any]:
    """The different values; None is none where a property is optional."""
    different = {*values}
    if name in OPTIONAL:
        different.discard(None)
    return different


def _plain_ids(ids: Sequence[str]) -> bool:
    joined = "".join(ids)
    lengths = {*map(len, ids)}
    return (
        joined.isascii()
        and joined.isprintable()
        and min(lengths) > 0
        and max(lengths) <= _LONGEST_ID
        and (" " not in joined or all(one == one.strip() for one in ids))
    )


def _capitals(codes: set[Any], letters: int) -> bool:
    """Whether each is so many capital letters of ASCII."""
    joined = "".join(codes)
    capitals = joined.isascii() and joined.isalpha() and joined.isupper()
    return not codes or (capitals and {*map(len, codes)} == {letters})


def _exact(amount: str | float) -> bool:
    if isinstance(amount, str):
        return _DECIMAL.fullmatch(amount) is not None
    return 0 <= amount <= AMOUNT_LIMIT and round(amount, 6) == amount


def _check(asked: "ScoreRequest") -> None:
    """What the schema can't say. Raises Invalid."""
    if asked.get("at") is not None and not asked.get("dry_run"):
        raise Invalid("at_without_dry_run", "`at` is accepted with `dry_run` only", property="at")
    if asked.get("explain") and len(asked["bids"]) > EXPLAINED_BIDS:
        text = f"at most {EXPLAINED_BIDS} bids are explained at once"
        raise Invalid("too_many_to_explain", text, property="explain")
    seen: set[str] = set()
    for place, bid in enumerate(asked["bids"]):
        if bid["id"] in seen:
            name = f"bids[{place}].id"
            raise Invalid(
                "duplicate_bid", "bid ids must differ", FieldError(name, "duplicate", "given before")
            )
        seen.add(bid["id"])
        amount = bid["amount"]
        if not isinstance(amount, str) and round(amount, 6) != amount:
            name = f"bids[{place}].amount"
            raise Invalid(
                "invalid_request", f"{name}: more than 6 decimals", FieldError(name, "decimals", "at most 6")
            )
