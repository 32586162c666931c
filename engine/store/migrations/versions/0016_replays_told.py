"""A replay says what it came to; what is found again and again is one finding."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_file("0016_replays_told.sql")
