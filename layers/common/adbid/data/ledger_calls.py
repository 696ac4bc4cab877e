"""What a decision's scripts are called with, and what their answers mean."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import repeat
from struct import Struct

from adbid.data.ledger_keys import SEPARATOR, Partition, milliseconds
from adbid.data.ledger_scripts import EXHAUSTED, UNAVAILABLE, WON
from adbid.domain.ledger import BUDGET_EXHAUSTED, LEDGER_UNAVAILABLE, Budget, Candidate, Lifetimes

_MILLISECOND = timedelta(milliseconds=1)
_DAY = Struct("<ddd")
_ITEM = Struct("<IdH")
_CONTEST = Struct("<II")
_CODES = {EXHAUSTED: BUDGET_EXHAUSTED, UNAVAILABLE: LEDGER_UNAVAILABLE}

Line = tuple[Sequence[Candidate], int]
"""A contest's candidates in rank order, and how many of them are in line without a gap."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the contests ended.

    wins: per contest the index of the winner within it, -1 for none.
    refused: per contest, in order, the codes of the candidates before the winner, of all when none won.
    stored: the record of the first decision, when this one was made before; wins and refused are then its.
    """

    wins: tuple[int, ...]
    refused: tuple[tuple[str, ...], ...]
    stored: bytes | None


def outcome_of(answer: bytes, stored: bytes | None = None) -> Outcome:
    """The outcome a script tells: per contest a letter for each candidate that was asked."""
    contests = split(answer)
    return Outcome(
        tuple(len(codes) - 1 if codes.endswith(WON) else -1 for codes in contests),
        tuple(tuple(_CODES[code] for code in codes.removesuffix(WON)) for codes in contests),
        stored,
    )


def split(answer: bytes) -> list[str]:
    """The letters of each contest."""
    return answer.decode().split(",")[:-1]


def asked(contest: Sequence[Candidate]) -> Sequence[Candidate]:
    """The candidates that can be next in line: none comes after one whose brand's spend is not limited."""
    for place, one in enumerate(contest):
        if one.budget is None:
            return contest[: place + 1]
    return contest


class Packer:
    """Packs contests for the scripts."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self._lifetimes = [lifetimes.of(name) // _MILLISECOND for name in ("CPM", "CPC", "CPA")]

    def pack(
        self,
        partition: Partition,
        lines: Sequence[Line],
        now: datetime,
        decision_id: str = "",
        *,
        drawn: Mapping[str, int] | None = None,
    ) -> tuple[list[str], list[str | bytes | int]]:
        """The keys of the brand-days, and what a reservation takes as its arguments.

        `drawn`: for a preview, the micros that it has drawn on brand-days before, by name.
        """
        # A bundle has up to a thousand candidates: whole columns, not one by one.
        candidates = [one for line, _ in lines for one in line]
        columns = zip(*candidates, strict=True) if candidates else repeat((), 8)
        bids, brands, partners, slots, models, days, costs, budgets = columns
        pairs = list(zip(brands, days, strict=True))
        limits = _limits(pairs, budgets)
        numbers = dict(zip(limits, range(1, len(limits) + 1), strict=True))
        iso = {day: day.isoformat() for day in set(days)}
        names = [f"{brand}{SEPARATOR}{iso[day]}" for brand, day in limits]
        before = drawn or {}
        written = [0 if budget is None else micros for micros, budget in zip(costs, budgets, strict=True)]
        texts = list(map(SEPARATOR.join, zip(bids, map(str, written), partners, slots, models, strict=True)))
        for place, budget in enumerate(budgets):
            if budget is None:
                texts[place] += SEPARATOR + brands[place] + SEPARATOR + iso[days[place]]
        said = "".join(texts)
        lengths = map(len, texts) if said.isascii() else (len(text.encode()) for text in texts)
        at = milliseconds(now)
        day_key, open_key = partition.day(""), partition.open("")
        return [day_key + name for name in names] + [open_key + name for name in names], [
            at,
            array("d", (at + lifetime for lifetime in self._lifetimes)).tobytes(),
            array(
                "d",
                [
                    number
                    for name, limit in zip(names, limits.values(), strict=True)
                    for number in (limit.micros, limit.version, before.get(name, 0))
                ],
            ).tobytes(),
            b"".join(map(_ITEM.pack, map(numbers.get, pairs, repeat(0)), written, lengths)),
            b"".join(_CONTEST.pack(len(line), in_line) for line, in_line in lines),
            "".join(model[2] for model in models),
            said,
            decision_id,
        ]


def _limits(
    pairs: Sequence[tuple[str, date]], budgets: Sequence[Budget | None]
) -> dict[tuple[str, date], Budget]:
    """The budget of each brand-day that has one: of two versions the newer."""
    limits: dict[tuple[str, date], Budget] = {}
    for pair, budget in zip(pairs, budgets, strict=True):
        if budget is not None:
            known = limits.setdefault(pair, budget)
            if known is not budget and known.version < budget.version:
                limits[pair] = budget
    return limits
