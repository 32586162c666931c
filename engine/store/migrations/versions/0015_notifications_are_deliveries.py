"""What application entities are owed to hear stands in the outbox, with everything else that is owed."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_file("0015_notifications_are_deliveries.sql")
