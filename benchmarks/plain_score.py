"""The same answer as POST /api/score gives, written straightforwardly: for each bid a query, a look into the
cache, one prediction of LightGBM, and rules in plain Python.

Nothing is slowed down on purpose: the connection, the model and prepared parts are kept, statements are
compiled once, LightGBM runs on one thread, and what the benchmark's market doesn't have (priors of operators,
foreign currencies, tenants) isn't looked for. It serves JSON through FastAPI and Mangum too.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import ceil, exp
from struct import unpack
from typing import Any, Literal

import lightgbm
import numpy as np
from fastapi import FastAPI, Request, Response
from mangum import Mangum
from pydantic import BaseModel
from redis import Redis
from sqlalchemy import Connection, bindparam, create_engine, select

from adbid.data.counters import NO_DATA, Generation
from adbid.data.steering import NEUTRAL, Steering, read_steering, steering_key
from adbid.data.tables import ad_slot, brand, brand_strategy, partner
from adbid.domain.context import chain, context_of, market
from adbid.domain.decay import HALF_LIVES_DAYS, MEASURES, age_days
from adbid.domain.exploration import pick, thompson_draw
from adbid.domain.interval import gamma_shape
from adbid.domain.learned import DEFAULTS
from adbid.domain.ledger import budget_day
from adbid.domain.money import to_micros
from adbid.domain.quality_tables import QualityTables
from adbid.engine.scoring import decision_id
from adbid.ml.features import Vocabulary
from benchmarks.plain_prediction import Evidence, features, payments_behind, quality, rates

_BID = (
    select(
        brand.c.vertical,
        brand.c.currency,
        brand.c.timezone,
        brand.c.daily_budget,
        brand.c.target_roas,
        brand.c.status,
        brand_strategy.c.id,
        brand_strategy.c.name,
        brand_strategy.c.vpi_multiplier,
        brand_strategy.c.priority,
        brand_strategy.c.probe_share,
        brand_strategy.c.exploration_share,
        partner.c.quality,
        ad_slot.c.placement_score,
        ad_slot.c.floor,
    )
    .select_from(brand)
    .join(brand_strategy, brand_strategy.c.id == brand.c.strategy_id)
    .join(partner, partner.c.id == bindparam("partner"))
    .join(ad_slot, ad_slot.c.id == bindparam("slot"))
    .where(brand.c.id == bindparam("brand"))
)
"""All that MySQL knows of one bid."""


class Bid(BaseModel):
    """As the product takes it."""

    id: str
    brand_id: str
    partner_id: str
    slot_id: str
    pricing_model: Literal["CPM", "CPC", "CPA"]
    amount: float
    currency: str
    device_type: str = ""
    creative_type: str = ""
    campaign_id: str = ""
    country: str = ""
    os: str = ""


class Asked(BaseModel):
    """A bundle."""

    id: str
    bids: list[Bid]


@dataclass
class Judged:
    """One bid, and what is said of it."""

    bid: Bid
    timezone: str
    budget: int | None
    priority: int
    said: dict[str, Any]

    @property
    def place(self) -> tuple[float, int, str]:
        """Sorts the bids of a slot, the best first."""
        return -self.said["score"], -self.priority, self.bid.id


class PlainScore:
    """Scores bundles with a given model, against the same MySQL and Redis as the product."""

    def __init__(
        self,
        database_url: str,
        redis_url: str,
        booster: lightgbm.Booster,
        vocabulary: Vocabulary,
        tables: QualityTables,
        scale: tuple[float, float],
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = create_engine(database_url, pool_size=1, max_overflow=0, enable_from_linting=False)
        self._redis = Redis.from_url(redis_url)
        self._booster = booster
        self._vocabulary = vocabulary
        self._tables = tables
        self._weight, self._bias = scale
        self._clock = clock
        app = FastAPI()

        @app.post("/api/score")
        async def post(request: Request) -> Response:
            claims = request.scope["aws.event"]["requestContext"]["authorizer"]["lambda"]
            answer = self.score(Asked.model_validate_json(await request.body()), claims["sub"])
            return Response(json.dumps(answer), media_type="application/json")

        self._handler: Any = Mangum(app, lifespan="off")

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """What the handler of a function made of this would answer API Gateway."""
        answer: dict[str, Any] = self._handler(event, None)
        return answer

    def close(self) -> None:
        self._engine.dispose()
        self._redis.close()

    def score(self, asked: Asked, caller: str) -> dict[str, Any]:
        """The answer of POST /api/score."""
        decision = decision_id(caller, asked.id)
        now = self._clock()
        pointer: Any = self._redis.get("cells")
        generation = Generation.parse(pointer)
        slots: dict[str, list[Judged]] = defaultdict(list)
        with self._engine.connect() as connection:
            for bid in asked.bids:
                slots[bid.slot_id].append(self._judge(bid, decision, generation, now, connection))
        ranked = [self._award(contest, now) for contest in self._in_order(slots)]
        return {
            "id": asked.id,
            "decision_id": decision,
            "degraded": [],
            "results": [one.said for contest in ranked for one in contest],
        }

    def _judge(
        self, bid: Bid, decision: str, generation: Generation, now: datetime, connection: Connection
    ) -> Judged:
        """Everything that one bid's score depends on, looked up and worked out."""
        ids = {"brand": bid.brand_id, "partner": bid.partner_id, "slot": bid.slot_id}
        known = connection.execute(_BID, ids).one()
        values = {**bid.model_dump(), "vertical": known.vertical, "brand": bid.brand_id}
        values |= {"partner": bid.partner_id, "slot": bid.slot_id}
        sold_in = market(known.currency, known.vertical)
        cells = chain(sold_in, bid.brand_id, bid.partner_id, bid.slot_id, context_of(values))
        keys = [generation.key(cell) for cell in cells if cell is not None]
        stored: Any = self._redis.mget([steering_key(bid.brand_id), *keys])
        steering = NEUTRAL if stored[0] is None else read_steering(stored[0])
        evidence = _evidence(cells, stored[1:], generation, now)

        scores = float(known.placement_score), float(known.quality)
        found = rates(evidence, DEFAULTS)
        row = features(found, evidence, values, self._vocabulary, scores, now)
        raw = float(np.asarray(self._booster.predict(np.array([row]), num_threads=1))[0])
        parts = quality(self._tables, evidence, values, scores, now)
        factor = 1.0
        for part in parts:
            factor *= part

        ctr, cvr = found["ctr"].now[-1], found["cvr"].now[-1]
        value = {"CPM": bid.amount / 1000, "CPC": bid.amount * ctr, "CPA": bid.amount * ctr * cvr}[
            bid.pricing_model
        ]
        cost = value if bid.pricing_model == "CPM" else value * factor
        revenue = found["revenue"].now[-1] * exp(self._bias + self._weight * raw)

        target = float(known.target_roas)
        picked = pick(decision, bid.id, float(known.probe_share), float(known.exploration_share))
        draw = 1.0
        if picked == "exploration":
            rests_on = payments_behind(evidence, [cell is not None for cell in cells], DEFAULTS)
            draw = thompson_draw(decision, bid.id, float(gamma_shape(rests_on)))
        lambda_, weight = _prices(steering, target, picked)
        multiplier = float(known.vpi_multiplier)
        score = weight * (draw * revenue - lambda_ * cost) * multiplier

        reasons = ["brand_paused"] if known.status == "paused" else []
        if cost < float(known.floor) / 1000:
            reasons.append("below_floor")
        if score <= 0 and picked is None:
            throttled = draw * revenue > steering.mu * cost
            reasons.append("roas_throttled" if throttled else "negative_margin")
        said = {
            "bid_id": bid.id,
            "slot_id": bid.slot_id,
            "rank": None,
            "status": "rejected" if reasons else "ranked",
            "reasons": reasons,
            "score": score,
            "value_per_impression": value,
            "predicted_ctr": ctr,
            "predicted_cvr": cvr,
            "predicted_revenue": revenue,
            "predicted_cost": cost,
            "predicted_roas": revenue / cost if cost > 0 else None,
            "lambda": lambda_,
            "portfolio_weight": weight,
            "strategy": {"id": known.id, "name": known.name, "multiplier": multiplier},
            "quality": dict(zip(("placement", "partner", "device", "creative", "hour"), parts, strict=True))
            | {"factor": factor},
        }
        if picked:
            said["pick"] = picked
        budget = None if known.daily_budget is None else to_micros(known.daily_budget)
        return Judged(bid, known.timezone, budget, known.priority, said)

    def _in_order(self, slots: dict[str, list[Judged]]) -> list[list[Judged]]:
        """Slots by their top score, then slot id; each with its eligible bids by rank, then the others."""
        contests = []
        for slot_id, bids in slots.items():
            eligible = sorted((one for one in bids if not one.said["reasons"]), key=lambda one: one.place)
            others = sorted((one for one in bids if one.said["reasons"]), key=lambda one: one.bid.id)
            top = eligible[0].said["score"] if eligible else -np.inf
            contests.append((-top, slot_id, [*eligible, *others]))
        return [bids for _, _, bids in sorted(contests, key=lambda contest: contest[:2])]

    def _award(self, contest: list[Judged], now: datetime) -> list[Judged]:
        """Gives the slot to the first bid whose brand can pay, and reserves that in an account of its own."""
        eligible = [one for one in contest if not one.said["reasons"]]
        refused = []
        rank = 0
        for one in eligible:
            if rank == 0 and not self._reserved(one, now):
                one.said["reasons"], one.said["status"] = ["budget_exhausted"], "rejected"
                refused.append(one)
                continue
            rank += 1
            one.said["rank"] = rank
            if rank == 1:
                one.said["status"] = "won"
            else:
                one.said["reasons"] = ["outranked"]
        others = [one for one in contest if one.said["rank"] is None]
        return [one for one in eligible if one not in refused] + sorted(others, key=lambda one: one.bid.id)

    def _reserved(self, one: Judged, now: datetime) -> bool:
        if one.budget is None:
            return True
        account = f"plain:{one.bid.brand_id}:{budget_day(now, one.timezone)}"
        spent, reserved = self._redis.hmget(account, "spent", "reserved")
        micros = ceil(round(one.said["predicted_cost"] * 1_000_000, 9))
        if int(spent or 0) + int(reserved or 0) + micros > one.budget:
            return False
        self._redis.hincrby(account, "reserved", micros)
        return True


def _evidence(
    cells: list[str | None], stored: list[bytes | None], generation: Generation, now: datetime
) -> Evidence:
    """The decayed sums of each level, 0 where it is skipped or nothing is known."""
    days = age_days(now, generation.landmark)
    remaining = [2.0 ** (days / half_life) for half_life in HALF_LIVES_DAYS]
    values = iter(stored)
    evidence = []
    for cell in cells:
        packed = (next(values) if cell is not None else None) or NO_DATA
        sums = unpack(f"<{len(HALF_LIVES_DAYS) * len(MEASURES)}d", packed)
        level = []
        for number, left in enumerate(remaining):
            start = number * len(MEASURES)
            level.append([max(one * left, 0.0) for one in sums[start : start + len(MEASURES)]])
        evidence.append(level)
    return evidence


def _prices(steering: Steering, target: float, picked: str | None) -> tuple[float, float]:
    """λ and the portfolio weight; a probe is scored without the price of the ROAS target."""
    if picked == "probe":
        return steering.mu, 1.0
    return steering.lambda_(target), steering.weight
