"""What a decision's scripts are called with, and what their answers mean."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, chain, pairwise

import numpy as np

from adbid.data.ledger_keys import SEPARATOR, Partition, milliseconds
from adbid.data.ledger_scripts import EXHAUSTED, UNAVAILABLE, WON
from adbid.data.wire import Remembered
from adbid.domain.ledger import BUDGET_EXHAUSTED, LEDGER_UNAVAILABLE, Contenders, Lifetimes

_MILLISECOND = timedelta(milliseconds=1)
_ITEM = np.dtype([("number", "<u4"), ("micros", "<f8"), ("length", "<u2")])
_CODES = {EXHAUSTED: BUDGET_EXHAUSTED, UNAVAILABLE: LEDGER_UNAVAILABLE}


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


class Packer:
    """Packs contests for the scripts."""

    def __init__(self, lifetimes: Lifetimes) -> None:
        self._lifetimes = [lifetimes.of(name) // _MILLISECOND for name in ("CPM", "CPC", "CPA")]
        self._keys: dict[Partition, tuple[Remembered, Remembered]] = {}

    def pack(
        self,
        partition: Partition,
        asked: Contenders,
        now: datetime,
        decision_id: str = "",
        *,
        in_line: Sequence[int] | None = None,
        drawn: Mapping[str, int] | None = None,
    ) -> tuple[bytes, int, list[str | bytes | int]]:
        """The keys of the brand-days, packed; how many; and what a reservation takes as its arguments.

        `in_line`: how many of each contest are in line without a gap, by default all of them. `drawn`: for a
        preview, the micros that it has drawn on brand-days before, by name.
        """
        iso = {day: SEPARATOR + day.isoformat() for day in {*asked.days}}
        names = [brand + iso[day] for brand, day in zip(asked.brands, asked.days, strict=True)]
        limits = _limits(names, asked)
        number = dict(zip(limits, range(1, len(limits) + 1), strict=True))
        free = [place for place, limit in enumerate(asked.limits) if limit is None]
        micros = [*asked.micros]
        for place in free:
            micros[place] = 0
        columns = (asked.bids, map(str, micros), asked.partners, asked.slots, asked.pricing_models)
        texts = list(map(SEPARATOR.join, zip(*columns, strict=True)))
        for place in free:
            texts[place] += SEPARATOR + names[place]
        said = "".join(texts)
        items = np.empty(len(texts), dtype=_ITEM)
        items["number"] = [number.get(name, 0) for name in names]
        items["number"][free] = 0
        items["micros"] = micros
        lengths = list(map(len, texts)) if said.isascii() else [len(text.encode()) for text in texts]
        items["length"] = lengths
        said_to = [0, *accumulate(lengths)]
        spans = [said_to[end] - said_to[start] for start, end in pairwise([0, *accumulate(asked.lengths)])]
        contests = zip(asked.lengths, in_line or asked.lengths, spans, strict=True)
        at = milliseconds(now)
        before = [drawn.get(name, 0) for name in limits] if drawn else [0] * len(limits)
        budgets = [(*limit, more) for limit, more in zip(limits.values(), before, strict=True)]
        days, opens = self._keys_of(partition)
        return (
            b"".join(days.of(limits) + opens.of(limits)),
            2 * len(limits),
            [
                at,
                array("d", [at + lifetime for lifetime in self._lifetimes]).tobytes(),
                array("d", chain.from_iterable(budgets)).tobytes(),
                items.tobytes(),
                array("I", chain.from_iterable(contests)).tobytes(),
                "".join([model[2] for model in asked.pricing_models]),
                said,
                decision_id,
            ],
        )

    def _keys_of(self, partition: Partition) -> tuple[Remembered, Remembered]:
        known = self._keys.get(partition)
        if known is None:
            known = self._keys[partition] = Remembered(partition.day), Remembered(partition.open)
        return known


def _limits(names: Sequence[str], asked: Contenders) -> dict[str, tuple[int, int]]:
    """Budget and version of each brand-day that has one, by name: of two versions the newer."""
    limits: dict[str, tuple[int, int]] = {}
    for name, limit, version in zip(names, asked.limits, asked.versions, strict=True):
        if limit is not None and limits.setdefault(name, (limit, version))[1] < version:
            limits[name] = limit, version
    return limits
