"""What a bundle asks of the ledger, and what the ledger's answer means for its bids."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from itertools import repeat

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.hot import Hot
from adbid.data.ledger import Outcome
from adbid.domain.evaluation import Contests
from adbid.domain.ledger import LEDGER_UNAVAILABLE, Budget, Candidate, budget_day
from adbid.domain.money import MICROS, to_micros
from adbid.engine.bundle import Bundle


def candidates_of(
    bundle: Bundle, hot: Hot, contests: Contests, cost: NDArray[np.float64], now: datetime
) -> list[list[Candidate]]:
    """The contests as the ledger takes them: what each bid would reserve, and from which budget."""
    # What rounding left beyond a billionth of a micro is not a cost.
    micros = np.ceil(np.round(np.nan_to_num(cost) * MICROS, 9)).astype(np.int64).tolist()
    days = {zone: budget_day(now, zone) for zone in {brand.timezone for brand in hot.brands.values()}}
    budgets: dict[str, tuple[date, Budget | None]] = {}
    for brand_id, brand in hot.brands.items():
        day, limit = days[brand.timezone], brand.daily_budget
        budgets[brand_id] = day, None if limit is None else _limit(day, limit, brand.version)
    nothing = (now.date(), None)  # of an unknown brand, which is in no contest
    booked, limits = zip(*[budgets.get(brand_id, nothing) for brand_id in bundle.brand_ids], strict=True)
    columns = zip(
        bundle.ids,
        bundle.brand_ids,
        bundle.partner_ids,
        bundle.slot_ids,
        bundle.pricing_models,
        booked,
        micros,
        limits,
        strict=True,
    )
    candidates = list(map(tuple.__new__, repeat(Candidate), columns))  # Candidate(...), all in C
    return [[candidates[place] for place in contest] for contest in contests]


@lru_cache(maxsize=20_000)
def _limit(day: date, amount: Decimal, version: int) -> Budget:
    return Budget(day, to_micros(amount), version)


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


def fingerprint(bundle: Bundle, explain: bool) -> bytes:
    """16 bytes that are equal for bundles that mean the same, in whatever order and notation."""
    said = sorted(
        zip(
            bundle.ids,
            bundle.brand_ids,
            bundle.partner_ids,
            bundle.slot_ids,
            bundle.pricing_models,
            bundle.amounts,
            bundle.currencies,
            bundle.contexts,
            strict=True,
        )
    )
    return blake2b(orjson.dumps([explain, said]), digest_size=16).digest()
