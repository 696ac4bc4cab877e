"""A brand's status in one word, and why: by hand, one case for each."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adbid.domain.portfolio_status import Condition, status_of
from adbid.domain.roas_status import Standing

FINE = Condition(
    currency="USD",
    paused=False,
    window_days=7,
    days_run=7.0,
    conversions=143,
    roas=2.41,
    target=2.0,
    below_probability=0.03,
    standing=Standing.ON_TARGET,
    budget=100.0,
    spent=38.2,
    reserved=1.05,
    expected=37.45,
    nu=0.0,
    mu=0.0,
    lambda_=0.0,
    probe_share=0.0,
)
UNDER = {"below_probability": 0.97, "standing": Standing.BELOW, "roas": 1.5}
UNTOLD = {"below_probability": None, "standing": Standing.UNKNOWN, "conversions": 3}


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        (
            {},
            "on_target",
            "ROAS 2.41 against its target 2.00 over 7 days and 143 conversions: "
            "97 % certain to be at or above it.",
        ),
        ({"paused": True}, "paused", "The brand is paused"),
        ({"spent": 99.6, "reserved": 0.0}, "limited_by_budget", "The day's budget is used up."),
        ({"spent": 0.0, "reserved": 100.0}, "limited_by_budget", "100.00 USD reserved of 100.00 USD"),
        ({"spent": 99.6, "reserved": None, **UNDER}, "limited_by_budget", "used up"),
        ({**UNTOLD, "days_run": 2.4}, "learning", "3 conversions in 2 days since it began to spend"),
        ({**UNTOLD, "days_run": 0.0}, "learning", "Nothing was spent in the last 7 days"),
        (UNTOLD, "unknown", "It has run all 7 days of the window with 3 conversions"),
        ({**UNTOLD, "conversions": 1}, "unknown", "with 1 conversion;"),
        ({**UNDER, "lambda_": 0.0}, "limited_by_roas", "with 97 % certainty over 7 days"),
        (
            {**UNDER, "nu": 0.5, "lambda_": 0.8, "probe_share": 0.05},
            "limited_by_roas",
            "a probe share of 5 %.",
        ),
        ({**UNDER, "below_probability": 0.6}, "limited_by_roas", "with 60 % certainty still over"),
        ({"nu": 0.1, "lambda_": 0.2}, "limited_by_roas", "Bids under a ROAS of 0.20 are passed over."),
        ({"mu": 0.3, "lambda_": 0.3}, "limited_by_budget", "102 % of what"),
        ({"mu": 0.3, "lambda_": 0.3, "spent": 10.0}, "on_target", "ROAS 2.41"),  # behind: nothing holds it
        ({"budget": None, "expected": None}, "on_target", "ROAS 2.41"),
    ],
)
def test_each_status_by_hand(changes: dict[str, object], status: str, reason: str) -> None:
    found, why = status_of(replace(FINE, **changes))  # type: ignore[arg-type]
    assert found == status
    assert reason in why


@given(
    st.builds(
        Condition,
        currency=st.just("EUR"),
        paused=st.booleans(),
        window_days=st.just(7),
        days_run=st.floats(0, 7),
        conversions=st.integers(0, 10**6),
        roas=st.none() | st.floats(0, 1e9),
        target=st.floats(0.01, 1e3),
        below_probability=st.none() | st.floats(0, 1),
        standing=st.sampled_from(Standing),
        budget=st.none() | st.floats(0, 1e9),
        spent=st.floats(-1e6, 1e9),
        reserved=st.none() | st.floats(0, 1e9),
        expected=st.none() | st.floats(0, 1e9),
        nu=st.floats(0, 1e3),
        mu=st.floats(0, 1e3),
        lambda_=st.floats(0, 1e3),
        probe_share=st.floats(0, 1),
    )
)
def test_there_is_always_one_and_a_sentence(brand: Condition) -> None:
    status, reason = status_of(brand)
    assert reason.endswith(".")
    assert "nan" not in reason
    assert (status == "paused") == brand.paused
