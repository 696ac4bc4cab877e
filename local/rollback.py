"""`python -m local rollback VERSION`: serve a version again that served before."""

import argparse

from sqlalchemy import select

from adbid import wiring
from adbid.data.tables import model_version
from adbid.domain.errors import AdBidError
from local.attach import attached
from local.home import home


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rollback`."""
    parser.add_argument("version", nargs="?", metavar="VERSION", help="which one; left out, they are listed")


def run(arguments: argparse.Namespace) -> int:
    """Go back; 0 when the version serves."""
    with attached(home()):
        if arguments.version is None:
            print(listed())
            return 0
        try:
            wiring.model_publisher().rollback(arguments.version)
        except AdBidError as error:
            print(f"nothing has changed: {error}")
            return 1
    print(f"model {arguments.version} serves")
    return 0


def listed(limit: int = 20) -> str:
    """The latest versions, newest first."""
    query = select(model_version).order_by(model_version.c.created_at.desc()).limit(limit)
    with wiring.database().read() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return "no model was trained yet"
    return "\n".join(
        f"{row.version:28} {row.status:10} {row.metrics.get('detail', '')}".rstrip() for row in rows
    )
