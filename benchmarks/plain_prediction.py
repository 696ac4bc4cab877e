"""One bid's predictions, as one writes them down first: a loop over the levels, in plain Python numbers.

The formulas are those of `adbid.domain` (posterior, response, drift, quality_tables, interval), the columns
those of `adbid.ml.features`; nothing is worked out for more than one bid at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp, floor, log, log1p, nan

from adbid.domain.context import LEVELS
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import MAX_MOVE
from adbid.domain.learned import LearnedParameters
from adbid.domain.posterior import ROOT_ALPHA, ROOT_BETA
from adbid.domain.quality_tables import SCORE_BINS, QualityTables
from adbid.domain.response import MINIMUM_EXPOSURE, MINIMUM_REVENUE, NOTHING, TARGETS
from adbid.ml.features import CATEGORIES, HOURS_PER_BUCKET, LIFTED, Vocabulary

Evidence = Sequence[Sequence[Sequence[float]]]
"""[levels][half-lives][measures] of one bid."""

_COUNTED = [LEVELS.index(level) for level in ("global", "brand", "slot", "campaign_id", "country", "os")]
_IMPRESSIONS, _CLICKS, _CONVERSIONS = (MEASURES.index(m) for m in ("impressions", "clicks", "conversions"))
_SMALLEST_RATE = 1e-12
_SMALLEST_MOVE = 1e-200
_SMALLEST_DIVISOR = 1e-100


@dataclass(frozen=True)
class Rates:
    """Of one target: now and in the long run, by level."""

    now: list[float]
    long_run: list[float]


def own(sums: Sequence[float]) -> list[float]:
    """What each level knows beyond its finer ones."""
    left = [0.0] * len(sums)
    finer = 0.0
    for level in reversed(range(len(sums))):
        left[level] = max(sums[level] - finer, 0.0)
        finer = max(sums[level], finer)
    return left


def rates(evidence: Evidence, parameters: LearnedParameters) -> dict[str, Rates]:
    """Every target's rates down the hierarchy."""
    return {target: _rates_of(target, evidence, parameters) for target in TARGETS}


def _rates_of(target: str, evidence: Evidence, parameters: LearnedParameters) -> Rates:
    counted, per = (MEASURES.index(name) for name in TARGETS[target])
    money = counted >= MEASURES.index("cost")
    long, short = (
        HALF_LIVES_DAYS.index(days[target])
        for days in (parameters.response.half_lives, parameters.drift.half_lives)
    )
    all_successes = [level[long][counted] for level in evidence]
    all_trials = [level[long][per] for level in evidence]
    unknown = money and all_trials[0] < MINIMUM_EXPOSURE
    unknown = unknown or (target == "revenue" and all_successes[0] < MINIMUM_REVENUE)
    if unknown:
        return Rates([nan] * len(LEVELS), [nan] * len(LEVELS))
    root = all_successes[0] / max(all_trials[0], NOTHING) if money else ROOT_ALPHA / (ROOT_ALPHA + ROOT_BETA)
    strengths = (NOTHING if money else ROOT_ALPHA + ROOT_BETA, *parameters.response.strengths[target])
    strays = parameters.drift.strengths[target]
    successes, trials = own(all_successes), own(all_trials)
    recent_successes = own([level[short][counted] for level in evidence])
    recent_trials = own([level[short][per] for level in evidence])

    now: list[float] = []
    long_run: list[float] = []
    mean, variance, parent = root, 0.0, root
    for level in range(len(LEVELS)):
        differs = 1.0 / strengths[level] if level == 0 or all_trials[level] > 0 else 0.0
        expected = variance + differs
        growth = 1.0 + expected * trials[level]
        mean, variance = (mean + expected * successes[level]) / growth, expected / growth

        older_successes = max(successes[level] - recent_successes[level], 0.0)
        older_trials = max(trials[level] - recent_trials[level], 0.0)
        moved = 1.0
        if level:
            moved = (parent + _SMALLEST_MOVE) / (long_run[-1] + _SMALLEST_MOVE)
            moved = min(max(moved, 1.0 / MAX_MOVE), MAX_MOVE)
        lent = 1.0 / (1.0 + expected * older_trials)
        uncertain = expected * lent + 1.0 / strays[level]
        weight = 1.0 + uncertain * recent_trials[level]
        parent = (
            uncertain * recent_successes[level] / weight
            + lent / weight * parent
            + expected * lent * older_successes / weight * moved
        )
        long_run.append(mean)
        now.append(min(parent, 1.0) if target == "ctr" else parent)
    return Rates(now, long_run)


def features(
    found: dict[str, Rates],
    evidence: Evidence,
    values: dict[str, str],
    vocabulary: Vocabulary,
    scores: tuple[float, float],
    at: datetime,
) -> list[float]:
    """The revenue model's columns of one bid. values: of `LIFTED` and `CATEGORIES`; scores: slot, partner."""
    codes = []
    for name in CATEGORIES:
        known = list(vocabulary.categories[name])
        codes.append(float(known.index(values[name])) if values[name] in known else nan)
    revenue, long_revenue = (
        [_log(rate) for rate in each] for each in (found["revenue"].now, found["revenue"].long_run)
    )
    others = [target for target in TARGETS if target != "revenue"]
    lifts = [vocabulary.lifts[name].get(values[name], (0.0, 0.0)) for name in LIFTED]
    return [
        *scores,
        float(at.hour // HOURS_PER_BUCKET),
        float(at.weekday()),
        *codes,
        *(_log(found[target].now[-1]) for target in TARGETS),
        *(rate - revenue[-1] for rate in revenue[:-1]),
        *(rate - long for rate, long in zip(revenue, long_revenue, strict=True)),
        *(_log(found[target].now[-1]) - _log(found[target].long_run[-1]) for target in others),
        *(log1p(evidence[level][0][_IMPRESSIONS]) for level in _COUNTED),
        *(log1p(evidence[level][-1][_IMPRESSIONS]) for level in _COUNTED),
        *(lift for lift, _ in lifts),
        *(residual for _, residual in lifts),
    ]


def _log(rate: float) -> float:
    return log(max(rate, _SMALLEST_RATE)) if rate == rate else nan


def quality(
    tables: QualityTables,
    evidence: Evidence,
    values: dict[str, str],
    scores: tuple[float, float],
    at: datetime,
) -> list[float]:
    """The five lifts of one bid."""
    finest = max(
        (level for level in range(LEVELS.index("device_type"), len(LEVELS)) if values[LEVELS[level]]),
        default=LEVELS.index("slot"),
    )
    share = tables.strength / (tables.strength + evidence[finest][-1][_IMPRESSIONS])
    logs = (
        _of_score(tables.placement, scores[0]),
        _of_score(tables.partner, scores[1]),
        tables.device.get(values["device_type"], 0.0),
        tables.creative.get(values["creative_type"], 0.0),
        tables.hour[at.hour],
    )
    return [exp(one * share) for one in logs]


def _of_score(table: Sequence[float], score: float) -> float:
    return table[min(floor(score * SCORE_BINS), SCORE_BINS - 1)] if score == score else 0.0


def payments_behind(evidence: Evidence, present: Sequence[bool], parameters: LearnedParameters) -> float:
    """How many payments one bid's revenue rests on."""
    response = parameters.response
    half_life = HALF_LIVES_DAYS.index(response.half_lives["revenue"])
    counted = _CONVERSIONS if evidence[0][half_life][_CONVERSIONS] else _CLICKS
    paid = own([level[half_life][counted] for level in evidence])
    shown = own([level[half_life][_IMPRESSIONS] for level in evidence])
    total, rate = paid[0], _ratio(paid[0], shown[0])
    for level, strength in enumerate(response.strengths["revenue"], start=1):
        if present[level]:
            lent = strength * rate
            total = _ratio(total * lent, total + lent) + paid[level]
            rate = (paid[level] + lent) / (shown[level] + strength)
    return total


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > _SMALLEST_DIVISOR else 0.0
