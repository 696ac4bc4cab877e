"""The prediction benchmark: measures by hand, a promise to look at the past alone, the answer's shape."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.datasets import day_number, load
from benchmarks.metrics import binomial_deviance, calibration_error, evaluate, poisson_deviance, reliability
from benchmarks.prediction import Split, main, predict

DAYS = 12
HEADER = [
    *("date", "campaign_number", "user_engagement", "banner", "placement"),
    *("displays", "cost", "clicks", "revenue", "post_click_conversions", "post_click_sales_amount"),
]


@pytest.fixture
def advertiser(tmp_path: Path) -> Path:
    """A small log in the advertiser's format: twelve days of April 2020."""
    return write(tmp_path / "log.csv", factor=1.0)


def write(path: Path, *, factor: float, from_day: int = 1) -> Path:
    """`factor` scales the clicks and the revenue of `from_day` and later."""
    random = np.random.default_rng(5)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for day in range(1, DAYS + 1):
            for campaign in range(3):
                for banner in range(4):
                    shown = int(random.poisson(3000)) * (campaign < 2 or banner > 0)
                    scale = factor if day >= from_day else 1.0
                    clicks = int(random.binomial(shown, 0.01 * (1 + banner)) * scale)
                    row = [f"camp {campaign}", "High", f"{banner} x 60", "abc", shown, shown / 1000, clicks]
                    rows.writerow([f"2020-04-{day:02}", *row, clicks * 0.1, clicks // 5, 0.0])
    return path


def options(file: Path, *more: str) -> list[str]:
    dates = ["--train-to", "2020-04-08", "--test-from", "2020-04-09", "--test-to", "2020-04-30"]
    return ["--dataset", "online_advertising", "--file", str(file), *dates, *more]


def test_measures_by_hand() -> None:
    outcome, exposure = np.array([2.0, 0.0]), np.array([10.0, 10.0])
    rate = np.array([0.1, 0.1])
    poisson = 2 * (2 * np.log(2.0) - 2 + 1 + 1)
    assert poisson_deviance(outcome, exposure, rate) == pytest.approx(poisson)
    binomial = 2 * (2 * np.log(2.0) + 8 * np.log(8 / 9) + 10 * np.log(10 / 9))
    assert binomial_deviance(outcome, exposure, rate) == pytest.approx(binomial)
    scores = evaluate(outcome, exposure, np.array([0.15, 0.05]), 0.1, binomial=False)
    better = 2 * (2 * np.log(2 / 1.5) - 2 + 1.5 + 0.5)
    assert scores.d2 == pytest.approx(1 - better / poisson)
    assert scores.wmae == pytest.approx((0.5 + 0.5) / 2)
    assert scores.calibration == pytest.approx(1.0)


def test_the_truth_is_perfect_and_the_null_model_is_zero() -> None:
    random = np.random.default_rng(0)
    exposure = random.integers(1, 1000, 200).astype(float)
    outcome = random.binomial(exposure.astype(int), random.random(200)).astype(float)
    truth = evaluate(outcome, exposure, outcome / exposure, 0.3, binomial=True)
    assert (truth.d2, truth.wmae, truth.calibration) == pytest.approx((1.0, 0.0, 1.0))
    assert truth.ece == pytest.approx(0.0, abs=1e-12)
    assert evaluate(outcome, exposure, np.full(200, 0.3), 0.3, binomial=True).d2 == pytest.approx(0.0)


def test_calibration_error_of_rates_that_are_all_twice_too_high() -> None:
    rate = np.linspace(0.01, 0.4, 100)
    exposure = np.full(100, 50.0)
    assert calibration_error(rate * exposure, exposure, 2 * rate) == pytest.approx(1.0)
    predicted, observed, share = reliability(rate * exposure, exposure, 2 * rate)
    np.testing.assert_allclose(predicted, 2 * observed)
    np.testing.assert_allclose(share, 0.1)


def test_a_day_is_predicted_from_earlier_days_alone(tmp_path: Path, advertiser: Path) -> None:
    split = Split(
        *(day_number(day) for day in np.array(["2020-04-08", "2020-04-08", "2020-04-13"], "M8[D]").tolist())
    )
    changed = load("online_advertising", write(tmp_path / "changed.csv", factor=0.3, from_day=10))
    history = load("online_advertising", advertiser)
    before, _, _ = predict(history, split)
    after, _, _ = predict(changed, split)
    days = history.log.days[np.searchsorted(history.log.days, split.first) :]
    same = days <= day_number(
        np.datetime64("2020-04-10").item()
    )  # the tenth itself is predicted from the ninth
    for target in ("ctr", "cvr", "revenue", "cost"):
        np.testing.assert_array_equal(after[target][same], before[target][same])
    assert not np.allclose(after["ctr"][~same], before["ctr"][~same])


def test_the_answer(tmp_path: Path, advertiser: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert main(options(advertiser, "--json", str(out))) == 0
    result = json.loads(out.read_text())
    assert set(result["targets"]) == {"revenue", "ctr", "cvr"}
    assert set(result["thinned"]) == {"0.0005", "0.005"}
    for scores in (*result["targets"].values(), result["thinned"]["0.005"]["ctr"]):
        assert set(scores["product"]) == {"d2", "wmae", "calibration", "ece"}
        assert {"global_mean", "cell_beta", "hierarchical_no_decay"} <= set(scores["baselines"])
    assert "lightgbm_l2" in result["targets"]["ctr"]["baselines"]
    assert result["targets"]["ctr"]["product"]["d2"] > 0.8  # banners differ by a factor of four
    assert "product" in capsys.readouterr().out


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options(tmp_path / "nowhere.csv.gz")) == 2
    assert "nowhere.csv.gz" in capsys.readouterr().err


def test_another_kind_of_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    assert main(options(file)) == 2
    assert "has no column" in capsys.readouterr().err
    assert main(options(tmp_path)) == 2  # a folder


def test_days_in_disorder_are_refused(advertiser: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = options(advertiser)
    arguments[arguments.index("--train-to") + 1] = "2020-04-20"
    with pytest.raises(SystemExit):
        main(arguments)
    assert "in order" in capsys.readouterr().err
    arguments[arguments.index("--train-to") + 1] = "2019-01-01"
    assert main(arguments) == 2
