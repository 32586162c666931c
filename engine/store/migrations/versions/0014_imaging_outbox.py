"""What imaging systems are owed, and which objects each has taken."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_file("0014_imaging_outbox.sql")
