"""Learning from several currencies: what is learned doesn't depend on how much one unit of each is worth."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from adbid.domain.context import LEVELS
from adbid.domain.decay import MEASURES
from adbid.domain.learned import DEFAULTS
from adbid.domain.learning import learn, one_unit
from adbid.domain.replay import index_cells, replay
from adbid.domain.response import TARGETS
from adbid.ml.artefact import load
from adbid.ml.features import FEATURES, LIFTED
from adbid.ml.model import PACKAGED, Model, Rows
from functions.retrain.champion import compare
from functions.retrain.fit import artefact, fit
from functions.retrain.samples import History, build
from functions.retrain.training_data import moment_of
from tests.unit.test_fit import BRANDS, DAYS, SETTINGS, everything, history, strings

MONEY = [MEASURES.index("cost"), MEASURES.index("revenue")]
AMOUNTS = [FEATURES.index("log_revenue"), FEATURES.index("log_cost")]
YEN = BRANDS // 2
"""From this brand on they count in yen, the others in dollars."""


def market(worth: float = 1.0, *, slots_apart: bool = False, since: float = 0.0) -> History:
    """A log of dollars and yen, `worth` yen to the dollar. slots_apart: no slot has both. since: yen's first
    day."""
    past = history(shown=200.0)
    log = past.log
    yen = past.columns["brand"].codes >= YEN
    measures = log.measures.copy()
    measures[:, MONEY[0]] = 0.02 * measures[:, 0] * (1 + np.arange(len(log)) % 3)
    measures[np.ix_(yen, MONEY)] *= worth
    kept = ~yen | (log.days >= since)
    if slots_apart:
        kept &= (past.columns["slot"].codes % 2 == 1) == yen
    columns = {name: replace(column, codes=column.codes[kept]) for name, column in past.columns.items()}
    cells, count = index_cells([columns[level].codes for level in LEVELS[1:]], yen[kept].astype(np.intp))
    whole = History(
        replace(log, days=log.days[kept], cells=cells, measures=measures[kept], cell_count=count),
        columns,
        *(one[kept] for one in (past.placement_score, past.partner_quality, past.hour, past.day_of_week)),
    )
    assert len(np.unique(whole.log.currencies)) == 2
    return whole


def lifts_of(past: History) -> NDArray[np.float64]:
    """[values, 2] of all dimensions."""
    _, vocabulary = build(past, DEFAULTS, everything(past)[:0])
    return np.array([pair for name in LIFTED for pair in vocabulary.lifts[name].values()])


def test_a_unit_is_what_makes_an_impression_worth_the_same() -> None:
    """Dollars, the most shown: 30 / 300 = 0.1 an impression. Yen: 300 / 20 = 15. Pounds brought nothing."""
    amounts, shown = np.array([10.0, 300.0, 20.0, 0.0]), np.array([100.0, 20.0, 200.0, 50.0])
    units = one_unit(amounts, shown, np.array([0, 1, 0, 2]))
    assert units == pytest.approx([1.0, 0.1 / 15, 1.0, 0.0])
    assert one_unit(amounts[[0, 2]], shown[[0, 2]], np.zeros(2, dtype=np.intp)).tolist() == [1.0, 1.0]
    assert one_unit(np.zeros(2), shown[:2], np.zeros(2, dtype=np.intp)).tolist() == [0.0, 0.0]


def test_the_strengths_are_the_same_whatever_a_yen_is_worth() -> None:
    even = learn(market().log)
    assert learn(market(128.0).log) == even  # a power of two: not even rounding differs
    dear = learn(market(150.0).log)
    for target in TARGETS:
        assert dear.response.strengths[target] == pytest.approx(even.response.strengths[target], rel=1e-3)
        assert dear.drift.strengths[target] == pytest.approx(even.drift.strengths[target], rel=1e-3)
    assert dear.drift.half_lives == even.drift.half_lives
    assert even != DEFAULTS


def test_the_lifts_are_the_same_whatever_a_yen_is_worth() -> None:
    even = lifts_of(market())
    assert np.abs(even).max() > 0.1
    np.testing.assert_array_equal(lifts_of(market(128.0)), even)
    np.testing.assert_allclose(lifts_of(market(150.0)), even, rtol=1e-9, atol=1e-12)


def test_what_only_yen_buy_is_not_lifted_by_their_number() -> None:
    """Odd slots were only ever paid for in yen: their lift is over what yen bring, not over dollars."""
    past = market(150.0, slots_apart=True)
    _, vocabulary = build(past, DEFAULTS, everything(past)[:0])
    slots = np.array([pair[0] for pair in vocabulary.lifts["slot"].values()])
    assert len(slots) == 8
    assert np.abs(slots).max() < 0.5 < np.log(150.0)


def test_the_features_hold_no_unit() -> None:
    even, dear = (build(past, DEFAULTS, everything(past))[0] for past in (market(), market(150.0)))
    assert even.without_unit
    np.testing.assert_allclose(dear.features, even.features, rtol=1e-9, atol=1e-9)
    assert np.isfinite(even.features[-1, AMOUNTS]).all()


def test_one_currency_keeps_its_amounts() -> None:
    past = history()
    samples, _ = build(past, DEFAULTS, everything(past))
    assert not samples.without_unit
    np.testing.assert_allclose(
        samples.features[-50:, AMOUNTS[0]], np.log(samples.posterior_revenue[-50:]), rtol=1e-12
    )
    assert not load(artefact(fit(past, SETTINGS))).metadata["revenue"]["without_unit"]


def rows_of(past: History, rows: slice, day: float) -> Rows:
    return Rows(
        {name: strings(past, name, rows) for name in past.columns},
        placement_score=past.placement_score[rows],
        partner_quality=past.partner_quality[rows],
        at=moment_of(day),
    )


def learned(past: History) -> Model:
    return Model.from_artefact("learned", load(artefact(fit(past, SETTINGS))))


def test_a_model_of_two_currencies_predicts_alike_in_each() -> None:
    """And serving sees the features of training: dollars stay, yen are 150 times more."""
    ends = DAYS - 1.0
    even, dear = market(), market(150.0)
    predicted = []
    for past in (even, dear):
        model = learned(past.between(0.0, ends))
        assert model.revenue is not None
        assert model.revenue.without_unit
        step = list(replay(past.log))[-1]
        found = model.predict(rows_of(past, step.rows, step.day), step.evidence)
        assert found.revenue is not None
        assert found.features is not None
        samples, _ = build(past, model.parameters, everything(past)[step.rows])
        np.testing.assert_allclose(found.features[:, AMOUNTS], samples.features[:, AMOUNTS], rtol=1e-12)
        predicted.append(found.revenue)
    worth = np.where(even.log.currencies[step.rows] == 1, 150.0, 1.0)
    # Rounded otherwise, features may fall into other bins, and the trees grow a little otherwise.
    assert np.abs(np.log(predicted[1] / worth / predicted[0])).mean() < 0.03


def test_a_comparison_weighs_currencies_alike() -> None:
    even, dear = (compare(past, DAYS - 4.0, [PACKAGED])[0] for past in (market(), market(150.0)))
    assert even.keys() == dear.keys() == {"ctr", "revenue", "cost"}
    for name in even:
        assert (dear[name].d2, dear[name].calibration) == pytest.approx(
            (even[name].d2, even[name].calibration), rel=1e-9
        )


def test_a_currency_whose_revenue_comes_late_counts_no_more_for_it() -> None:
    """Yen had brought a hundredth by then, so most of theirs is missed; dollars, as many, are not."""
    first = DAYS - 4.0
    past = market(150.0)
    measures = past.log.measures.copy()
    measures[(past.log.currencies == 1) & (past.log.days < first), MONEY[1]] *= 0.01
    [skills] = compare(replace(past, log=replace(past.log, measures=measures)), first, [PACKAGED])
    assert skills["revenue"].calibration == pytest.approx(0.45, abs=0.05)


def test_a_currency_that_only_begins_on_the_later_days_is_not_judged() -> None:
    """Nobody can know its rates on its first day; that must not make every model's predictions no numbers."""
    first = DAYS - 4.0
    both = market(150.0, since=first)
    [skills] = compare(both, first, [PACKAGED])
    assert all(np.isfinite([one.d2, one.calibration]).all() for one in skills.values())
    dollars = both.log.currencies == 0
    alone = replace(
        both,
        log=replace(
            both.log,
            days=both.log.days[dollars],
            cells=both.log.cells[dollars],
            measures=both.log.measures[dollars],
        ),
        columns={name: replace(one, codes=one.codes[dollars]) for name, one in both.columns.items()},
        placement_score=both.placement_score[dollars],
        partner_quality=both.partner_quality[dollars],
        hour=both.hour[dollars],
        day_of_week=both.day_of_week[dollars],
    )
    [of_dollars] = compare(alone, first, [PACKAGED])
    for name in ("revenue", "cost"):
        assert skills[name].d2 == pytest.approx(of_dollars[name].d2)
