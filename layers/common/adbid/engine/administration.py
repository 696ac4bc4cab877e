"""What people set, changed safely: every kind of object the same way, each change with its audit entry.

A change and its audit entry are one transaction; the feature cache is refreshed once it has committed. A
cache that cannot be reached does not undo a change: what it holds is at most 300 s old.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adbid.data import audit, catalog, tables
from adbid.data.cache import FeatureCache, brand_key, partner_key, slot_key
from adbid.data.catalog import BRAND, PARTNER, PRIOR, SLOT, STRATEGY, Brand, Item, Kind
from adbid.data.database import Database
from adbid.domain.context import market
from adbid.domain.cursor import cursor_after, read_cursor
from adbid.domain.errors import (
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
)
from adbid.domain.money import format_money

T = TypeVar("T", bound=Item)
R = TypeVar("R")

logger = logging.getLogger(__name__)

Matches = Callable[[int], bool]
"""Whether a version is one the caller has seen."""

MoveBrand = Callable[[str, str, str], None]
"""Told that a brand (its id) has moved from one market (`context.market`) to another."""


@dataclass(frozen=True)
class Actor:
    """Who makes a change, and in which request."""

    subject: str
    request_id: str


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some objects in the order of their ids, and where the next page starts; None on the last one."""

    items: list[T]
    next_cursor: str | None


class Administration:
    """The use cases of one database and its feature cache. `clock` tells the time in UTC."""

    def __init__(
        self,
        database: Database,
        cache: FeatureCache,
        *,
        clock: Callable[[], datetime],
        move_brand: MoveBrand | None = None,
    ) -> None:
        self._database = database
        self._cache = cache
        self._clock = clock
        self._move_brand = move_brand

    def read(self, kind: Kind[T], item_id: str) -> T:
        """One object. Raises NotFound."""
        with self._database.read() as connection:
            return _found(kind, catalog.get(connection, kind, item_id), item_id)

    def list(self, kind: Kind[T], *, cursor: str | None, limit: int) -> Page[T]:
        """The next `limit` objects after `cursor`. Raises Invalid for a cursor of another list."""
        after = read_cursor(kind.name, cursor)
        with self._database.read() as connection:
            items = catalog.page(connection, kind, after=after, limit=limit + 1)
        more = len(items) > limit
        return Page(items[:limit], cursor_after(kind.name, items[limit - 1].id) if more else None)

    def create(self, kind: Kind[T], values: Mapping[str, Any], actor: Actor) -> T:
        """A new object; without an `id` in `values` one is made.

        Raises Conflict when its id or name exists, Invalid when it names an object that does not.
        """
        now = self._clock()
        made = {**values, "id": values.get("id") or uuid4().hex}
        item = kind.type(**made, version=1, created_at=now, updated_at=now)

        def work(connection: Connection) -> None:
            if catalog.get(connection, kind, item.id):
                raise Conflict("id_exists", f"a {kind.name} with this id exists", property="id")
            _check(connection, kind, item)
            catalog.add(connection, kind, item)
            self._audit(connection, kind, "create", actor, None, item)

        self._commit(kind, work)
        self._publish(kind, None, item)
        return item

    def replace(
        self, kind: Kind[T], item_id: str, values: Mapping[str, Any], matches: Matches | None, actor: Actor
    ) -> T:
        """The object with all its values replaced, as long as it is at a version that `matches`.

        Raises NotFound, PreconditionRequired without `matches`, PreconditionFailed, Conflict and Invalid.
        """

        def work(connection: Connection) -> tuple[T, T]:
            before = _found(kind, catalog.get(connection, kind, item_id, lock=True), item_id)
            if matches is None:
                raise PreconditionRequired("if_match_required", "say which version you change with If-Match")
            _match(kind, before, matches)
            after = kind.type(
                **{**values, "id": item_id},
                version=before.version + 1,
                created_at=before.created_at,
                updated_at=self._clock(),
            )
            _check(connection, kind, after)
            _check_change(connection, before, after)
            catalog.replace(connection, kind, after)
            self._audit(connection, kind, "replace", actor, before, after)
            return before, after

        before, after = self._commit(kind, work)
        self._publish(kind, before, after)
        return after

    def delete(self, kind: Kind[T], item_id: str, matches: Matches | None, actor: Actor) -> None:
        """Removes an object that nothing uses. Raises NotFound, PreconditionFailed and Conflict."""

        def work(connection: Connection) -> T:
            before = _found(kind, catalog.get(connection, kind, item_id, lock=True), item_id)
            if matches is not None:
                _match(kind, before, matches)
            for column in kind.users:
                if catalog.in_use(connection, column, item_id):
                    raise Conflict("in_use", f"this {kind.name} is in use ({column.table.name})")
            catalog.remove(connection, kind, item_id)
            self._audit(connection, kind, "delete", actor, before, None)
            return before

        self._publish(kind, self._commit(kind, work), None)

    def _commit(self, kind: Kind[T], work: Callable[[Connection], R]) -> R:
        """What `work` returns. It runs again when a constraint shows that somebody was faster: its own
        checks then find out what exactly is in the way."""
        try:
            return self._database.transaction(work, retry_integrity=True)
        except IntegrityError:
            raise Conflict("conflict", f"this {kind.name} was changed at the same time") from None

    def _audit(
        self,
        connection: Connection,
        kind: Kind[T],
        action: str,
        actor: Actor,
        before: T | None,
        after: T | None,
    ) -> None:
        item = after or before
        assert item is not None
        old, new = (None if one is None else _document(one) for one in (before, after))
        audit.add(
            connection, self._clock(), actor.subject, actor.request_id, kind.name, item.id, action, old, new
        )

    def _publish(self, kind: Kind[T], before: T | None, after: T | None) -> None:
        """Brings the cache up to a committed change."""
        item = after or before
        assert item is not None
        try:
            self._refresh(kind, item.id)
            if isinstance(before, Brand) and isinstance(after, Brand):
                self._moved(before, after)
        except Exception:  # the change has committed, so whatever fails here must not make it look undone
            logger.warning("cache not refreshed after a change of %s %s", kind.name, item.id, exc_info=True)

    def _moved(self, before: Brand, after: Brand) -> None:
        left, joined = (market(one.currency, one.vertical) for one in (before, after))
        if self._move_brand and left != joined:
            self._move_brand(after.id, left, joined)

    def _refresh(self, kind: Kind[T], item_id: str) -> None:
        """Caches what the database says now: not what this change said, which may be old by now."""
        name = kind.name
        with self._database.read() as connection:
            if name == PRIOR.name:
                self._cache.put_priors(catalog.load_priors(connection))
            elif name == STRATEGY.name:
                self._cache.put(*catalog.load_brands_of(connection, item_id))
            else:
                load, key = _FEATURES[name]
                found = load(connection, [item_id])
                if found:
                    self._cache.put(*found.values())
                else:
                    self._cache.forget(key(item_id))


_FEATURES: dict[str, tuple[Callable[..., dict[str, Any]], Callable[[str], str]]] = {
    BRAND.name: (catalog.load_brands, brand_key),
    PARTNER.name: (catalog.load_partners, partner_key),
    SLOT.name: (catalog.load_slots, slot_key),
}


def _found(kind: Kind[T], item: T | None, item_id: str) -> T:
    if item is None:
        raise NotFound("not_found", f"there is no {kind.name} {item_id!r}")
    return item


def _match(kind: Kind[T], item: T, matches: Matches) -> None:
    if not matches(item.version):
        raise PreconditionFailed("version_mismatch", f"this {kind.name} is at version {item.version}")


def _check(connection: Connection, kind: Kind[T], item: T) -> None:
    """What only the database can tell: nobody else has the name, and what is referred to exists."""
    if catalog.namesake(connection, kind, item):
        what = "name" if kind.unique == ("name",) else "scope"
        by = "name" if what == "name" else None
        raise Conflict(f"{what}_exists", f"another {kind.name} has this {what}", property=by)
    unknown = [
        FieldError(column, f"unknown_{(what := column.removesuffix('_id'))}", f"there is no {what} {value!r}")
        for column, table in kind.references
        if (value := getattr(item, column)) and not catalog.hold(connection, table, value)
    ]
    if unknown:
        raise Invalid(unknown[0].code, unknown[0].message, *unknown)


def _check_change(connection: Connection, before: Item, after: Item) -> None:
    """A brand's past amounts are in its currency: it stays once there are any."""
    if not isinstance(before, Brand) or before.currency == cast(Brand, after).currency:
        return
    if catalog.in_use(connection, tables.performance.c.brand_id, before.id):
        raise Conflict(
            "currency_in_use",
            f"the brand has amounts in {before.currency}: its currency can't change",
            property="currency",
        )


def _document(item: Item) -> dict[str, Any]:
    """An object as the audit log keeps it: plain decimals, RFC 3339 times."""
    return {name: _value(value) for name, value in asdict(item).items()}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format_money(value)
    return value.isoformat() if isinstance(value, datetime) else value
