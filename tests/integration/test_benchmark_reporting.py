"""The benchmarks of reports and of growth run: on a small market, whose rollup is what its rows add up to."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select

from adbid import wiring
from adbid.data import rollup
from adbid.data.database import Database
from adbid.data.tables import performance, performance_rollup
from benchmarks import growth, reporting
from tests.support.servers import fresh_database

ROWS = 30 * 96 * 4
SCORES = {"bids": {"1": 1.0, "100": 3.0}, "brands": {"1": 2.0, "100": 3.0}, "slots": {"1": 2.0, "100": 3.0}}
RETRAIN = [{"rows": 1_000, "seconds": 2.0, "peak_mb": 300}, {"rows": 10_000, "seconds": 9.0, "peak_mb": 400}]


def test_the_benchmark_fills_a_market_and_asks_about_it(
    real_mysql_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, scores, retrain = (tmp_path / f"{name}.json" for name in ("out", "scores", "retrain"))
    for name in ("DATABASE_URL", "REDIS_URL", "POWERTOOLS_METRICS_DISABLED", "POWERTOOLS_LOG_LEVEL"):
        monkeypatch.setenv(name, "")  # so that what the benchmark sets is taken back
    wiring.reset()
    with fresh_database(real_mysql_url) as url:
        options = ["--database", url, "--redis", redis_url, "--rows", str(ROWS), "--calls", "1"]
        assert reporting.main([*options, "--json", str(out)]) == 0
        result = json.loads(out.read_text())
        with Database(url, statement_timeout=None) as database:
            with database.read() as connection:
                row = performance_rollup.c
                everything = (row.slot_id == "") & (row.brand_id == "") & (row.partner_id == "")
                total = connection.execute(select(func.sum(row.impressions)).where(everything)).scalar_one()
                assert total == connection.execute(select(func.sum(performance.c.impressions))).scalar_one()
            always = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
            assert rollup.repair(database, *always) == 0
    wiring.reset()
    assert result["sizes"]["performance"]["rows"] == ROWS
    assert set(growth.REPORTS) <= result["calls"].keys()
    assert all(0 < one["p50_ms"] <= one["p99_ms"] for one in result["calls"].values())

    scores.write_text(json.dumps(SCORES))
    retrain.write_text(json.dumps(RETRAIN))
    picture = tmp_path / "growth.png"
    drawn = ["--scores", str(scores), "--reports", str(out), "--retrain", str(retrain)]
    assert growth.main([*drawn, "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
