"""A day of the closed loop on the real ledger: money is kept to the micro."""

import json
from pathlib import Path

import pytest

from benchmarks.closed_loop import main


def test_a_day_of_a_few_brands(redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    arguments = ["--brands", "10", "--days", "1", "--url", redis_url, "--json", str(out)]
    assert main([*arguments, "--picture", str(picture)]) == 0
    found = json.loads(out.read_text())
    assert found["grants"] > 2_000
    assert found["refused"] > 0  # budgets were in the way
    assert found["granted_beyond_budget_micros"] == 0
    assert found["ledger_differences"] == 0
    fixed = found["spend"]["CPM"]  # a price that is known before is paid as it was predicted
    assert fixed["actual_over_predicted_total"] == pytest.approx(1.0, abs=0.001)
    assert fixed["overrun_of_budget"]["most"] <= 1e-5  # reservations round up, payments to the nearest
    assert 0.5 < found["value"]["earned_over_bound"] < 1.05
    assert len(found["roas"]["per_brand"]) == 10
    assert "0 micros beyond a budget" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
