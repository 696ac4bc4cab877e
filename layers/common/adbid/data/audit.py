"""What people did: the rows of `audit_log`, the newest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from adbid.data.tables import audit_log

_ENTRY = audit_log.c


@dataclass(frozen=True)
class Entry:
    """One change of one object: as it was (None: it wasn't) and as it is (None: it is gone)."""

    id: int
    occurred_at: datetime
    actor: str
    request_id: str
    kind: str
    object_id: str
    action: str
    old_value: Mapping[str, Any] | None
    new_value: Mapping[str, Any] | None


def add(
    connection: Connection,
    at: datetime,
    actor: str,
    request_id: str,
    kind: str,
    object_id: str,
    action: str,
    old_value: Mapping[str, Any] | None,
    new_value: Mapping[str, Any] | None,
) -> None:
    """Remembers one change, with the object before and after it."""
    row = {"actor": actor[:255], "request_id": request_id[:128], "kind": kind, "object_id": object_id}
    values = {"occurred_at": at, "action": action, "old_value": old_value, "new_value": new_value}
    connection.execute(insert(audit_log).values(**row, **values))


def page(
    connection: Connection, kind: str | None, object_id: str | None, before: int | None, limit: int
) -> list[Entry]:
    """Up to `limit` entries older than entry `before`, of one kind or object where named."""
    query = select(audit_log).order_by(_ENTRY.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(_ENTRY.kind == kind)
    if object_id is not None:
        query = query.where(_ENTRY.object_id == object_id)
    if before is not None:
        query = query.where(_ENTRY.id < before)
    return [Entry(**row._mapping) for row in connection.execute(query)]
