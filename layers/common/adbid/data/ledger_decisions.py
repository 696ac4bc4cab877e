"""Decisions: in one call where there is one partition, in rounds where there are more.

In rounds, a decision is claimed first, with its contests, in its own partition. Then every partition that
has candidates next in line is asked, until all contests have ended, and the outcome is written down last.
Whoever repeats a decision that broke off in between goes on with the claim's contests, and is told by every
partition what it said before: it comes to the same end. The outcome doesn't depend on the number of
partitions (`ledger_scripts` says why a later contest may be decided before an earlier one).
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

import orjson

from adbid.data.ledger_calls import Outcome, Packer, outcome_of, split
from adbid.data.ledger_client import Client
from adbid.data.ledger_keys import Partition, name_of, number_of, value_of
from adbid.data.ledger_scripts import CLAIM, DECIDE, FINISH, PREVIEW, RESERVE, UNDECIDED, WON
from adbid.data.wire import nothing, packed
from adbid.domain.errors import Conflict
from adbid.domain.ledger import Budget, Candidate, Contenders, Won

Contest: TypeAlias = Sequence[Candidate]
Line: TypeAlias = tuple[Contest, int]
"""Candidates of a contest in rank order, and how many of them are in line without a gap."""

Ask = Callable[[int, Sequence[Line]], bytes]
"""Asks a partition, by number, about the candidates that lie in it; its letters, per contest."""


class Decisions:
    """Makes and previews decisions. Every call may raise RedisError."""

    def __init__(
        self,
        client: Client,
        partitions: Sequence[Partition],
        packer: Packer,
        decision_seconds: int,
        won_seconds: int,
    ) -> None:
        self._client = client
        self._partitions = partitions
        self._packer = packer
        self._seconds = decision_seconds
        self._won_seconds = won_seconds

    def at_once(
        self,
        decision_id: str,
        fingerprint: bytes,
        record: bytes,
        asked: Contenders,
        now: datetime,
        meanwhile: Callable[[], None] = nothing,
    ) -> Outcome:
        """A decision in the only partition."""
        days, count, arguments = self._packer.pack(self._partitions[0], asked, now, decision_id)
        own = self._keys(decision_id)
        answer = self._client.run_packed(
            DECIDE,
            packed(*own) + days,
            len(own) + count,
            [*arguments, fingerprint, self._seconds, self._won_seconds, record],
            meanwhile,
        )
        return _ended(answer)

    def in_rounds(
        self, decision_id: str, fingerprint: bytes, record: bytes, contests: Sequence[Contest], now: datetime
    ) -> Outcome:
        """A decision over several partitions."""
        keys, claim, resumed = self._keys(decision_id), secrets.token_hex(8), False
        known: Any = self._client.run(
            CLAIM, keys, [fingerprint, self._seconds, record, claim, _packed(contests)]
        )
        if isinstance(known, list) and len(known) == 3:  # it was begun before
            claim, contests, record, resumed = known[0].decode(), _unpacked(known[1]), known[2], True
        elif known != 0:
            return _ended(known)

        def ask(number: int, lines: Sequence[Line]) -> bytes:
            partition = self._partitions[number]
            days, count, arguments = self._packer.pack(
                partition,
                Contenders.of(candidates for candidates, _ in lines),
                now,
                decision_id,
                in_line=[front for _, front in lines],
            )
            own = partition.alive, partition.days, partition.verdicts(decision_id, claim)
            answer: Any = self._client.run_packed(
                RESERVE, packed(*own) + days, len(own) + count, [*arguments, self._seconds]
            )
            return bytes(answer)

        said = rounds(contests, len(self._partitions), ask)
        won = [text for one in _winners(decision_id, contests, said) for text in (one.bid_id, value_of(one))]
        answer: Any = self._client.run(
            FINISH,
            keys,
            [fingerprint, _joined(said), self._seconds, self._won_seconds, record, *won],
        )
        ended = _ended(answer)
        return Outcome(ended.wins, ended.refused, record) if resumed and ended.stored is None else ended

    def preview(self, asked: Contenders, now: datetime) -> Outcome:
        """What a decision would be now."""
        drawn: dict[str, int] = defaultdict(int)

        def ask(number: int, one: Contenders, in_line: Sequence[int] | None = None) -> bytes:
            partition = self._partitions[number]
            days, count, arguments = self._packer.pack(partition, one, now, in_line=in_line, drawn=drawn)
            own = partition.alive, partition.days
            return bytes(self._client.run_packed(PREVIEW, packed(*own) + days, len(own) + count, arguments))

        def ask_some(number: int, lines: Sequence[Line]) -> bytes:
            one = Contenders.of(candidates for candidates, _ in lines)
            answer = ask(number, one, [front for _, front in lines])
            for (candidates, _), codes in zip(lines, split(answer), strict=True):
                if codes.endswith(WON):
                    winner = candidates[len(codes) - 1]
                    drawn[name_of(winner.brand_id, winner.day)] += winner.micros
            return answer

        if len(self._partitions) == 1:
            return outcome_of(ask(0, asked))
        return outcome_of(_joined(rounds(asked.contests(), len(self._partitions), ask_some)))

    def _keys(self, decision_id: str) -> list[str]:
        own = self._partitions[number_of(decision_id, len(self._partitions))]
        return [own.alive, own.days, own.decision(decision_id), own.won(decision_id)]


def rounds(contests: Sequence[Contest], partitions: int, ask: Ask) -> list[str]:
    """Asks until every contest has ended: per contest, a letter for each candidate that was asked.

    In each round the first open contest gets on, so that there are at most as many rounds as candidates.
    """
    places = [[number_of(one.brand_id, partitions) for one in contest] for contest in contests]
    said = [[UNDECIDED] * len(contest) for contest in contests]
    while True:
        lines: dict[int, dict[int, tuple[list[int], int]]] = defaultdict(dict)
        waiting: set[int] = set()
        for contest, (candidates, codes) in enumerate(zip(contests, said, strict=True)):
            waiting |= _line_up(contest, candidates, codes, places[contest], lines)
        if not waiting:
            return ["".join(codes) for codes in said]
        for number in sorted(waiting):
            chosen = lines[number]
            answer = ask(
                number,
                [([contests[c][i] for i in indices], front) for c, (indices, front) in chosen.items()],
            )
            for (contest, (indices, _)), letters in zip(chosen.items(), split(answer), strict=True):
                for index, letter in zip(indices, letters, strict=False):
                    said[contest][index] = letter


def _line_up(
    contest: int,
    candidates: Contest,
    codes: list[str],
    places: Sequence[int],
    lines: Mapping[int, dict[int, tuple[list[int], int]]],
) -> set[int]:
    """Adds a contest's undecided candidates to their partitions' lines; the partition that is next, if any.

    Ends the contest in `codes` when it is decided.
    """
    undecided: list[int] = []
    for index, code in enumerate(codes):
        if code == UNDECIDED and candidates[index].budget is None:
            if not undecided:
                codes[index] = WON
                del codes[index + 1 :]
                return set()
            break
        if code == WON:  # said before the decision broke off, where somebody is still undecided
            if undecided:
                break
            del codes[index + 1 :]
            return set()
        if code == UNDECIDED:
            undecided.append(index)
    if not undecided:
        return set()
    following = places[undecided[0]]
    front = next((n for n, index in enumerate(undecided) if places[index] != following), len(undecided))
    for index in undecided:
        indices, _ = lines[places[index]].setdefault(
            contest, ([], front if places[index] == following else 0)
        )
        indices.append(index)
    return {following}


def _winners(decision_id: str, contests: Sequence[Contest], said: Sequence[str]) -> list[Won]:
    winners = [
        line[len(codes) - 1] for line, codes in zip(contests, said, strict=True) if codes.endswith(WON)
    ]
    return [
        Won(
            decision_id,
            one.bid_id,
            one.brand_id,
            one.partner_id,
            one.slot_id,
            one.pricing_model,
            one.day,
            0 if one.budget is None else one.micros,
        )
        for one in winners
    ]


def _ended(answer: Any) -> Outcome:
    if answer == -1:
        raise Conflict("decision_conflict", "This id was used for another request before.")
    if answer == -2:
        raise Conflict("decision_expired", "This decision was made too long ago to be repeated.")
    return outcome_of(*answer) if isinstance(answer, list) else outcome_of(answer)


def _joined(said: Sequence[str]) -> bytes:
    return "".join(f"{codes}," for codes in said).encode()


def _packed(contests: Sequence[Contest]) -> bytes:
    return orjson.dumps(
        [
            [[*one[:7], *((one.budget.micros, one.budget.version) if one.budget else ())] for one in contest]
            for contest in contests
        ]
    )


def _unpacked(stored: bytes) -> list[list[Candidate]]:
    return [[_candidate(*one) for one in contest] for contest in orjson.loads(stored)]


def _candidate(
    bid_id: str,
    brand_id: str,
    partner_id: str,
    slot_id: str,
    pricing_model: str,
    day: str,
    micros: int,
    *limit: int,
) -> Candidate:
    on = date.fromisoformat(day)
    budget = Budget(on, *limit) if limit else None
    return Candidate(bid_id, brand_id, partner_id, slot_id, pricing_model, on, micros, budget)
