"""A month of a small market whose true rates are known, so that what comes back can be checked.

Each brand bids on every slot, until its budget of the day is used up. What happens is drawn from `true_ctr`,
the brand's CVR and its revenue per conversion, with a fixed seed: the same month every time, ending at the
hour of the first start. Two brands have a story that goes on after it (`local.live`): `OUT_OF_BUDGET` spends
what is left of its day, and of `HELD_BACK` the last days' conversions are reported late.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from adbid.domain.ledger import CHARGED_BY
from local.client import ApiError, Client

DAYS = 30
STEP = timedelta(hours=6)
SEED = 2026
MARKER = "demo.json"
DEVICES = {"mobile": (0.65, 1.0), "desktop": (0.35, 0.8)}
"""Share of the traffic, and how its CTR compares."""
TRAFFIC_BY_STEP = (0.12, 0.26, 0.34, 0.28)
"""Share of a day's impressions from midnight, 6, 12 and 18 o'clock UTC."""


@dataclass(frozen=True)
class DemoBrand:
    """A brand with its true rates: `ctr` on an average slot, conversions per click, revenue of each.
    `traffic` is its share of a slot's daily impressions."""

    id: str
    name: str
    vertical: str
    strategy: str
    pricing_model: str
    amount: str
    target_roas: str
    daily_budget: str | None
    ctr: float
    cvr: float
    revenue: float
    traffic: float = 1.0


BRANDS = (
    DemoBrand(
        "1l1007802", "Northwind Shoes", "fashion", "growth", "CPA", "12.50", "2.0", "550", 0.031, 0.040, 31.0
    ),
    DemoBrand(
        "1l1007803", "Halden Outdoor", "fashion", "balanced", "CPC", "0.40", "2.5", "340", 0.024, 0.030, 46.0
    ),
    DemoBrand(
        "1l1007804", "Lumen Travel", "travel", "balanced", "CPM", "8.00", "3.0", "300", 0.012, 0.012, 210.0
    ),
    DemoBrand(
        "1l1007805", "Kite Airways", "travel", "efficiency", "CPC", "0.65", "4.0", None, 0.018, 0.010, 190.0
    ),
    DemoBrand("1l1007806", "Ember Coffee", "food", "growth", "CPA", "6.00", "1.5", "450", 0.042, 0.055, 11.0),
    DemoBrand("1l1007807", "Orchard Box", "food", "balanced", "CPM", "5.50", "2.0", None, 0.020, 0.025, 24.0),
)
OUT_OF_BUDGET = DemoBrand(
    "1l1007808", "Fern Candles", "home", "growth", "CPM", "9.00", "3.0", "6", 0.050, 0.060, 40.0, 0.03
)
HELD_BACK = DemoBrand(
    "1l1007809", "Sorrel Sports", "sports", "balanced", "CPC", "0.50", "2.5", "300", 0.030, 0.030, 57.0, 0.6
)
ALL = (*BRANDS, OUT_OF_BUDGET, HELD_BACK)

LATE = timedelta(days=4)
"""How late the conversions of `HELD_BACK` are: as much of the month's end is without them."""

LEFT_TODAY = 0.4
"""Of its budget, what every brand has left of the day on which the month ends."""


@dataclass(frozen=True)
class DemoSlot:
    """A slot of one partner, its daily impressions per brand and how its CTR compares."""

    id: str
    partner: str
    name: str
    placement_score: str
    floor: str
    daily: int
    lift: float


SLOTS = (
    DemoSlot("s1", "p7", "Daily Ledger, top banner", "0.9", "1.00", 9000, 1.3),
    DemoSlot("s2", "p7", "Daily Ledger, sidebar", "0.4", "0.20", 6000, 0.7),
    DemoSlot("s3", "p7", "Daily Ledger, in the text", "0.7", "0.60", 7000, 1.1),
    DemoSlot("s4", "p8", "Trail Notes, header", "0.8", "0.80", 4000, 1.2),
    DemoSlot("s5", "p8", "Trail Notes, footer", "0.2", "0.10", 5000, 0.5),
    DemoSlot("s6", "p9", "Weeknight Kitchen, recipe", "0.6", "0.50", 3000, 1.0),
)
PARTNERS = (("p7", "Daily Ledger", "0.8"), ("p8", "Trail Notes", "0.6"), ("p9", "Weeknight Kitchen", "0.7"))


def true_ctr(brand: DemoBrand, slot: DemoSlot, device: str) -> float:
    """Clicks per impression in this market."""
    return brand.ctr * slot.lift * DEVICES[device][1]


def events(until: datetime) -> Iterator[dict[str, Any]]:
    """The month before `until`: an aggregate event per cell, six hours and kind, at one of these hours."""
    return (event for event in _everything(until) if not _is_late(event, until))


def late_events(until: datetime) -> Iterator[dict[str, Any]]:
    """What is missing from the month: conversions that nobody had reported by then."""
    return (event for event in _everything(until) if _is_late(event, until))


def _is_late(event: dict[str, Any], until: datetime) -> bool:
    at = datetime.fromisoformat(event["event_time"])
    return event["brand_id"] == HELD_BACK.id and event["type"] == "conversion" and at >= until - LATE


def _everything(until: datetime) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(SEED)
    steps = int(timedelta(days=DAYS) / STEP)
    spent: dict[tuple[str, date], Decimal] = {}
    for step in range(steps):
        at = until - STEP * (steps - step)
        share = TRAFFIC_BY_STEP[at.hour // 6]
        for brand in ALL:
            for number, slot in enumerate(SLOTS):
                for device, (part, _) in DEVICES.items():
                    happened = at + timedelta(hours=(number + step + (device == "desktop")) % 6)
                    shown = int(random.poisson(slot.daily * brand.traffic * share * part))
                    clicks = int(random.binomial(shown, true_ctr(brand, slot, device)))
                    sold = int(random.binomial(clicks, brand.cvr))
                    revenue = Decimal(str(round(sold * brand.revenue * random.lognormal(0, 0.1), 2)))
                    price = Decimal(brand.amount)
                    counts = {"impression": shown, "click": clicks, "conversion": sold}
                    per = {"CPM": price / 1000, "CPC": price, "CPA": price}[brand.pricing_model]
                    charged = CHARGED_BY[brand.pricing_model]
                    day = brand.id, happened.date()
                    cost = spent.get(day, Decimal(0)) + per * counts[charged]
                    if cost > _budget(brand, today=happened.date() == until.date()):
                        continue  # its budget is used up: it is shown no more
                    spent[day] = cost
                    for kind, count in counts.items():
                        if count:
                            yield {
                                "event_id": f"demo-{step}-{brand.id}-{slot.id}-{device}-{kind}",
                                "type": kind,
                                "event_time": happened.isoformat(),
                                "brand_id": brand.id,
                                "partner_id": slot.partner,
                                "slot_id": slot.id,
                                "device_type": device,
                                "creative_type": "banner",
                                "pricing_model": brand.pricing_model,
                                "count": count,
                                "cost": str(per * count) if kind == charged else "0",
                                "revenue": str(revenue) if kind == "conversion" else "0",
                                "currency": "USD",
                            }


def _budget(brand: DemoBrand, *, today: bool) -> Decimal:
    if brand.daily_budget is None:
        return Decimal("Infinity")
    return Decimal(brand.daily_budget) * Decimal(str(1.0 - LEFT_TODAY if today else 1.0))


def month_loaded(home: Path) -> datetime | None:
    """The end of the month that was loaded under `home`; None where none was, or not all of it."""
    marker = home / MARKER
    state = json.loads(marker.read_text()) if marker.exists() else None
    return datetime.fromisoformat(state["until"]) if state and state["complete"] else None


def load_once(client: Client, home: Path, stop: threading.Event) -> None:
    """Loads the month the first time; an interrupted load goes on where it was, without counting twice.

    Raises ApiError when the API refuses.
    """
    marker = home / MARKER
    state = json.loads(marker.read_text()) if marker.exists() else None
    if state is None:
        brands = client.call("GET", "/api/brands?limit=1")
        if not brands.is_success:
            raise ApiError(f"the demo month cannot be loaded: {brands.text}")
        if brands.json()["items"]:
            return  # a database with data of its own
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        state = {"until": hour.isoformat(), "complete": False}
        marker.write_text(json.dumps(state))
    if state["complete"]:
        return
    _catalog(client)
    month = list(events(datetime.fromisoformat(state["until"])))
    with tqdm(total=len(month), desc="demo month", unit=" events", mininterval=0.5) as progress:
        for results in client.report(month):
            refused = [result for result in results if result["status"] not in ("accepted", "duplicate")]
            if refused:
                raise ApiError(f"the demo month was refused: {refused[0]}")
            progress.update(len(results))
            if stop.is_set():
                return
    marker.write_text(json.dumps({**state, "complete": True}))


def _catalog(client: Client) -> None:
    for partner, name, quality in PARTNERS:
        client.ensure("partners", {"id": partner, "name": name, "quality": quality})
    for slot in SLOTS:
        item = {"id": slot.id, "name": slot.name, "partner_id": slot.partner, "floor": slot.floor}
        client.ensure("slots", {**item, "placement_score": slot.placement_score, "currency": "USD"})
    for brand in ALL:
        item = {"id": brand.id, "name": brand.name, "vertical": brand.vertical, "strategy_id": brand.strategy}
        money = {"currency": "USD", "daily_budget": brand.daily_budget, "target_roas": brand.target_roas}
        # Nothing steers a paused brand: it begins, in `local.live`, with what its month's end says of it.
        status = "paused" if brand is HELD_BACK else "active"
        client.ensure("brands", {**item, **money, "timezone": "UTC", "status": status})


def bid(bid_id: str, brand: DemoBrand, slot: DemoSlot, device: str) -> dict[str, Any]:
    """A brand's bid on a slot, as POST /api/score takes it."""
    return {
        "id": bid_id,
        "brand_id": brand.id,
        "partner_id": slot.partner,
        "slot_id": slot.id,
        "pricing_model": brand.pricing_model,
        "amount": brand.amount,
        "currency": "USD",
        "device_type": device,
        "creative_type": "banner",
    }


def example_request() -> str:
    """A bundle for the demo market, as JSON on one line."""
    bids = [bid(f"b{number}", brand, SLOTS[0], "mobile") for number, brand in enumerate(BRANDS[:3], start=1)]
    return json.dumps({"id": "req-1", "bids": bids})
