"""What became of each trained model: the rows of `model_version`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from adbid.data.tables import model_version

PUBLISHED = "published"
"""It serves."""
RETIRED = "retired"
"""It served."""
REJECTED = "rejected"
"""It never served; `metrics` has the reason."""


@dataclass(frozen=True)
class VersionRow:
    """One trained model. `training_from` and `training_to` bound the events it learned from."""

    version: str
    created_at: datetime
    status: str
    training_from: datetime | None
    training_to: datetime | None
    checksum: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Any]


def add(connection: Connection, row: VersionRow) -> None:
    """Stores a version. Raises IntegrityError when it exists."""
    connection.execute(
        insert(model_version), {**vars(row), "parameters": dict(row.parameters), "metrics": dict(row.metrics)}
    )


def find(connection: Connection, version: str) -> VersionRow | None:
    found = connection.execute(select(model_version).where(model_version.c.version == version)).one_or_none()
    return VersionRow(**found._mapping) if found else None


def page(connection: Connection, skip: int, limit: int) -> list[VersionRow]:
    """Up to `limit` versions, the newest first, after the first `skip`."""
    newest = (model_version.c.created_at.desc(), model_version.c.version.desc())
    query = select(model_version).order_by(*newest).offset(skip).limit(limit)
    return [VersionRow(**row._mapping) for row in connection.execute(query)]


def promote(connection: Connection, version: str) -> None:
    """Marks `version` as the one that serves, and the ones before as retired."""
    others = (model_version.c.status == PUBLISHED, model_version.c.version != version)
    connection.execute(update(model_version).where(*others).values(status=RETIRED))
    connection.execute(
        update(model_version).where(model_version.c.version == version).values(status=PUBLISHED)
    )


def withdraw(connection: Connection, row: VersionRow, reason: str, serving: str | None) -> None:
    """Takes back `promote`: `row` never served, `serving` still does."""
    metrics = {**row.metrics, "reason": reason}
    mine = model_version.c.version == row.version
    connection.execute(update(model_version).where(mine).values(status=REJECTED, metrics=metrics))
    if serving is not None:
        other = model_version.c.version == serving
        connection.execute(update(model_version).where(other).values(status=PUBLISHED))
