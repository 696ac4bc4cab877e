"""`python -m local load FILE`: an advertiser's real log, through the public API, as aggregate events.

A row is a day of one campaign, engagement, placement and banner. It becomes an impression event with the
displays and their cost, a click event with the revenue (which the log books on clicks), and a conversion
event with the count alone. Ids derive from the row and from how many rows alike came before it, so that a
repeated load counts nothing twice, and each row of a log counts. Rows that contradict themselves are said;
clicks are clipped to displays.
"""

import argparse
import csv
import gzip
import re
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import httpx
from tqdm import tqdm

from local.client import ApiError, Client
from local.home import home
from local.keys import LocalIssuer
from local.occupancy import occupant
from local.stack import CANNOT_START, Stack, running

COUNTS = ("displays", "clicks", "post_click_conversions")
AMOUNTS = ("cost", "revenue")
COLUMNS = {"date", "campaign_number", "user_engagement", "banner", "placement", *COUNTS, *AMOUNTS}
CURRENCY = "USD"

Row = dict[str, str]


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `load`."""
    parser.add_argument("file", type=Path, help="the log, CSV or gzipped CSV")
    parser.add_argument(
        "--url",
        help="a running product (default: the one that `make run` has started, or one for this alone)",
    )
    parser.add_argument("--token", help="an admin token for --url (default: one of the local issuer)")


def run(arguments: argparse.Namespace) -> int:
    """Load the file; 0 when every event is counted."""
    try:
        rows = read(arguments.file)
    except (OSError, ValueError) as error:
        print(f"cannot read {arguments.file}: {error}", file=sys.stderr)
        return 1
    try:
        there = None if arguments.url else occupant(home())
        url = there.url if there else arguments.url
        if url:
            token = arguments.token or Stack(url, LocalIssuer.open(home())).token("admin")
            with Client(url, token) as client:
                return _load(client, rows)
        print("nothing is running: starting the product for this load")
        with running(home(), 0) as stack, Client(stack.url, stack.token("admin")) as client:
            return _load(client, rows)
    except (ApiError, httpx.TransportError) as error:
        print(f"stopped, and may be started again: {error}", file=sys.stderr)
    except CANNOT_START as error:
        print(f"cannot start: {error}", file=sys.stderr)
    return 1


def read(path: Path) -> list[Row]:
    """The rows of a log. Raises OSError, and ValueError where it is no such log."""
    try:
        with _open(path) as file:
            reader = csv.DictReader(file)
            missing = COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise ValueError(f"not such a log: no column {', '.join(sorted(missing))}")
            rows = list(reader)
    except (EOFError, zlib.error, csv.Error) as error:
        raise ValueError(str(error)) from error
    for number, row in enumerate(rows, start=1):
        for column in (*COUNTS, *AMOUNTS):
            if not _is_number(row[column], whole=column in COUNTS):
                raise ValueError(f"row {number}: {column} is {row[column]!r}")
    return rows


def _is_number(text: str | None, *, whole: bool) -> bool:
    return text is not None and re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", text, re.ASCII) is not None


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def contradictions(row: Row) -> list[str]:
    """What a row says that cannot be."""
    displays, clicks, conversions = (int(row[column]) for column in COUNTS)
    cost, revenue = (Decimal(row[column]) for column in AMOUNTS)
    found = []
    if clicks > displays:
        found.append("more clicks than displays: clipped to them")
    if conversions > clicks:
        found.append("more conversions than clicks: taken as they stand")
    if displays == 0 and (cost or revenue):
        found.append("money without a display: left out")
    elif clicks == 0 and revenue:
        found.append("revenue without a click: counted with the displays")
    return found


def log_events(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """All rows of a log as events."""
    seen: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        alike = tuple([row[column] for column in sorted(COLUMNS)])
        seen[alike] += 1
        yield from events(row, seen[alike])


def events(row: Row, occurrence: int = 1) -> Iterator[dict[str, Any]]:
    """A row as events, at noon UTC of its day; `occurrence` tells it from rows of the log that are alike."""
    common = {
        "event_time": f"{row['date']}T12:00:00+00:00",
        "brand_id": row["campaign_number"],
        "partner_id": row["user_engagement"],
        "slot_id": row["placement"],
        "creative_type": row["banner"],
        "pricing_model": "CPM",
        "currency": CURRENCY,
    }
    key = f"{row['date']}|{row['campaign_number']}|{row['placement']}|{row['banner']}"
    key += f"|{occurrence}" if occurrence > 1 else ""
    displays, clicks, conversions = (int(row[column]) for column in COUNTS)
    clicks = min(clicks, displays)
    cost, revenue = row["cost"], row["revenue"]
    measured = (
        ("impression", displays, cost, "0" if clicks else revenue),
        ("click", clicks, "0", revenue),
        ("conversion", conversions, "0", "0"),
    )
    for kind, count, its_cost, its_revenue in measured:
        if count:
            yield {
                **common,
                "event_id": f"{key}|{kind}",
                "type": kind,
                "count": count,
                "cost": its_cost,
                "revenue": its_revenue,
            }


def _load(client: Client, rows: list[Row]) -> int:
    _catalog(client, rows)
    odd = Counter(reason for row in rows for reason in contradictions(row))
    for reason, number in odd.items():
        print(f"{number} rows contradict themselves: {reason}")
    every = list(log_events(rows))
    outcome: Counter[str] = Counter()
    refused: list[dict[str, Any]] = []
    started = time.monotonic()
    with tqdm(total=len(every), desc="load", unit=" events", mininterval=0.5) as progress:
        for results in client.report(every):
            outcome.update(result["status"] for result in results)
            refused += [result for result in results if result["status"] in ("rejected", "conflict")]
            progress.update(len(results))
    seconds = time.monotonic() - started
    said = ", ".join(f"{number} {status}" for status, number in sorted(outcome.items()))
    rate = f"{len(every)} events in {seconds:.1f} s ({len(every) / seconds:.0f} events/s)"
    print(f"{len(rows)} rows, {rate}: {said}")
    for result in refused[:10]:
        print(f"  {result}", file=sys.stderr)
    return 1 if refused else 0


def _catalog(client: Client, rows: list[Row]) -> None:
    """Every campaign, engagement and placement of the log, unless they exist."""
    for partner in sorted({row["user_engagement"] for row in rows}):
        client.ensure("partners", {"id": partner, "name": partner, "quality": "0.5"})
    for slot in sorted({row["placement"] for row in rows}):
        client.ensure(
            "slots", {"id": slot, "name": slot, "placement_score": "0.5", "floor": "0", "currency": CURRENCY}
        )
    for brand in sorted({row["campaign_number"] for row in rows}):
        client.ensure(
            "brands",
            {
                "id": brand,
                "name": brand,
                "vertical": "advertiser",
                "strategy_id": "balanced",
                "currency": CURRENCY,
                "timezone": "UTC",
                "daily_budget": None,
                "target_roas": "1",
                "status": "active",
            },
        )
