"""`python -m local load FILE`: an advertiser's log through the API, to the cent, however often it is started.

On a small log of the same columns, and on the real one where it is: ADBID_TEST_LOG, or beside the checkout.
"""

import csv
import gzip
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import pytest

from local import load
from local.cli import main
from local.client import Client
from local.stack import running
from tests.support.availability import NOT_RUN
from tests.support.processes import free_port
from tests.support.product import ROOT, Product, ok

REAL = Path(os.environ.get("ADBID_TEST_LOG") or ROOT.parent / "shared/data/online_advertising_2020.csv.gz")
COLUMNS = (
    "date,campaign_number,user_engagement,banner,placement,displays,cost,clicks,revenue,"
    "post_click_conversions,post_click_sales_amount"
)
Row = dict[str, str]
Cell = tuple[str, str, str]


def small_log() -> list[Row]:
    """1,200 rows as the real log has them, with its odd names."""
    random = Random(1)
    rows = []
    for day in range(1, 21):
        for campaign in ("small 1", "small 2", "small#3"):
            for placement in ("abc", "def", "#N/A", "mno"):
                for banner in ("160 x 600", "728 x 90", "240 x 400", "800 x 250", "300 x 250"):
                    displays = random.randrange(0, 5_000)
                    clicks = random.randrange(0, displays // 20 + 1)
                    values = (
                        f"2020-04-{day:02}",
                        campaign,
                        random.choice(("High", "Medium", "Low")),
                        banner,
                        placement,
                        displays,
                        round(displays * 0.0013, 4),
                        clicks,
                        round(clicks * random.random(), 4),
                        random.randrange(0, clicks + 1),
                        0.0,
                    )
                    rows.append(dict(zip(COLUMNS.split(","), map(str, values), strict=True)))
    return rows


def write(path: Path, rows: list[Row]) -> Path:
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS.split(","))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> list[Row]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may reach a product that the user has running."""
    monkeypatch.setenv("ADBID_HOME", str(tmp_path / "home"))


@dataclass
class Sum:
    impressions: int = 0
    clicks: int = 0
    conversions: int = 0
    cost: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)


def sums(rows: list[Row]) -> dict[Cell, Sum]:
    """What the log adds up to per brand, partner and slot."""
    total: dict[Cell, Sum] = defaultdict(Sum)
    for row in rows:
        cell = total[row["campaign_number"], row["user_engagement"], row["placement"]]
        cell.impressions += int(row["displays"])
        cell.clicks += int(row["clicks"])
        cell.conversions += int(row["post_click_conversions"])
        cell.cost += Decimal(row["cost"])
        cell.revenue += Decimal(row["revenue"])
    return total


def assert_reported(client: Client, rows: list[Row]) -> None:
    """`GET /api/roas` says what the log adds up to, cell by cell."""
    for (brand, partner, slot), expected in sums(rows).items():
        query = {"brand_id": brand, "partner_id": partner, "slot_id": slot}
        window = {"from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}
        observed = ok(client.call("GET", f"/api/roas?{urlencode({**query, **window})}"))["observed"]
        for count in ("impressions", "clicks", "conversions"):
            assert observed[count] == getattr(expected, count), (brand, partner, slot, count)
        for money in ("cost", "revenue"):
            assert Decimal(observed[money]) == getattr(expected, money), (brand, partner, slot, money)


@pytest.fixture(scope="module")
def admin(product: Product) -> Iterator[Client]:
    with Client(product.url, product.token("admin")) as client:
        yield client


def loaded(product: Product, file: Path) -> int:
    """The exit code of the command, run against `product`."""
    return main(["load", str(file), "--url", product.url, "--token", product.token("admin")])


def test_with_nothing_running_it_starts_the_product_itself(tmp_path: Path) -> None:
    """First in a process of its own, which is interrupted on the way; then again, here."""
    months = ("01", "02", "03")
    rows = [{**row, "date": f"2020-{month}-{row['date'][-2:]}"} for month in months for row in small_log()]
    file = write(tmp_path / "log.csv.gz", rows)
    words = [sys.executable, "-m", "local", "load", str(file)]
    interrupted = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
    )
    try:
        assert interrupted.stdout is not None
        output = b""
        while b"load:" not in output:
            part = interrupted.stdout.read(1000)
            assert part, output.decode()
            output += part
        interrupted.send_signal(signal.SIGINT)
        output += interrupted.communicate(timeout=60)[0]
    finally:
        interrupted.kill()
        interrupted.wait()
    assert interrupted.returncode in (0, 130), output.decode()
    assert "Traceback" not in output.decode()
    assert main(["load", str(file)]) == 0
    with running(tmp_path / "home", 0) as stack, Client(stack.url, stack.token("admin")) as client:
        assert_reported(client, rows)


def test_the_log_is_counted_once_to_the_cent(
    product: Product, admin: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on where it was: the first half is there already, then all of it."""
    rows = small_log()
    number = sum(1 for row in rows for _ in load.events(row))
    assert loaded(product, write(tmp_path / "half.csv", rows[:600])) == 0
    assert loaded(product, write(tmp_path / "log.csv.gz", rows)) == 0
    assert_reported(admin, rows)
    assert loaded(product, tmp_path / "log.csv.gz") == 0
    assert_reported(admin, rows)
    assert f"{number} duplicate" in capsys.readouterr().out


def test_rows_that_are_alike_count_each(
    product: Product, admin: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However often they are loaded, and wherever in the log they stand."""
    row = {**small_log()[0], "campaign_number": "alike"}
    rows = [row, {**row, "banner": "other"}, row, {**row, "post_click_sales_amount": "1"}]
    for order in (rows, rows, rows[::-1]):
        assert loaded(product, write(tmp_path / "log.csv", order)) == 0
        assert_reported(admin, rows)
    said = capsys.readouterr()
    assert "4 rows" in said.out
    assert "conflict" not in said.out


def test_a_changed_row_is_a_conflict_and_counts_as_it_was(
    product: Product, admin: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = small_log()
    changed = [{**row, "displays": str(int(row["displays"]) + 1)} for row in rows[:3]]
    assert loaded(product, write(tmp_path / "log.csv", rows)) == 0
    assert loaded(product, write(tmp_path / "changed.csv", changed)) == 1
    said = capsys.readouterr()
    assert "3 conflict" in said.out
    assert "conflict" in said.err
    assert_reported(admin, rows)


def test_rows_that_contradict_themselves_are_said_and_clipped(
    product: Product, admin: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clicks are clipped to displays; conversions may exceed clicks; no cent is lost that has a display."""
    row = {**small_log()[0], "campaign_number": "odd", "displays": "10", "cost": "1.5"}
    rows = [
        {**row, "banner": "1", "clicks": "12", "revenue": "7", "post_click_conversions": "3"},
        {**row, "banner": "2", "clicks": "2", "revenue": "0.25", "post_click_conversions": "5"},
        {**row, "banner": "3", "clicks": "0", "revenue": "4", "post_click_conversions": "0"},
        {**row, "banner": "4", "displays": "0", "clicks": "1", "revenue": "9", "post_click_conversions": "0"},
    ]
    assert loaded(product, write(tmp_path / "odd.csv", rows)) == 0
    said = capsys.readouterr().out
    assert "2 rows contradict themselves: more clicks than displays" in said
    assert "1 rows contradict themselves: more conversions than clicks" in said
    assert "1 rows contradict themselves: revenue without a click" in said
    assert "1 rows contradict themselves: money without a display" in said
    as_counted = [
        {**rows[0], "clicks": "10"},
        rows[1],
        rows[2],
        {**rows[3], "clicks": "0", "cost": "0", "revenue": "0"},
    ]
    assert_reported(admin, as_counted)


def test_the_real_log_is_counted_to_the_cent(product: Product, admin: Client) -> None:
    if not REAL.exists():
        pytest.skip(f"{NOT_RUN}the real log, of unknown licence, is not at {REAL}")
    assert loaded(product, REAL) == 0
    rows = read(REAL)
    assert len(sums(rows)) > 40
    assert_reported(admin, rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "no column", id="empty"),
        pytest.param("a,b\n1,2\n", "no column banner", id="other columns"),
        pytest.param(f"{COLUMNS}\n2020-04-01,c,High,b,abc,x,1,1,1,0,0\n", "displays is 'x'", id="no number"),
        pytest.param(f"{COLUMNS}\n2020-04-01,c,High,b,abc,1,NaN,1,1,0,0\n", "cost is 'NaN'", id="NaN"),
        pytest.param(f"{COLUMNS}\n2020-04-01,c,High,b,abc,-1,1,1,1,0,0\n", "displays is '-1'", id="negative"),
        pytest.param(f"{COLUMNS}\n2020-04-01,c,High\n", "displays is None", id="a short row"),
    ],
)
def test_what_is_no_such_log_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    (tmp_path / "log.csv").write_text(text)
    assert main(["load", str(tmp_path / "log.csv")]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.csv.gz", ".", "no.csv.gz", "cut.csv.gz"])
def test_a_file_that_can_not_be_read_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "no.csv.gz").write_text("no gzip")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(os.urandom(1000).hex().encode())[:-100])
    assert main(["load", str(tmp_path / name)]) == 1
    assert "cannot read" in capsys.readouterr().err


def test_nobody_there_and_a_wrong_token_are_said(
    product: Product, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(write(tmp_path / "log.csv", small_log()[:5]))
    assert main(["load", file, "--url", f"http://127.0.0.1:{free_port()}"]) == 1
    assert "refused" in capsys.readouterr().err
    assert main(["load", file, "--url", product.url, "--token", "no"]) == 1
    assert "Forbidden" in capsys.readouterr().err
