"""What Alembic runs for every command: it gets its connection, in a transaction, from `migrate`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from engine.store.migrations import LOCK


def run() -> None:
    connection: Connection = context.config.attributes["connection"]
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
    context.configure(connection=connection, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


run()
