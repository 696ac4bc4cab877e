"""The auction's rules for any bundle: order never matters, the same input gives the same bits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.context import LEVELS
from adbid.domain.evaluation import Bids, Evaluation, Terms, evaluate_bids
from adbid.domain.quality import PARTS, Quality
from adbid.domain.response import TARGETS, Response

FLAGS = (
    "unknown_brand",
    "unknown_partner",
    "unknown_slot",
    "paused",
    "foreign_money",
    "foreign_floor",
    "exempt",
)
PRICES = ("multiplier", "priority", "target_roas", "floor", "lambda_", "weight", "mu", "draw")
NUMBERS = ("value_per_impression", "ctr", "cvr", "revenue", "cost", "roas", "score", "rank")
BID = st.fixed_dictionaries(
    {
        "slot": st.integers(0, 3),
        "pricing": st.integers(0, 2),
        "amount": st.sampled_from([0.0, 0.4, 4.0, 12.5]) | st.floats(0, 1e3),
        "ctr": st.floats(0, 1),
        "cvr": st.floats(0, 3),
        "revenue": st.sampled_from([0.0, 0.01]) | st.floats(0, 10),
        "lift": st.floats(0.5, 2),
        "multiplier": st.sampled_from([0.85, 1.0, 1.2]),
        "priority": st.integers(0, 2),
        "target_roas": st.floats(0.1, 10),
        "floor": st.floats(0, 10),
        "lambda_": st.floats(0, 3),
        "weight": st.floats(1, 3),
        "mu": st.floats(0, 3),
        "draw": st.sampled_from([1.0, 1.0, 0.0, 2.5]),
        **{flag: st.sampled_from([False, False, False, True]) for flag in FLAGS},
    }
)
BUNDLE = st.lists(BID, min_size=1, max_size=20)


def evaluate(bundle: list[dict[str, float]], names: list[str], known_revenue: bool = True) -> Evaluation:
    def column(name: str) -> np.ndarray:
        return np.array([float(bid[name]) for bid in bundle])

    slots = [f"s{bid['slot']}" for bid in bundle]
    slot_ids = list(dict.fromkeys(slots))
    levels = np.zeros((len(TARGETS), len(LEVELS), len(bundle)))
    levels[:, -1] = [column("ctr"), column("cvr"), column("revenue"), np.zeros(len(bundle))]
    if not known_revenue:
        levels[2:] = np.nan
    parts = np.ones((len(bundle), len(PARTS)))
    parts[:, 2] = column("lift")
    terms = Terms(
        **{flag: column(flag) > 0 for flag in FLAGS},
        **{n: column(n) for n in PRICES},
    )
    bids = Bids(
        ids=names,
        slot=np.array([slot_ids.index(slot) for slot in slots]),
        slot_ids=slot_ids,
        amount=column("amount"),
        pricing=column("pricing").astype(np.intp),
    )
    return evaluate_bids(bids, terms, Response(levels), Quality(parts))


def by_name(evaluation: Evaluation, names: list[str]) -> dict[str, bytes]:
    """Everything said of each bid, to the bit."""
    said: dict[str, bytes] = {}
    for place, name in enumerate(names):
        numbers = [getattr(evaluation, number)[place] for number in NUMBERS]
        said[name] = np.array(numbers, dtype=np.float64).tobytes() + repr(evaluation.reasons[place]).encode()
    return said


@given(BUNDLE, st.randoms(use_true_random=False))
def test_the_order_of_the_bids_never_matters(bundle, random) -> None:
    names = [f"b{place:02}" for place in range(len(bundle))]
    first = evaluate(bundle, names)
    places = list(range(len(bundle)))
    random.shuffle(places)
    shuffled = [names[place] for place in places]
    second = evaluate([bundle[place] for place in places], shuffled)
    assert by_name(first, names) == by_name(second, shuffled)
    assert [names[place] for place in first.order] == [shuffled[place] for place in second.order]


@given(BUNDLE)
def test_the_same_input_gives_the_same_bits(bundle) -> None:
    names = [f"b{place:02}" for place in range(len(bundle))]
    assert by_name(evaluate(bundle, names), names) == by_name(evaluate(bundle, names), names)


@given(BUNDLE)
def test_ranks_and_reasons_agree(bundle) -> None:
    names = [f"b{place:02}" for place in range(len(bundle))]
    evaluation = evaluate(bundle, names)
    for slot in {bid["slot"] for bid in bundle}:
        places = [place for place, bid in enumerate(bundle) if bid["slot"] == slot]
        eligible = [place for place in places if not set(evaluation.reasons[place]) - {"outranked"}]
        assert sorted(evaluation.rank[eligible].tolist()) == list(range(1, len(eligible) + 1))
        ordered = sorted(eligible, key=lambda place: evaluation.rank[place])
        scores = evaluation.score[ordered]
        assert np.all(scores[:-1] >= scores[1:])
        for place in set(places) - set(eligible):
            assert evaluation.rank[place] == 0
    for place in range(len(bundle)):
        assert (evaluation.rank[place] == 1) == (not evaluation.reasons[place])
    assert sorted(evaluation.order.tolist()) == list(range(len(bundle)))


@given(BUNDLE)
def test_each_rule_rejects_what_it_names(bundle) -> None:
    evaluation = evaluate(bundle, [f"b{place:02}" for place in range(len(bundle))])
    for place, bid in enumerate(bundle):
        reasons = set(evaluation.reasons[place])
        for flag, reason in (
            ("unknown_brand",) * 2,
            ("unknown_partner",) * 2,
            ("unknown_slot",) * 2,
            ("paused", "brand_paused"),
        ):
            assert bool(bid[flag]) == (reason in reasons)
        assert bool(bid["foreign_money"] or bid["foreign_floor"]) == ("currency_mismatch" in reasons)
        if evaluation.rank[place]:
            assert evaluation.score[place] > 0 or bid["exempt"]
            assert evaluation.cost[place] >= bid["floor"] / 1000


@given(BUNDLE)
def test_quality_never_scales_a_cpm_price(bundle) -> None:
    evaluation = evaluate(bundle, [f"b{place:02}" for place in range(len(bundle))])
    known = ~np.isnan(evaluation.cost)
    cpm = np.array([bid["pricing"] == 0 for bid in bundle])
    lift = np.array([bid["lift"] for bid in bundle])
    expected = evaluation.value_per_impression * np.where(cpm, 1.0, lift)
    assert np.array_equal(evaluation.cost[known], expected[known])


@given(BUNDLE)
def test_without_any_revenue_data_a_brand_just_meets_its_target(bundle) -> None:
    evaluation = evaluate(bundle, [f"b{place:02}" for place in range(len(bundle))], known_revenue=False)
    targets = np.array([bid["target_roas"] for bid in bundle])
    said = ~np.isnan(evaluation.revenue)
    assert np.array_equal(evaluation.revenue[said], (targets * evaluation.cost)[said])
