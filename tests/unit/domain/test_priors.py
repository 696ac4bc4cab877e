"""Operators' priors: whom each speaks for, at which level, and what then comes of it."""

import numpy as np
import pytest

from adbid.domain.context import LEVELS, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES
from adbid.domain.drift import follow
from adbid.domain.entities import PriorFeatures
from adbid.domain.learned import DEFAULTS
from adbid.domain.priors import operator_priors
from adbid.domain.response import OperatorPriors, respond

MOBILE = ("mobile", "", "", "", "")
NOWHERE = ("", "", "", "", "")
PLACES = [
    ("b1", "p1", "s1", MOBILE),
    ("b1", "p1", "s1", NOWHERE),
    ("b1", "p2", "s1", MOBILE),
    ("b2", "p1", "s1", MOBILE),
]
MARKETS = {"b1": market("USD", "retail"), "b2": ""}


def prior(clicks: float = 10.0, imps: float = 1000.0, **scope: str) -> PriorFeatures:
    names = ("vertical", "brand_id", "partner_id", "slot_id", "device_type")
    return PriorFeatures(**{**dict.fromkeys(names, ""), **scope}, prior_clicks=clicks, prior_imps=imps)


def spoken_for(*priors: PriorFeatures) -> dict[str, list[int]]:
    """By level, the places that have a prior there."""
    found = operator_priors(priors, PLACES, MARKETS)
    assert found is not None
    rows = [np.flatnonzero(found.impressions[level]).tolist() for level in range(len(LEVELS))]
    return {name: places for name, places in zip(LEVELS, rows, strict=True) if places}


def test_none_at_all() -> None:
    assert operator_priors([], PLACES, MARKETS) is None


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ({"vertical": "retail"}, {"vertical": [0, 1, 2]}),
        ({"vertical": "travel"}, {}),
        ({"brand_id": "b1"}, {"brand": [0, 1, 2]}),
        ({"brand_id": "b1", "partner_id": "p1"}, {"partner": [0, 1]}),
        ({"brand_id": "b1", "partner_id": "p1", "slot_id": "s1"}, {"slot": [0, 1]}),
        (
            {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "device_type": "mobile"},
            {"device_type": [0]},
        ),
        (
            {"brand_id": "b1", "partner_id": "p1", "slot_id": "s1", "device_type": "desktop"},
            {},
        ),
        ({"brand_id": "B1"}, {}),
    ],
)
def test_a_prior_speaks_for_the_level_its_scope_ends_at(
    scope: dict[str, str], found: dict[str, list[int]]
) -> None:
    assert spoken_for(prior(**scope)) == found


def test_a_verticals_prior_speaks_for_it_in_every_currency() -> None:
    markets = {"b1": market("USD", "retail"), "b2": market("JPY", "retail")}
    found = operator_priors([prior(10, 1000, vertical="retail")], PLACES, markets)
    assert found is not None
    assert found.clicks[LEVELS.index("vertical")].tolist() == [10.0] * len(PLACES)


def test_a_brand_without_a_vertical_belongs_to_none() -> None:
    assert spoken_for(prior()) == {}


def test_priors_of_several_levels_stand_side_by_side() -> None:
    priors = [prior(10, 1000, vertical="retail"), prior(4, 50, brand_id="b1", partner_id="p2")]
    found = operator_priors(priors, PLACES, MARKETS)
    assert found is not None
    assert found.clicks[LEVELS.index("vertical")].tolist() == [10.0, 10.0, 10.0, 0.0]
    assert found.impressions[LEVELS.index("vertical")].tolist() == [1000.0, 1000.0, 1000.0, 0.0]
    assert found.clicks[LEVELS.index("partner")].tolist() == [0.0, 0.0, 4.0, 0.0]
    assert found.impressions[LEVELS.index("partner")].tolist() == [0.0, 0.0, 50.0, 0.0]


def known(**levels: tuple[float, float]) -> np.ndarray:
    """Impressions and clicks of one row by level, alike at every half-life: all of them are of just now."""
    row = np.zeros((1, len(LEVELS), len(HALF_LIVES_DAYS), len(MEASURES)))
    for name, measures in levels.items():
        row[0, LEVELS.index(name), :, :2] = measures
    return row


def rates(evidence: np.ndarray, priors: OperatorPriors | None) -> list[float]:
    """The current click-through rate at every level, through both chains."""
    base = respond(evidence, DEFAULTS.response, priors)
    levels: list[float] = follow(evidence, base, DEFAULTS.drift, priors).levels[0, :, 0].tolist()
    return levels


def test_a_prior_replaces_mean_and_strength_in_both_chains() -> None:
    priors = operator_priors([prior(10, 1000, brand_id="b1")], PLACES[:1], MARKETS)
    market = {"global": (1e6, 5e4), "vertical": (1e6, 5e4)}
    brand = LEVELS.index("brand")
    nothing = rates(known(**market), priors)
    assert nothing[brand - 1] == pytest.approx(0.05, rel=1e-3)
    assert nothing[brand:] == pytest.approx([0.01] * (len(LEVELS) - brand))
    shown = rates(known(**market, brand=(200.0, 14.0)), priors)
    assert shown[brand:] == pytest.approx([(14 + 10) / (200 + 1000)] * (len(LEVELS) - brand))


def test_the_finest_prior_has_the_last_word() -> None:
    priors = operator_priors(
        [prior(10, 1000, vertical="retail"), prior(20, 400, brand_id="b1", partner_id="p1")],
        PLACES[:1],
        MARKETS,
    )
    found = rates(known(), priors)
    assert found[LEVELS.index("brand")] == pytest.approx(0.01)
    assert found[-1] == pytest.approx(0.05)


def test_a_prior_changes_click_through_alone() -> None:
    row = known(**{"global": (1000.0, 30.0)})
    row[..., 2:] = row[..., 1:2]
    priors = operator_priors([prior(500, 1000, brand_id="b1")], PLACES[:1], MARKETS)
    bare = follow(row, respond(row, DEFAULTS.response), DEFAULTS.drift)
    given = follow(row, respond(row, DEFAULTS.response, priors), DEFAULTS.drift, priors)
    assert np.array_equal(bare.levels[1:], given.levels[1:])
    assert given.ctr[0] == pytest.approx(0.5)
