"""What steering and its reports read of the catalog and its history, by one query per kind."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from adbid.data import rollup
from adbid.data.ledger import Spent
from adbid.data.tables import (
    audit_log,
    brand,
    brand_day,
    brand_dual,
    brand_strategy,
    performance_event,
    performance_rollup,
)
from adbid.domain.money import to_micros

_NAMED_AT_MOST = 1_000  # of more brands, all rows are read and the others left out


@dataclass(frozen=True, slots=True)
class Goal:
    """What people set of a brand. `daily_budget` is None where spend is not limited."""

    id: str
    name: str
    currency: str
    timezone: str
    daily_budget: Decimal | None
    target_roas: float
    status: str
    strategy_id: str
    probe_share: float


@dataclass(frozen=True, slots=True)
class Night:
    """The prices of a nightly solve."""

    day: date
    nu: float
    mu: float
    lambda_: float


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the audit log; the values as JSON documents."""

    at: datetime
    actor: str
    kind: str
    action: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None


_GOALS = select(
    *(brand.c[name] for name in ("id", "name", "currency", "timezone", "daily_budget", "target_roas")),
    brand.c.status,
    brand.c.strategy_id,
    brand_strategy.c.probe_share,
).join_from(brand, brand_strategy)


def goals(connection: Connection) -> list[Goal]:
    """Every brand's, in the order of their ids."""
    return [_goal(row) for row in connection.execute(_GOALS.order_by(brand.c.id))]


def goals_page(
    connection: Connection, visible: Collection[str] | None, *, after: str, limit: int
) -> list[Goal]:
    """Up to `limit` of the `visible` brands (None: of all) whose ids come after `after`, in their order."""
    query = _GOALS.where(brand.c.id > after)
    if visible is not None:
        query = query.where(brand.c.id.in_(sorted(visible)))
    return [_goal(row) for row in connection.execute(query.order_by(brand.c.id).limit(limit))]


def goal(connection: Connection, brand_id: str) -> Goal | None:
    """One brand's."""
    row = connection.execute(_GOALS.where(brand.c.id == brand_id)).one_or_none()
    return None if row is None else _goal(row)


def latest_nights(
    connection: Connection, since: date, brands: Sequence[str] | None = None
) -> dict[str, Night]:
    """Each brand's latest solve from `since` on."""
    newest = (
        select(brand_dual.c.brand_id, func.max(brand_dual.c.day).label("day"))
        .where(brand_dual.c.day >= since)
        .group_by(brand_dual.c.brand_id)
    )
    if brands is not None and len(brands) <= _NAMED_AT_MOST:
        newest = newest.where(brand_dual.c.brand_id.in_(brands))
    last = newest.subquery()
    same = and_(brand_dual.c.brand_id == last.c.brand_id, brand_dual.c.day == last.c.day)
    columns = (brand_dual.c[name] for name in ("brand_id", "day", "nu", "mu", "lam"))
    rows = connection.execute(select(*columns).join_from(brand_dual, last, same))
    return {brand_id: Night(*night) for brand_id, *night in rows}


def nights(connection: Connection, brand_id: str, since: date) -> dict[date, Night]:
    """One brand's solves from `since` on."""
    query = select(*(brand_dual.c[name] for name in ("day", "nu", "mu", "lam"))).where(
        brand_dual.c.brand_id == brand_id, brand_dual.c.day >= since
    )
    return {row[0]: Night(*row) for row in connection.execute(query)}


def costs(connection: Connection, brand_id: str, since: datetime, until: datetime) -> dict[datetime, Decimal]:
    """A brand's cost per quarter hour that starts in [since, until)."""
    row = performance_rollup.c
    own = (row.slot_id == rollup.ALL, row.brand_id == brand_id, row.partner_id == rollup.ALL)
    then = (row.bucket_start >= since, row.bucket_start < until)
    query = select(row.bucket_start, row.cost).where(*own, *then)
    return {row[0]: row[1] for row in connection.execute(query)}


def changes(connection: Connection, brand_id: str, strategy_id: str, limit: int) -> list[Change]:
    """The latest changes of a brand and of its present strategy, newest first."""
    log = audit_log.c
    about = or_(
        and_(log.kind == "brand", log.object_id == brand_id),
        and_(log.kind == "strategy", log.object_id == strategy_id),
    )
    columns = (log.occurred_at, log.actor, log.kind, log.action, log.old_value, log.new_value)
    query = select(*columns).where(about).order_by(log.id.desc()).limit(limit)
    return [Change(*row) for row in connection.execute(query)]


def spent(connection: Connection, since: date) -> list[Spent]:
    """What every brand spent on each day from `since` on."""
    row = brand_day.c
    query = select(row.brand_id, row.day, row.spent, row.revision).where(row.day >= since)
    return [
        Spent(brand_id, day, to_micros(amount), revision)
        for brand_id, day, amount, revision in connection.execute(query)
    ]


def newest_event(connection: Connection) -> datetime | None:
    """When the newest event happened."""
    at: datetime | None = connection.scalar(select(func.max(performance_event.c.event_time)))
    return at


def _goal(row: Sequence[Any]) -> Goal:
    brand_id, name, currency, timezone, budget, target, status, strategy_id, probe_share = row
    return Goal(
        brand_id, name, currency, timezone, budget, float(target), status, strategy_id, float(probe_share)
    )
