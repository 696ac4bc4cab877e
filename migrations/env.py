"""Alembic's entry: runs the revisions on the engine it is handed, one runner at a time."""

from alembic import context
from sqlalchemy import Connection, Engine, text

from adbid.data.tables import metadata

LOCK = "adbid_migrations"
LOCK_TIMEOUT = 60  # seconds


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by copying it
        transactional_ddl=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    engine: Engine = context.config.attributes["engine"]
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execution_options(adbid_writes=True)  # the write lock is the lock
            migrate(connection)
            return
        if connection.scalar(text("SELECT GET_LOCK(:name, :seconds)"), lock()) != 1:
            raise RuntimeError(f"another migration has been running for more than {LOCK_TIMEOUT} s")
        connection.commit()
        try:
            migrate(connection)
        finally:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": LOCK})
            connection.commit()


def lock() -> dict[str, object]:
    return {"name": LOCK, "seconds": LOCK_TIMEOUT}


main()
