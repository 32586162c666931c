"""What is missing in one study and comes in another is found by index, and so is which senders are being asked."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_file("0024_found_by_index.sql")
