"""How what people set is read and written: whole objects one by one for administration, and what decisions
need of many at once, by one query per kind.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, Connection, Select, Table, bindparam, delete, insert, select, update

from adbid.data import tables
from adbid.domain.entities import (
    BrandFeatures,
    PartnerFeatures,
    PriorFeatures,
    SlotFeatures,
    StrategyFeatures,
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """What every kind of object has. `version` starts at 1 and grows with every replacement."""

    id: str
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Strategy(Item):
    """How a brand's bids are scored; of two bids that tie, the higher priority wins. Shares are 0 to 1."""

    name: str
    vpi_multiplier: Decimal
    priority: int
    probe_share: Decimal
    exploration_share: Decimal


@dataclass(frozen=True, kw_only=True)
class Brand(Item):
    """An advertiser. `daily_budget` is per day of `timezone`, in `currency`; None is without limit."""

    name: str
    vertical: str
    strategy_id: str
    currency: str
    timezone: str
    daily_budget: Decimal | None
    target_roas: Decimal
    status: str


@dataclass(frozen=True, kw_only=True)
class Partner(Item):
    """A publisher; quality is 0 to 1."""

    name: str
    quality: Decimal


@dataclass(frozen=True, kw_only=True)
class Slot(Item):
    """An ad slot, of one partner or (None) of any. `floor` is per thousand impressions, in `currency`."""

    name: str
    partner_id: str | None
    placement_score: Decimal
    floor: Decimal
    currency: str


@dataclass(frozen=True, kw_only=True)
class Prior(Item):
    """What people know of the CTR of a vertical or a cell; "" where the scope is not narrowed."""

    vertical: str
    brand_id: str
    partner_id: str
    slot_id: str
    device_type: str
    prior_clicks: Decimal
    prior_imps: Decimal


T = TypeVar("T", bound=Item)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of object: what messages and the audit log call it, its table, its class.

    `unique` are the columns that together no two objects share; `references` are the columns that name
    another object, each with that object's table; `users` are the columns whose rows keep it from being
    deleted.
    """

    name: str
    table: Table
    type: type[T]
    unique: tuple[str, ...]
    references: tuple[tuple[str, Table], ...] = ()
    users: tuple[Column[Any], ...] = ()


STRATEGY = Kind("strategy", tables.brand_strategy, Strategy, ("name",), users=(tables.brand.c.strategy_id,))
BRAND = Kind(
    "brand",
    tables.brand,
    Brand,
    ("name",),
    references=(("strategy_id", tables.brand_strategy),),
    users=(tables.prior.c.brand_id, tables.performance.c.brand_id),
)
PARTNER = Kind(
    "partner",
    tables.partner,
    Partner,
    ("name",),
    users=(tables.ad_slot.c.partner_id, tables.prior.c.partner_id, tables.performance.c.partner_id),
)
SLOT = Kind(
    "slot",
    tables.ad_slot,
    Slot,
    ("name",),
    references=(("partner_id", tables.partner),),
    users=(tables.prior.c.slot_id, tables.performance.c.slot_id),
)
PRIOR = Kind(
    "prior",
    tables.prior,
    Prior,
    tables.SCOPE,
    references=(("brand_id", tables.brand), ("partner_id", tables.partner), ("slot_id", tables.ad_slot)),
)


# One by one --------------------------------------------------------------------------------------


def get(connection: Connection, kind: Kind[T], item_id: str, *, lock: bool = False) -> T | None:
    """One object by id; with `lock`, nobody else changes it until the transaction ends."""
    query = select(kind.table).where(kind.table.c.id == item_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else kind.type(**row)


def page(connection: Connection, kind: Kind[T], *, after: str, limit: int) -> list[T]:
    """Up to `limit` objects whose ids come after `after`, in the order of their ids."""
    query = select(kind.table).where(kind.table.c.id > after).order_by(kind.table.c.id).limit(limit)
    return [kind.type(**row) for row in connection.execute(query).mappings()]


def add(connection: Connection, kind: Kind[T], item: T) -> None:
    """Insert an object. Raises IntegrityError when its id or what must be unique exists."""
    connection.execute(insert(kind.table).values(asdict(item)))


def replace(connection: Connection, kind: Kind[T], item: T) -> None:
    """Overwrite the object of that id."""
    connection.execute(update(kind.table).where(kind.table.c.id == item.id).values(asdict(item)))


def remove(connection: Connection, kind: Kind[T], item_id: str) -> None:
    """Delete the object of that id. Raises IntegrityError when a foreign key still names it."""
    connection.execute(delete(kind.table).where(kind.table.c.id == item_id))


def namesake(connection: Connection, kind: Kind[T], item: T) -> bool:
    """Whether another object has the same unique values."""
    same = [kind.table.c[column] == getattr(item, column) for column in kind.unique]
    query = select(kind.table.c.id).where(kind.table.c.id != item.id, *same)
    return connection.execute(query).first() is not None


def in_use(connection: Connection, column: Column[Any], item_id: str) -> bool:
    """Whether any row holds `item_id` in `column`."""
    return connection.execute(select(column).where(column == item_id).limit(1)).first() is not None


def hold(connection: Connection, table: Table, item_id: str) -> bool:
    """Whether an object exists; nobody deletes it until the transaction ends."""
    query = select(table.c.id).where(table.c.id == item_id).with_for_update(read=True)
    return connection.execute(query).first() is not None


# Many at once ------------------------------------------------------------------------------------


def _columns(table: Table, names: str) -> tuple[Column[Any], ...]:
    return tuple(table.c[name] for name in names.split())


def _by_id(query: Select[Any], table: Table) -> Select[Any]:
    return query.where(table.c.id.in_(bindparam("ids", expanding=True)))


_BRANDS = select(
    *_columns(
        tables.brand, "id vertical currency timezone daily_budget target_roas status version strategy_id"
    ),
    *_columns(tables.brand_strategy, "name vpi_multiplier priority probe_share exploration_share version"),
).join_from(tables.brand, tables.brand_strategy)
_BRANDS_BY_ID = _by_id(_BRANDS, tables.brand)
_PARTNERS_BY_ID = _by_id(select(*_columns(tables.partner, "id quality version")), tables.partner)
_SLOTS_BY_ID = _by_id(
    select(*_columns(tables.ad_slot, "id partner_id placement_score floor currency version")), tables.ad_slot
)
_PRIORS = select(*(tables.prior.c[name] for name in (*tables.SCOPE, "prior_clicks", "prior_imps")))


def load_brands(connection: Connection, ids: Iterable[str]) -> dict[str, BrandFeatures]:
    """The brands among `ids` that exist, each with its strategy, by id."""
    return {row[0]: _brand(row) for row in _load(connection, _BRANDS_BY_ID, ids)}


def load_brands_of(connection: Connection, strategy_id: str) -> list[BrandFeatures]:
    """Every brand that uses a strategy."""
    query = _BRANDS.where(tables.brand.c.strategy_id == strategy_id)
    return [_brand(row) for row in connection.execute(query)]


def load_partners(connection: Connection, ids: Iterable[str]) -> dict[str, PartnerFeatures]:
    """The partners among `ids` that exist, by id."""
    rows = _load(connection, _PARTNERS_BY_ID, ids)
    return {
        partner_id: PartnerFeatures(partner_id, float(quality), version)
        for partner_id, quality, version in rows
    }


def load_slots(connection: Connection, ids: Iterable[str]) -> dict[str, SlotFeatures]:
    """The slots among `ids` that exist, by id."""
    rows = _load(connection, _SLOTS_BY_ID, ids)
    return {
        slot_id: SlotFeatures(slot_id, partner_id, float(score), floor, currency, version)
        for slot_id, partner_id, score, floor, currency, version in rows
    }


def load_priors(connection: Connection) -> list[PriorFeatures]:
    """Every prior: people set a few dozen, and any of them may lie on a bid's chain."""
    rows: Sequence[Any] = connection.execute(_PRIORS).all()
    return [
        PriorFeatures(vertical, brand, partner, slot, device, float(clicks), float(impressions))
        for vertical, brand, partner, slot, device, clicks, impressions in rows
    ]


def _load(connection: Connection, query: Select[Any], ids: Iterable[str]) -> Sequence[Any]:
    wanted = sorted(set(ids))
    return connection.execute(query, {"ids": wanted}).all() if wanted else ()


def _brand(row: Any) -> BrandFeatures:
    brand_id, vertical, currency, timezone, daily_budget, target_roas, status, version, strategy_id = row[:9]
    name, multiplier, priority, probe_share, exploration_share, strategy_version = row[9:]
    return BrandFeatures(
        id=brand_id,
        vertical=vertical,
        currency=currency,
        timezone=timezone,
        daily_budget=daily_budget,
        target_roas=float(target_roas),
        status=status,
        version=version,
        strategy=StrategyFeatures(
            id=strategy_id,
            name=name,
            multiplier=float(multiplier),
            priority=priority,
            probe_share=float(probe_share),
            exploration_share=float(exploration_share),
            version=strategy_version,
        ),
    )
