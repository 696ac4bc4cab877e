"""The gates before a model serves: champion against challenger on later days, and the dry run's sanity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from adbid.domain.context import LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.learned import DEFAULTS
from adbid.domain.quality import flat_quality
from adbid.domain.replay import ABSENT, Log, index_cells
from adbid.ml.model import COLUMNS, Model
from functions.retrain.champion import Skill, Skills, compare, verdict
from functions.retrain.dry_run import BIDS, NotSane, canned_bids, rehearse
from functions.retrain.samples import Column, History

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def skills(**d2: float) -> Skills:
    return {name: Skill(value, 1.0) for name, value in d2.items()}


class TestVerdict:
    def test_better_or_as_good_may_serve(self) -> None:
        assert verdict(skills(revenue=0.5, ctr=0.8), skills(revenue=0.6, ctr=0.8), {}) is None

    @pytest.mark.parametrize(("d2", "refused"), [(0.4905, False), (0.4895, True)])
    def test_revenue_may_lose_a_hundredth(self, d2: float, refused: bool) -> None:
        assert (verdict(skills(revenue=0.5), skills(revenue=d2), {}) is not None) is refused

    @pytest.mark.parametrize("target", ["revenue", "ctr", "cvr", "cost"])
    def test_every_target_counts(self, target: str) -> None:
        champion = {"revenue": 0.5, "ctr": 0.5, "cvr": 0.5, "cost": 0.5}
        found = verdict(skills(**champion), skills(**{**champion, target: 0.4}), {})
        assert found is not None
        assert found[0] == "worse"
        assert found[1].startswith(target)

    def test_no_number_never_serves(self) -> None:
        assert verdict(skills(revenue=0.5), skills(revenue=float("nan")), {}) is not None
        assert verdict(skills(revenue=float("nan")), skills(revenue=float("nan")), {}) is not None

    def test_a_champion_without_numbers_is_beaten_by_any(self) -> None:
        assert verdict(skills(revenue=float("nan")), skills(revenue=0.1), {}) is None

    @pytest.mark.parametrize(("d2", "refused"), [(0.55, False), (0.45, True)])
    def test_a_collapse_is_suspect_even_if_both_collapse(self, d2: float, refused: bool) -> None:
        published = {"revenue": {"d2": 0.7, "calibration": 1.0}}
        found = verdict(skills(revenue=d2 - 0.1), skills(revenue=d2), published)
        assert (found is not None and found[0] == "suspect_data") is refused

    def test_a_target_that_never_was_good_cannot_collapse(self) -> None:
        assert verdict(skills(revenue=0.0), skills(revenue=0.0), {"revenue": {"d2": 0.05}}) is None


def history(clicks: list[float], days: list[float]) -> History:
    """One cell, 1,000 impressions a row."""
    rows = len(days)
    measures = np.zeros((rows, len(MEASURES)))
    measures[:, 0] = 1000
    measures[:, 1] = clicks
    codes = {name: np.full(rows, ABSENT if name in LEVELS[5:] else 0) for name in COLUMNS}
    cells, count = index_cells([codes[name] for name in LEVELS[1:]])
    values = {name: [f"{name}-1"] for name in COLUMNS}
    nothing = np.full(rows, np.nan)
    return History(
        Log(np.array(days), cells, measures, count),
        {name: Column(values[name], codes[name]) for name in COLUMNS},
        *(nothing,) * 4,
    )


class TestCompare:
    def test_rows_are_judged_from_the_first_later_day_on_and_known_before(self) -> None:
        # The click rate jumps from 1 % to 4 % with the later days; the second of them is known by then.
        past = history([10, 10, 40, 40], [0, 1, 2, 3])
        [one] = compare(past, 2.0, [Model("m")])
        assert one.keys() == {"ctr"}
        [last] = compare(past, 3.0, [Model("m")])
        assert 0.5 < last["ctr"].calibration < 1
        assert one["ctr"].calibration < 0.5

    def test_the_same_model_does_equally_well(self) -> None:
        first, second = compare(history([10, 12, 11, 13], [0, 1, 2, 3]), 2.0, [Model("a"), Model("b")])
        assert first == second

    def test_d2_of_the_null_model_is_nothing(self) -> None:
        """Predictions that equal the rate before explain nothing: 30 of 60 clicks are expected."""
        past = history([30, 30, 60], [0, 1, 2])

        class Null(Model):
            def predict(self, *arguments: Any) -> Any:
                found = super().predict(*arguments)
                found.response.levels[0] = 0.03
                return found

        [skill] = compare(past, 2.0, [Null("null", DEFAULTS)])
        assert skill["ctr"] == Skill(pytest.approx(0.0), pytest.approx(0.5))  # type: ignore[arg-type]

    def test_nothing_later_is_no_judgement(self) -> None:
        assert compare(history([10, 10], [0, 1]), 2.0, [Model("m")]) == [{}]


class TestCannedBids:
    def test_the_places_shown_most_in_every_pricing_model(self) -> None:
        bids = canned_bids(history([10, 10], [0, 1]), {"brand-1": "EUR"})
        assert [bid["pricing_model"] for bid in bids] == ["CPM", "CPC", "CPA"]
        assert {bid["brand_id"] for bid in bids} == {"brand-1"}
        assert {bid["currency"] for bid in bids} == {"EUR"}
        assert len({bid["id"] for bid in bids}) == 3
        assert bids[0]["country"] == ""

    def test_brands_that_are_gone_are_left_out(self) -> None:
        assert canned_bids(history([10, 10], [0, 1]), {"another": "EUR"}) == []

    def test_there_is_an_end_to_them(self) -> None:
        assert BIDS <= 1000, "what the API takes at once"


@dataclass
class Answer:
    """An evaluation, as far as the dry run looks at it."""

    ctr: Any
    cvr: Any
    revenue: Any
    cost: Any
    value_per_impression: Any
    order: Any
    quality: Any

    @property
    def evaluation(self) -> "Answer":
        return self


def answer(**changes: Any) -> Answer:
    numbers = {name: np.full(4, 0.01) for name in ("ctr", "cvr", "revenue", "cost", "value_per_impression")}
    return Answer(**{**numbers, "order": np.arange(4), "quality": flat_quality(4), **changes})


class Engine:
    """Scores as it is told to: the challenger's answer, or the champion's."""

    def __init__(self, challenger: Answer, champion: Answer) -> None:
        self._answers = {"challenger": challenger, "champion": champion}

    def score(self, bids: Any, *, model: Model, **_: Any) -> Answer:
        return self._answers[model.version]


def rehearsed(
    challenger: Answer, champion: Answer | None = None, currencies: Sequence[str] = ("USD",) * 4
) -> None:
    engine: Any = Engine(challenger, champion or answer())
    bids = [{"currency": currency} for currency in currencies]
    rehearse(engine, bids, Model("challenger"), Model("champion"), NOW)


class TestRehearsal:
    def test_the_same_answers_are_sane(self) -> None:
        rehearsed(answer())

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, 0.0, 1e-5, 0.5])
    def test_one_insane_number(self, value: float) -> None:
        with pytest.raises(NotSane, match="revenue"):
            rehearsed(answer(revenue=np.array([0.01, 0.01, 0.01, value])))

    @pytest.mark.parametrize("factor", [0.3, 3.5])
    def test_all_of_them_off(self, factor: float) -> None:
        with pytest.raises(NotSane, match="on average"):
            rehearsed(answer(revenue=np.full(4, 0.01 * factor)))

    def test_yen_do_not_hide_that_all_dollars_are_off(self) -> None:
        theirs, ours = np.array([0.01, 0.01, 0.01, 1.5]), np.array([0.06, 0.06, 0.06, 1.5])
        with pytest.raises(NotSane, match="on average"):
            rehearsed(answer(revenue=ours), answer(revenue=theirs), ("USD", "USD", "USD", "JPY"))

    def test_a_rate_over_one(self) -> None:
        high = np.full(4, 0.9)
        with pytest.raises(NotSane, match="over 1"):
            rehearsed(answer(ctr=high * 1.5), answer(ctr=high))

    def test_a_lift_out_of_bounds(self) -> None:
        lift = flat_quality(4)
        lift.parts[0, 0] = 1000.0
        with pytest.raises(NotSane, match="lift of 1000"):
            rehearsed(answer(quality=lift))

    def test_a_bid_without_an_answer(self) -> None:
        with pytest.raises(NotSane, match="every bid"):
            rehearsed(answer(order=np.arange(3)))

    def test_what_nobody_knows_need_not_be_known(self) -> None:
        unknown = answer(revenue=np.full(4, np.nan))
        rehearsed(unknown, unknown)
