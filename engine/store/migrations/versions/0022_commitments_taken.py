"""A request for storage commitment is settled by the process that took it last."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_file("0022_commitments_taken.sql")
