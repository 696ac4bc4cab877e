"""What a bundle asks of the ledger, and what the ledger's answer means for its bids."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import islice

import numpy as np
import orjson
from numpy.typing import NDArray

from adbid.data.hot import Hot
from adbid.data.hot_numbers import TIMEZONES
from adbid.data.ledger import Outcome
from adbid.data.ledger_keys import NEVER
from adbid.domain.evaluation import Contests
from adbid.domain.ledger import LEDGER_UNAVAILABLE, Contenders, budget_day
from adbid.domain.money import MICROS
from adbid.engine.bundle import Bundle


def contenders_of(
    bundle: Bundle, hot: Hot, contests: Contests, cost: NDArray[np.float64], now: datetime
) -> Contenders:
    """The contests as the ledger takes them: what each bid would reserve, and from which budget."""
    numbers = hot.numbers
    unlimited = np.isnan(numbers.budget)
    endless = unlimited.tolist()
    if True in endless:
        contests = [_asked(contest, endless) for contest in contests]
    places = [place for contest in contests for place in contest]
    at = np.array(places, dtype=np.intp)
    expected = cost.take(at)
    expected[np.isnan(expected)] = 0.0
    # What rounding left beyond a billionth of a micro is not a cost.
    micros = np.ceil(np.round(expected * MICROS, 9)).astype(np.int64)
    zones = TIMEZONES.values(numbers.timezone.take(at))
    days = {zone: budget_day(now, str(zone)) for zone in {*zones}}
    budgets = np.where(unlimited, 0.0, np.minimum(numbers.budget, NEVER)).take(at).astype(np.int64).tolist()
    limits = [None if endless[place] else limit for place, limit in zip(places, budgets, strict=True)]
    return Contenders(
        lengths=list(map(len, contests)),
        bids=[bundle.ids[place] for place in places],
        brands=[bundle.brand_ids[place] for place in places],
        partners=[bundle.partner_ids[place] for place in places],
        slots=[bundle.slot_ids[place] for place in places],
        pricing_models=[bundle.pricing_models[place] for place in places],
        days=[days[zone] for zone in zones],
        micros=micros.tolist(),
        limits=limits if True in endless else budgets,
        versions=numbers.version.take(at).astype(np.int64).tolist(),
    )


def _asked(contest: list[int], endless: Sequence[bool]) -> list[int]:
    """Nobody comes after a bid whose brand's spend is not limited."""
    for at, place in enumerate(contest):
        if endless[place]:
            return contest[: at + 1]
    return contest


def refusals(contests: Contests, outcome: Outcome) -> dict[int, str]:
    """Why bids that were next in line did not get their slot."""
    return {
        place: code
        for contest, codes in zip(contests, outcome.refused, strict=True)
        for place, code in zip(contest, codes, strict=False)  # those after the winner were not asked
    }


def without_ledger(contenders: Contenders) -> Outcome:
    """No money is promised: the first bid of each slot whose brand needs no ledger wins it."""
    limits = iter(contenders.limits)
    wins, refused = [], []
    for length in contenders.lengths:
        contest = list(islice(limits, length))
        wins.append(next((place for place, limit in enumerate(contest) if limit is None), -1))
        refused.append((LEDGER_UNAVAILABLE,) * (length if wins[-1] < 0 else wins[-1]))
    return Outcome(tuple(wins), tuple(refused), None)


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
