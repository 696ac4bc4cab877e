"""The Lambda function that brings the database to the newest revision, before new code takes traffic.

CloudFormation calls it as the custom resource `Migration`, on which every other function depends: when it
fails, the deploy stops and goes back. People call it with {"revision": …}, with {} for the newest, or with
{"action": "repair"}, which makes the rollup what `performance` adds up to.
"""

import json
import logging
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic.script import ScriptDirectory

import migrations
from adbid.data import rollup
from adbid.data.database import Database
from adbid.data.secrets import Secret, sign_in
from adbid.domain.errors import Unavailable
from adbid.settings import DatabaseSettings, read_settings

RETRY_SECONDS = 5.0
WAITING_SHARE = 0.5
"""How much of its time the function waits for a database that was made a moment ago."""

ANSWER_ATTEMPTS = 3
ANSWER_TIMEOUT = 10  # seconds

logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Upgrade to `event["revision"]` (default: the newest). Answers the revision before and after.

    Or repair the rollup (`adbid.data.rollup`), and answer how many rows were wrong.

    A database that is ahead of this code stays as it is: a deploy that goes back meets one. Raises whatever
    keeps it from upgrading; CloudFormation is told instead.
    """
    if "ResponseURL" in event:
        return _for_cloudformation(event, context)
    with _database() as database:
        if event.get("action") == "repair":
            return {"repaired": rollup.repair(database, *rollup.ALWAYS)}
        return upgrade(database, event.get("revision") or "head")


def upgrade(database: Database, revision: str = "head") -> dict[str, str | None]:
    """The revision of `database` before and after."""
    before = migrations.current(database)
    if before is not None and before not in _known(database):
        logger.warning("the database is ahead of this code: it stays at %s", before)
        return {"before": before, "after": before}
    migrations.upgrade(database, revision)
    return {"before": before, "after": migrations.current(database)}


def _for_cloudformation(event: dict[str, Any], context: Any) -> dict[str, str | None]:
    """Create and Update upgrade, Delete leaves the data alone. The answer goes to the URL that came along."""
    result: dict[str, str | None] = {}
    status, reason = "SUCCESS", ""
    try:
        if event["RequestType"] != "Delete":
            with _database() as database:
                _wait_for(database, context.get_remaining_time_in_millis() / 1000 * WAITING_SHARE)
                result = upgrade(database)
    except Exception as error:
        logger.exception("the migration failed")
        status, reason = "FAILED", f"{type(error).__name__}: {error}"[:1000]
    _answer(event, status, reason or f"at revision {result.get('after')}", result)
    return result


@contextmanager
def _database() -> Iterator[Database]:
    settings = read_settings(DatabaseSettings, os.environ)
    with Database(settings.database_url, statement_timeout=None) as database:
        if settings.database_secret_id is not None:
            sign_in(database.engine, Secret(settings.database_secret_id))
        yield database


def _known(database: Database) -> set[str]:
    script = ScriptDirectory.from_config(migrations.configuration(database))
    return {revision.revision for revision in script.walk_revisions()}


def _wait_for(database: Database, seconds: float) -> None:
    """Until it answers: a new proxy takes minutes to find its database. Raises Unavailable at the end."""
    end = time.monotonic() + seconds
    while True:
        try:
            with database.read():
                return
        except Unavailable:
            if time.monotonic() > end - RETRY_SECONDS:
                raise
        time.sleep(RETRY_SECONDS)


def _answer(event: dict[str, Any], status: str, reason: str, data: dict[str, str | None]) -> None:
    """Raises OSError: then the deploy waits until its own limit."""
    body = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId") or "schema",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": data,
    }
    request = urllib.request.Request(
        event["ResponseURL"],
        json.dumps(body).encode(),
        {"Content-Type": ""},  # the URL is signed for none
        method="PUT",
    )
    for attempt in range(1, ANSWER_ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT):
                return
        except OSError:
            if attempt == ANSWER_ATTEMPTS:
                raise
            time.sleep(attempt)
