"""Who remembers a row for a moment hears when it changes."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_file("0013_changes.sql")
