"""The Lambda function a deploy invokes before new code takes traffic: brings the database to the newest
revision. It raises when it cannot, so that the deploy stops.
"""

import os
from typing import Any

import migrations
from adbid.data.database import Database
from adbid.settings import DatabaseSettings, read_settings


def handler(event: dict[str, Any], context: Any) -> dict[str, str | None]:
    """Upgrade to `event["revision"]` (default: the newest). Answers the revision before and after."""
    settings = read_settings(DatabaseSettings, os.environ)
    with Database(settings.database_url, statement_timeout=None) as database:
        before = migrations.current(database)
        migrations.upgrade(database, event.get("revision") or "head")
        return {"before": before, "after": migrations.current(database)}
