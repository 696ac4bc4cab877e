"""What a bundle asks of the ledger, and what the ledger's answer means for its bids."""

from collections.abc import Sequence
from datetime import date, datetime
from hashlib import blake2b

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.hot import Hot
from adbid.data.ledger import Outcome
from adbid.domain.evaluation import Contests
from adbid.domain.ledger import LEDGER_UNAVAILABLE, Budget, Candidate, budget_day
from adbid.domain.money import MICROS, to_micros
from adbid.engine.terms import Bid


def candidates_of(
    bids: Sequence[Bid], hot: Hot, contests: Contests, cost: NDArray[np.float64], now: datetime
) -> list[list[Candidate]]:
    """The contests as the ledger takes them: what each bid would reserve, and from which budget."""
    # What rounding left beyond a billionth of a micro is not a cost.
    micros = np.ceil(np.round(np.nan_to_num(cost) * MICROS, 9)).astype(np.int64).tolist()
    days: dict[str, date] = {}
    budgets: dict[str, tuple[date, Budget | None]] = {}
    for brand_id, brand in hot.brands.items():
        day = days.get(brand.timezone)
        if day is None:
            day = days[brand.timezone] = budget_day(now, brand.timezone)
        limit = brand.daily_budget
        budgets[brand_id] = (day, None if limit is None else Budget(day, to_micros(limit), brand.version))
    found = []
    for contest in contests:
        candidates = []
        for place in contest:
            bid = bids[place]
            day, budget = budgets[bid["brand_id"]]
            candidates.append(
                Candidate(
                    bid["id"],
                    bid["brand_id"],
                    bid["partner_id"],
                    bid["slot_id"],
                    bid["pricing_model"],
                    day,
                    micros[place],
                    budget,
                )
            )
        found.append(candidates)
    return found


def refusals(contests: Contests, outcome: Outcome) -> dict[int, str]:
    """Why bids that were next in line did not get their slot."""
    return {
        place: code
        for contest, codes in zip(contests, outcome.refused, strict=True)
        for place, code in zip(contest, codes, strict=False)  # those after the winner were not asked
    }


def without_ledger(candidates: Sequence[Sequence[Candidate]]) -> Outcome:
    """No money is promised: the first bid of each slot whose brand needs no ledger wins it."""
    wins = tuple(
        next((place for place, one in enumerate(contest) if one.budget is None), -1) for contest in candidates
    )
    refused = tuple(
        (LEDGER_UNAVAILABLE,) * (len(contest) if win < 0 else win)
        for contest, win in zip(candidates, wins, strict=True)
    )
    return Outcome(wins, refused, None)


def fingerprint(bids: Sequence[Bid], explain: bool) -> bytes:
    """16 bytes that are equal for bundles that mean the same, in whatever order and notation."""
    said = [{**bid, "amount": float(bid["amount"])} for bid in bids]
    said.sort(key=lambda bid: str(bid["id"]))
    document = orjson.dumps([explain, said], option=orjson.OPT_SORT_KEYS)
    return blake2b(document, digest_size=16).digest()
