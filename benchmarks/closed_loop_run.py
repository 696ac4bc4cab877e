"""The closed loop: minute by minute bids are scored, money is reserved, people respond, prices move.

What decides is the product's: `evaluate_bids`, the ledger in Redis, the response chains, the monitor's
`steer`. What stands in: brand-days are arrays instead of MySQL's rows, predictions are refreshed every half
hour instead of with every event, and a minute's auctions are one bundle. Every brand is new to steering: no
night has solved its prices, and nothing was bought before.
"""

from collections import defaultdict
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from adbid.data.ledger import Ledger, Spent
from adbid.data.ledger_keys import Partition
from adbid.domain import pacing
from adbid.domain.decay import MEASURES
from adbid.domain.duals import Duals
from adbid.domain.ledger import budget_day
from adbid.domain.money import MICROS
from adbid.domain.steering_step import Seen, Steered, beginning, last_day, steer
from benchmarks.closed_loop_bundle import Auctioneer, Bundle, Winners, answers
from benchmarks.closed_loop_market import DAY_MINUTES, START, ZONES, Market, hours
from benchmarks.closed_loop_memory import Curves, Days, Predictions
from benchmarks.closed_loop_records import Event, Recorded

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

WINDOW_DAYS = 7
REFRESH_MINUTES = 30
AFTERMATH_DAYS = 4
"""After the run nothing is bought any more; what was bought still converts, and is paid for."""

_COST, _REVENUE = MEASURES.index("cost"), MEASURES.index("revenue")
_PAST_TRAFFIC_DAYS = 7.0


class ClosedLoop:
    """One run over an empty Redis. `steered` False leaves every price at 0: the ledger alone keeps budgets.
    `knowing` replaces predictions by the true rates: what then is lost, steering loses."""

    def __init__(
        self, market: Market, redis: Redis, seed: int, *, steered: bool = True, knowing: bool = False
    ) -> None:
        self.market, self.scale, self._steered, self._knowing = market, market.scale, steered, knowing
        brands = market.brands
        self.count = len(brands.target)
        redis.set(Partition.of(0, 1).alive, "1")  # nothing was lost: there is nothing yet
        self.ledger = Ledger(redis, decision_seconds=5, won_seconds=5)  # of wall time: nobody repeats
        self.names = [f"brand-{number:03}" for number in range(self.count)]
        self.zones = [ZONES[number] for number in brands.zone.tolist()]
        self.limited = brands.budget >= 0
        self._auctioneer = Auctioneer(brands, self.ledger, self.names, self.zones)
        self._starts = market.auctions.starts(self.scale.minutes)
        self.predictions = Predictions(market, np.random.default_rng(seed))
        self.curves = Curves(self.count, _past_traffic(market))
        self.first_day = START.toordinal() - 1
        days = self.scale.days + AFTERMATH_DAYS + 3
        self.days = Days(self.count, days)
        self.recorded = Recorded.empty(self.scale.minutes, self.count, days)
        self.state = beginning(self.count)
        self.prices = Duals(np.zeros(self.count), np.zeros(self.count))
        self.caution = np.ones(self.count)
        self._pending: dict[int, list[Event]] = defaultdict(list)

    def run(self) -> Recorded:
        """The whole run, and what comes after it."""
        end = self.scale.minutes + AFTERMATH_DAYS * DAY_MINUTES
        for minute in range(self.scale.minutes):
            self._minute(minute)
        for minute in range(self.scale.minutes, end):
            self._happen(minute, START + timedelta(minutes=minute))
        self.recorded.released += self.ledger.sweep(START + timedelta(minutes=end))
        return self.recorded

    def _minute(self, minute: int) -> None:
        now = START + timedelta(minutes=minute)
        if minute % REFRESH_MINUTES == 0:
            self.predictions.refresh(minute, self.market if self._knowing else None)
        self.curves.advance(minute)
        self._happen(minute, now)
        self.recorded.released += self.ledger.sweep(now)
        days = {zone: budget_day(now, zone) for zone in ZONES}
        today = np.array([days[zone].toordinal() - self.first_day for zone in self.zones])
        bundle = Bundle.of(
            self.market, minute, slice(int(self._starts[minute]), int(self._starts[minute + 1]))
        )
        winners = self._auctioneer.hold(bundle, self.predictions, self.prices, self.caution, now, days)
        committed, granted = self._accounts(winners, today)
        self._won(minute, now, winners, today)
        self._steer(minute, now, today, committed, granted)

    def _happen(self, minute: int, now: datetime) -> None:
        """What people did since the last minute, booked and told to the ledger."""
        events = self._pending.pop(minute, [])
        if not events:
            return
        days = self.days
        local = {zone: budget_day(now, zone).toordinal() - self.first_day for zone in ZONES}
        measures = np.zeros((len(events), len(MEASURES)))
        touched = set()
        for row, one in enumerate(events):
            today = local[self.zones[one.brand]]
            measures[row, one.kind] = 1.0
            measures[row, _COST], measures[row, _REVENUE] = one.cost / MICROS, one.revenue / MICROS
            days.impressions[one.brand, today] += one.kind == 0
            days.conversions[one.brand, today] += one.kind == 2
            days.cost[one.brand, today] += one.cost
            days.revenue[one.brand, today] += one.revenue
            days.spent[one.brand, one.day] += one.cost
            if one.won is not None and self.limited[one.brand]:
                touched.add((one.brand, one.day))
        self.predictions.add(np.array([one.cell for one in events]), measures, minute)
        for brand, day in touched:
            days.revision[brand, day] += 1
        spent = [
            Spent(
                self.names[brand],
                date.fromordinal(self.first_day + day),
                int(days.spent[brand, day]),
                int(days.revision[brand, day]),
            )
            for brand, day in touched
        ]
        self.ledger.settle([one.won for one in events if one.won is not None], spent, now)

    def _accounts(self, winners: Winners, today: Numbers) -> tuple[Array, Array]:
        """Of every brand's day what is spent and reserved, and what was ever granted; 0 without a budget.

        Right after the grants: whoever won anything may not be beyond its budget now.
        """
        limited = np.flatnonzero(self.limited).tolist()
        keys = [(self.names[one], date.fromordinal(self.first_day + int(today[one]))) for one in limited]
        accounts = self.ledger.accounts(keys)
        committed, granted = np.zeros(self.count, dtype=np.int64), np.zeros(self.count)
        for one, key in zip(limited, keys, strict=True):
            account = accounts[key]
            committed[one], granted[one] = account.spent + account.reserved, account.granted
        won = np.unique(winners.brand)
        won = won[self.limited[won]]
        beyond = committed[won] - self.market.brands.budget[won]
        self.recorded.beyond += int(np.maximum(beyond, 0).sum())
        return committed / MICROS, granted / MICROS

    def _won(self, minute: int, now: datetime, winners: Winners, today: Numbers) -> None:
        """Records what was won, and what will come of it."""
        recorded, brand = self.recorded, winners.brand
        np.add.at(recorded.refused[minute], winners.refused, 1)
        if not len(brand):
            return
        revenue, cost = self.market.worth(brand, winners.slot, winners.amount, minute)
        np.add.at(recorded.expected_revenue[minute], brand, revenue)
        np.add.at(recorded.expected_cost[minute], brand, cost)
        np.add.at(recorded.granted, (brand, today[brand]), [deal.micros for deal in winners.deals])
        recorded.grants += len(brand)
        for at, event in answers(self.market, winners, minute, today):
            self._pending[at].append(event)
        quarters = np.array([pacing.quarter_of_day(now, zone) for zone in ZONES])
        self.curves.add(minute, brand, quarters[self.market.brands.zone[brand]])

    def _steer(self, minute: int, now: datetime, today: Numbers, committed: Array, granted: Array) -> None:
        _, shares = pacing.today(self.curves.curves(), self.zones, now)
        window = self.days.window(today, WINDOW_DAYS)
        recent = {
            name: last_day(window[f"{name}_today"], window[f"{name}_before"], shares)
            for name in ("cost", "revenue", "conversions")
        }
        nothing = np.zeros(self.count)
        seen = Seen(
            minute=int(now.timestamp()) // 60,
            window_days=float(WINDOW_DAYS),
            day=today + self.first_day,
            share=shares,
            active=np.ones(self.count, dtype=np.bool_),
            target=self.market.brands.target,
            budget=np.where(self.limited, self.market.brands.budget / MICROS, np.inf),
            committed=committed,
            granted=granted,
            cost=window["cost"],
            revenue=window["revenue"],
            conversions=window["conversions"],
            impressions=window["impressions"],
            days_run=np.where(window["age"] < 0, 0.0, np.minimum(window["age"] + shares, WINDOW_DAYS)),
            day_cost=recent["cost"],
            day_revenue=recent["revenue"],
            day_conversions=recent["conversions"],
            night=np.zeros(self.count, dtype=np.int64),
            night_nu=nothing,
            night_mu=nothing,
        )
        self.state, steered = steer(self.state, seen)
        if self._steered:
            self.prices, self.caution = Duals(steered.nu, steered.mu), steered.caution
        self._record(minute, seen, steered)

    def _record(self, minute: int, seen: Seen, steered: Steered) -> None:
        kept, cost = self.recorded, seen.cost
        kept.nu[minute], kept.mu[minute] = self.prices.nu, self.prices.mu
        kept.price[minute] = self.prices.lambda_(seen.target * self.caution)
        kept.roas[minute] = np.divide(seen.revenue, cost, out=np.full_like(cost, np.nan), where=cost > 0.0)
        kept.standing[minute], kept.alert[minute] = steered.standing, steered.alert
        kept.share[minute], kept.committed[minute] = seen.share, seen.committed


def _past_traffic(market: Market) -> Array:
    """[brands, 96]: a week of impressions as traffic came, before the run."""
    by_time = np.array([[hours(zone, 15 * quarter) for quarter in range(pacing.QUARTERS)] for zone in ZONES])
    offsets = [pacing.quarter_of_day(START, zone) for zone in ZONES]
    local = np.array([np.roll(row, offset) for row, offset in zip(by_time, offsets, strict=True)])
    brands = market.brands
    a_day = market.scale.auctions * DAY_MINUTES / len(brands.size) * brands.size / brands.size.mean()
    past: Array = local[brands.zone] * (_PAST_TRAFFIC_DAYS * a_day / pacing.QUARTERS)[:, None]
    return past
