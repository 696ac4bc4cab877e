"""The load benchmark runs without an error, and would say if the money didn't add up."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks import load

STORED = {"differences": [], "spent": {"b0": "1.50"}, "database": "sqlite"}
POINTS = [{"cost": "1.50", "impressions": 3}]


def test_a_short_load_leaves_everything_in_agreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "load.json"
    assert load.main(["--seconds", "3", "--workers", "2", "--events", "30", "--json", str(out)]) == 0
    result = json.loads(out.read_text())
    assert (result["errors"], result["disagreements"]) == ([], [])
    assert result["counts"]["won"] > 0
    assert result["counts"]["accepted"] >= result["counts"]["impressions"] > 0
    assert set(result["latency_ms"]) >= {"score", "ingest"}
    assert "agree with what was accepted" in capsys.readouterr().out


def test_agreement() -> None:
    assert load.disagreements({"b0": Decimal("1.5")}, STORED, POINTS, Counter(impressions=3)) == []


@pytest.mark.parametrize(
    ("spent", "stored", "points", "said"),
    [
        ("1.49", STORED, [{"cost": "1.49", "impressions": 3}], "b0 has spent 1.50, and 1.49 was accepted"),
        ("1.50", {**STORED, "differences": ["b0: reserved"]}, POINTS, "ledger: b0: reserved"),
        ("1.50", STORED, [{"cost": "1.40", "impressions": 3}], "the report's cost is 1.40"),
        ("1.50", STORED, [{"cost": "1.50", "impressions": 2}], "the report has 2 impressions"),
    ],
)
def test_what_would_be_said(spent: str, stored: object, points: object, said: str) -> None:
    [wrong] = load.disagreements({"b0": Decimal(spent)}, stored, points, Counter(impressions=3))  # type: ignore[arg-type]
    assert said in wrong


def test_a_brand_over_its_budget_is_said() -> None:
    """b4 pays for what it reserved, of 2.00 a day."""
    stored = {"differences": [], "spent": {"b4": "2.01"}, "database": "sqlite"}
    points = [{"cost": "2.01", "impressions": 3}]
    [wrong] = load.disagreements({"b4": Decimal("2.01")}, stored, points, Counter(impressions=3))
    assert "has spent 2.01 of 2.00" in wrong


@pytest.mark.parametrize("seconds", ["0", "601"])
def test_a_load_is_bounded(seconds: str) -> None:
    with pytest.raises(SystemExit):
        load.main(["--seconds", seconds])
