"""One worker of `benchmarks.load`: a closed loop of decisions, and of events that follow from them."""

import http.client
import json
import random
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

CPM, CPC = "4.00", "0.40"
CPM_EACH = Decimal(CPM) / 1000
CLICKS, SALES, REPEATS, CHANGES = 0.05, 0.1, 0.05, 0.2  # shares: of impressions, clicks, requests, batches

Event = dict[str, Any]


def _an_hour_ago() -> str:
    return (datetime.now(UTC) - timedelta(hours=1)).isoformat()


@dataclass(frozen=True)
class Market:
    """Where the product is, and who is in it. Even brands bid per thousand impressions, odd per click."""

    url: str
    token: str
    bids: int
    events: int
    brands: int = 30
    partners: int = 4
    slots_each: int = 5
    began: str = field(default_factory=_an_hour_ago)

    @property
    def slots(self) -> list[tuple[str, str]]:
        """Every slot, and whose it is."""
        return [(f"s{n}", f"p{n % self.partners}") for n in range(self.partners * self.slots_each)]


@dataclass
class Outcome:
    """What a worker saw. seconds: per kind of request. spent: per brand, the cost of what was accepted."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    spent: dict[str, Decimal] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def add(self, name: str, number: int = 1) -> None:
        """Count."""
        self.counts[name] = self.counts.get(name, 0) + number


def work(market: Market, number: int, seconds: float) -> Outcome:
    """Runs for so long, then sends the events that are left."""
    worker = _Worker(market, number)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            worker.step()
        while worker.waiting:
            worker.report()
    except (OSError, http.client.HTTPException, KeyError, ValueError) as error:
        worker.outcome.errors.append(f"worker {number} stopped: {error!r}")
    return worker.outcome


class _Worker:
    def __init__(self, market: Market, number: int) -> None:
        self.market, self.number = market, number
        self.outcome = Outcome()
        self.waiting: list[Event] = []
        self._random = random.Random(number)
        self._step = 0
        self._known: list[Event] = []
        host = urlsplit(market.url)
        self._http = http.client.HTTPConnection(host.hostname or "", host.port, timeout=30)

    def step(self) -> None:
        """A decision, and now and then a batch of events or a report."""
        self._step += 1
        self._decide()
        if len(self.waiting) >= self.market.events:
            self.report()
        if self._step % 20 == 0:
            slot, partner = self._random.choice(self.market.slots)
            ids = {"brand_id": self._brand(), "partner_id": partner, "slot_id": slot}
            self._call("roas", "GET", "/api/roas?" + urlencode(ids))
            self._call("vpi", "GET", "/api/metrics/vpi?granularity=hour")

    def _brand(self) -> str:
        return f"b{self._random.randrange(self.market.brands)}"

    def _decide(self) -> None:
        bids = []
        for place in range(self.market.bids):
            brand = self._random.randrange(self.market.brands)
            slot, partner = self._random.choice(self.market.slots)
            terms = (
                {"pricing_model": "CPC", "amount": CPC}
                if brand % 2
                else {"pricing_model": "CPM", "amount": CPM}
            )
            ids = {"id": f"bid{place}", "brand_id": f"b{brand}", "partner_id": partner, "slot_id": slot}
            device = self._random.choice(("mobile", "desktop", "tv"))
            bids.append({**ids, **terms, "currency": "USD", "device_type": device, "creative_type": "banner"})
        request = {"id": f"{self.number}-{self._step}", "bids": bids}
        answer = self._call("score", "POST", "/api/score", request)
        self.outcome.add("bids", len(bids))
        if self._random.random() < REPEATS:
            again = self._call("score", "POST", "/api/score", request)
            self.outcome.add("repeated requests")
            if again["decision_id"] != answer["decision_id"] or again["results"] != answer["results"]:
                self.outcome.errors.append("a repeated request got another decision")
        by_id = {bid["id"]: bid for bid in bids}
        for result in answer["results"]:
            self.outcome.add(result["status"])
            if result["status"] == "won":
                self._happens(by_id[result["bid_id"]], answer["decision_id"])

    def _happens(self, bid: Event, decision_id: str) -> None:
        """What comes of a won bid: an impression, and perhaps more."""
        self._tell(
            "impression", bid, decision_id, cost=CPM_EACH if bid["pricing_model"] == "CPM" else Decimal(0)
        )
        if self._random.random() < CLICKS:
            self._tell("click", bid, decision_id, cost=Decimal(CPC if bid["pricing_model"] == "CPC" else 0))
            if self._random.random() < SALES:
                self._tell("conversion", bid, decision_id, revenue=Decimal("12.50"))

    def _tell(
        self,
        kind: str,
        bid: Event,
        decision_id: str,
        *,
        cost: Decimal = Decimal(0),
        revenue: Decimal = Decimal(0),
    ) -> None:
        said = (
            "brand_id",
            "partner_id",
            "slot_id",
            "pricing_model",
            "currency",
            "device_type",
            "creative_type",
        )
        event = {"event_id": f"{self.number}-{self._step}-{bid['id']}-{kind}", "type": kind}
        event |= {
            "event_time": datetime.now(UTC).isoformat(),
            "decision_id": decision_id,
            "bid_id": bid["id"],
        }
        event |= {name: bid[name] for name in said}
        self.waiting.append({**event, "cost": str(cost), "revenue": str(revenue)})

    def report(self) -> None:
        """Sends a batch, now and then a second time, now and then with a change of an earlier event."""
        batch, self.waiting = self.waiting[: self.market.events], self.waiting[self.market.events :]
        if self._known and self._random.random() < CHANGES:
            batch.append(self._change(self._known.pop(self._random.randrange(len(self._known)))))
        results = self._call("ingest", "POST", "/api/performance", {"events": batch})["results"]
        for event, result in zip(batch, results, strict=True):
            self.outcome.add(result["status"])
            if result["status"] == "accepted":
                self._count(event)
            else:
                self.outcome.errors.append(f"an event is {result}")
        if self._random.random() < REPEATS:
            results = self._call("ingest", "POST", "/api/performance", {"events": batch})["results"]
            self.outcome.add("repeated batches")
            if any(result["status"] != "duplicate" for result in results):
                self.outcome.errors.append("a repeated batch was counted again")

    def _change(self, event: Event) -> Event:
        kind = self._random.choice(("restatement", "retraction"))
        change = {"event_id": f"{event['event_id']}-{kind}", "type": kind, "partner_id": event["partner_id"]}
        change |= {"event_time": datetime.now(UTC).isoformat(), "adjusts_event_id": event["event_id"]}
        if kind == "restatement":
            change |= {"cost": str(Decimal(event["cost"]) / 2), "currency": event["currency"]}
        return {**change, "adjusted": event}

    def _count(self, event: Event) -> None:
        adjusted = event.get("adjusted")
        before = adjusted or event
        cost = Decimal(event.get("cost", 0))
        if adjusted is not None:
            cost -= Decimal(adjusted["cost"])
        elif event["type"] == "impression":
            self._known.append(event)
        brand = before["brand_id"]
        self.outcome.spent[brand] = self.outcome.spent.get(brand, Decimal(0)) + cost
        if before["type"] == "impression" and event["type"] in ("impression", "retraction"):
            self.outcome.add("impressions", 1 if adjusted is None else -1)

    def _call(self, kind: str, method: str, path: str, body: Any = None) -> Any:
        if kind == "ingest":
            body = {
                "events": [{k: v for k, v in event.items() if k != "adjusted"} for event in body["events"]]
            }
        content = None if body is None else json.dumps(body)
        headers = {"authorization": f"Bearer {self.market.token}", "content-type": "application/json"}
        started = time.perf_counter()
        self._http.request(method, path, content, headers)
        response = self._http.getresponse()
        answer = response.read()
        self.outcome.seconds.setdefault(kind, []).append(time.perf_counter() - started)
        if response.status != 200:
            self.outcome.errors.append(f"{kind}: {response.status} {answer[:300].decode(errors='replace')}")
            raise ValueError(f"{kind} answered {response.status}")
        return json.loads(answer)
