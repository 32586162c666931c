"""Every time an envelope was processed stays known."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_file("0019_every_processing.sql")
