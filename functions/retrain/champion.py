"""Champion and challenger on the same later days, each row predicted from what was known before it.

Both models run as they do in the score path (`Model.predict`), and both see the same evidence, which is fresh
to the hour: what is compared is what they make of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.learned import BASE_HALF_LIFE
from adbid.domain.learning import one_unit
from adbid.domain.replay import ABSENT, Indexes, replay
from adbid.domain.response import MINIMUM_EXPOSURE, MINIMUM_REVENUE, TARGETS
from adbid.ml.model import COLUMNS, Model, Prediction, Rows
from functions.retrain.samples import History
from functions.retrain.training_data import moment_of

Array = NDArray[np.float64]

TOLERANCE: Mapping[str, float] = {"revenue": 0.01, "ctr": 0.01, "cvr": 0.02, "cost": 0.02}
"""How much less of the deviance (D²) than the champion a challenger may explain, by target."""

COLLAPSED = 0.7
"""Where a challenger explains less than this share of what the champion did when it was published, the data
is suspect, even if the champion explains no more of it."""

_TINY = 1e-12


@dataclass(frozen=True)
class Skill:
    """How well a model predicted one target. d2: share of the Poisson deviance explained, the rate before the
    later days being the null model; calibration: predicted over actual total."""

    d2: float
    calibration: float

    def to_json(self) -> dict[str, float | None]:
        """To six places; None for what is no number."""
        values = {"d2": self.d2, "calibration": self.calibration}
        return {name: round(value, 6) if np.isfinite(value) else None for name, value in values.items()}


Skills = Mapping[str, Skill]
"""By target; without those that can't be judged, because nothing happened."""


def compare(history: History, first_day: float, models: Sequence[Model]) -> list[Skills]:
    """The skill of each model on the rows from `first_day` on. Money is compared in a unit in which an
    impression brings the same in each currency; a currency that had brought nothing before isn't judged."""
    log = history.log
    later = int(np.searchsorted(log.days, first_day))
    found: list[dict[str, list[Array]]] = [{name: [] for name in TARGETS} for _ in models]
    known = {name: [np.ones(later, dtype=np.bool_)] for name in ("revenue", "cost")}
    for step in replay(log):
        if step.day < first_day:
            continue
        rows = _rows(history, step.rows, step.day)
        for name, told in _money_known(step.evidence).items():
            known[name].append(told)
        with np.errstate(all="ignore"):  # a challenger may predict anything: `verdict` looks at it
            for model, rates in zip(models, found, strict=True):
                for name, rate in _rates(model.predict(rows, step.evidence)).items():
                    rates[name].append(rate)
    judged: list[Skills] = []
    for rates in found:
        skills = {}
        for name, (success, trial) in TARGETS.items():
            outcome, exposure = (log.measures[:, MEASURES.index(column)] for column in (success, trial))
            rate = np.concatenate([np.empty(0), *rates[name]])
            if name in known:
                unit = _unit(outcome, exposure, log.currencies, later) * np.concatenate(known[name])
                rate, outcome, exposure = rate * unit[later:], outcome * unit, exposure * (unit > 0)
            skill = _skill(rate, outcome, exposure, later)
            if skill is not None:
                skills[name] = skill
        judged.append(skills)
    return judged


def verdict(
    champion: Skills, challenger: Skills, published_with: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Why the challenger must not replace the champion, as a code and in words; None when it may.

    `published_with`: the champion's own skills on later days when it was published, as JSON; empty where
    there are none, or they are too old to be held against today's.
    """
    for name, tolerance in TOLERANCE.items():
        if name not in challenger:
            continue
        ours = challenger[name].d2
        if not np.isfinite(ours):
            return "worse", f"{name}: the challenger's predictions are no numbers"
        theirs = champion[name].d2 if name in champion else -np.inf
        if np.isfinite(theirs) and ours < theirs - tolerance:
            return "worse", f"{name}: {ours:.3f} of later days explained, {theirs:.3f} by the serving model"
    revenue = challenger.get("revenue")
    before = (published_with.get("revenue") or {}).get("d2") or 0.0
    if revenue is not None and before > 0.1 and revenue.d2 < COLLAPSED * before:
        then = f"{before:.3f} when the serving model was published"
        return "suspect_data", f"revenue: {revenue.d2:.3f} of later days explained, {then}"
    return None


def _rows(history: History, rows: slice, day: float) -> Rows:
    def strings(name: str) -> list[str]:
        column = history.columns[name]
        return [column.values[code] if code != ABSENT else "" for code in column.codes[rows].tolist()]

    return Rows(
        {name: strings(name) for name in COLUMNS},
        placement_score=history.placement_score[rows],
        partner_quality=history.partner_quality[rows],
        at=moment_of(day),
    )


def _rates(prediction: Prediction) -> dict[str, Array]:
    response = prediction.response
    lifted = response.ctr * prediction.quality.factor  # what CPC and CPA bids are valued with
    revenue = response.revenue if prediction.revenue is None else prediction.revenue
    return {"ctr": lifted, "cvr": response.cvr, "revenue": revenue, "cost": response.cost}


def _money_known(evidence: Array) -> dict[str, NDArray[np.bool_]]:
    """[rows]: where anything was earned, and shown, in the row's currency. Elsewhere no model may say."""
    half_life = HALF_LIVES_DAYS.index(BASE_HALF_LIFE)
    shown, revenue = (evidence[:, 0, half_life, MEASURES.index(name)] for name in ("impressions", "revenue"))
    seen = shown >= MINIMUM_EXPOSURE
    return {"revenue": seen & (revenue >= MINIMUM_REVENUE), "cost": seen}


def _unit(outcome: Array, exposure: Array, currencies: Indexes, later: int) -> Array:
    """[rows]: `one_unit`, 0 for a currency that had brought nothing before the later days.

    By all days, as a currency's first ones say little: its revenue comes late.
    """
    before = np.arange(len(outcome)) < later
    begun = one_unit(outcome * before, exposure * before, currencies) > 0
    return one_unit(outcome, exposure, currencies) * begun


def _skill(rate: Array, outcome: Array, exposure: Array, later: int) -> Skill | None:
    """None where nothing is known from before, or nothing happened afterwards."""
    before = exposure[:later].sum()
    happened, shown = outcome[later:], exposure[later:]
    null = outcome[:later].sum() / before if before > 0 else 0.0
    if not (null > 0 and happened[shown > 0].sum() > 0):
        return None
    used = shown > 0
    null_deviance = _deviance(happened[used], null * shown[used])
    expected = np.maximum(rate[used], _TINY) * shown[used]
    d2 = 1.0 - _deviance(happened[used], expected) / max(null_deviance, _TINY)
    return Skill(float(d2), float(expected.sum() / happened[used].sum()))


def _deviance(outcome: Array, expected: Array) -> float:
    """Poisson deviance; NaN where a prediction is no number."""
    if not np.isfinite(expected).all():
        return float("nan")
    positive = outcome > 0
    gain = np.zeros(len(outcome))
    gain[positive] = outcome[positive] * np.log(outcome[positive] / expected[positive])
    return float(2.0 * np.sum(gain + expected - outcome))
