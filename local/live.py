"""The demo market goes on: real decisions and what follows from them, for some minutes after `make run`.

A bundle of bids on every slot goes to POST /api/score, and the impressions, clicks and conversions of its
winners to POST /api/performance, as a partner would send them. Two stories can be watched in GET
/api/portfolio meanwhile: `demo.OUT_OF_BUDGET` outbids the others until its budget of the day is used up, and
`demo.HELD_BACK`, held back for its ROAS, recovers once its late conversions are reported.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from adbid.domain.ledger import CHARGED_BY
from local import demo
from local.client import ApiError, Client
from local.demo import DEVICES, SLOTS, DemoBrand

SECONDS = 600.0
"""How long it goes on: a laptop's database is for looking at, not for filling."""

EVERY = 1.0
"""Seconds from one bundle to the next."""

HELD = 150.0
"""Seconds until the first late conversions are reported; the monitor has looked twice by then."""

PORTIONS, PORTION_EVERY = 6, 20.0
"""In how many parts they come, and how many seconds apart."""

logger = logging.getLogger("local.live")


def begin(client: Client) -> None:
    """Takes `demo.HELD_BACK` out of its pause, once its month is learned from."""
    path = f"/api/brands/{demo.HELD_BACK.id}"
    found = client.call("GET", path)
    brand = _ok(found)
    if brand["status"] == "paused":
        tag = {"if-match": found.headers["etag"]}
        _ok(client.call("PUT", path, {**brand, "status": "active"}, **tag))


class Market:
    """The market from now on. `name` tells one start from another: its requests and events carry it."""

    def __init__(self, client: Client, until: datetime, name: str) -> None:
        self._client = client
        self._name = name
        self._random = np.random.default_rng(demo.SEED)
        self._late = list(demo.late_events(until))

    def bundle(self, number: int) -> list[dict[str, Any]]:
        """Scores one impression on every slot, and reports what came of the winners. The results, by bid."""
        device = str(self._random.choice(list(DEVICES), p=[part for part, _ in DEVICES.values()]))
        offered = {f"{brand.id}-{slot.id}": (brand, slot) for slot in SLOTS for brand in demo.ALL}
        bids = [demo.bid(bid_id, brand, slot, device) for bid_id, (brand, slot) in offered.items()]
        request = {"id": f"{self._name}-{number}", "bids": bids}
        answer = _ok(self._client.call("POST", "/api/score", request))
        events: list[dict[str, Any]] = []
        for result in answer["results"]:
            if result["status"] == "won":
                brand, slot = offered[result["bid_id"]]
                decision = {"decision_id": answer["decision_id"], "bid_id": result["bid_id"]}
                rate = demo.true_ctr(brand, slot, device)
                events += self._follows(brand, rate, demo.bid("", brand, slot, device), decision)
        self._report(events)
        results: list[dict[str, Any]] = answer["results"]
        return results

    def portion(self, number: int) -> int:
        """Reports one of `PORTIONS` parts of the late conversions; how many events that is."""
        some = self._late[number::PORTIONS]
        self._report(some)
        return len(some)

    def _follows(
        self, brand: DemoBrand, rate: float, bid: dict[str, Any], decision: dict[str, str]
    ) -> Iterator[dict[str, Any]]:
        """The impression, and a click and a conversion where the true rates have one."""
        kinds = ["impression"]
        if self._random.random() < rate:
            kinds.append("click")
            if self._random.random() < brand.cvr:
                kinds.append("conversion")
        place = {name: bid[name] for name in bid.keys() - {"id", "amount"}}
        price = float(brand.amount) / (1000 if brand.pricing_model == "CPM" else 1)
        for kind in kinds:
            yield {
                "event_id": f"{decision['decision_id']}-{decision['bid_id']}-{kind}",
                "type": kind,
                "event_time": datetime.now(UTC).isoformat(),
                **place,
                **decision,
                "cost": str(price) if kind == CHARGED_BY[brand.pricing_model] else "0",
                "revenue": str(brand.revenue) if kind == "conversion" else "0",
            }

    def _report(self, events: list[dict[str, Any]]) -> None:
        for results in self._client.report(events):
            refused = [one for one in results if one["status"] not in ("accepted", "duplicate")]
            if refused:
                raise ApiError(f"the demo's events were refused: {refused[0]}")


@contextmanager
def market(url: str, token: str, home: Path) -> Iterator[None]:
    """The market in a thread, for the length of a `with` block; nothing where no demo month was loaded."""
    until = demo.month_loaded(home)
    if until is None:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_go_on, args=(url, token, until, stop), name="demo market", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5.0)


def _go_on(url: str, token: str, until: datetime, stop: threading.Event) -> None:
    started = time.monotonic()
    portions = iter(range(PORTIONS))
    due = started + HELD
    try:
        with Client(url, token) as client:
            begin(client)
            one = Market(client, until, f"live-{time.time():.0f}")
            for number in count():
                one.bundle(number)
                if time.monotonic() >= due and (portion := next(portions, None)) is not None:
                    one.portion(portion)
                    due += PORTION_EVERY
                if stop.wait(EVERY) or time.monotonic() - started > SECONDS:
                    return
    except (ApiError, httpx.HTTPError) as error:
        if not stop.is_set():  # what it calls may be gone by then
            logger.warning("the demo market has ended: %s", error)


def _ok(response: httpx.Response) -> Any:
    if not response.is_success:
        raise ApiError(response.text)
    return response.json()
