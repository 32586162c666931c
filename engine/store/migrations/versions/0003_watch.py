"""What watching needs: finding by patient and by words, dropping a month whole, incidents."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_file("0003_watch.sql")
