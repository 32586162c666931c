"""The sender of a study is asked what it has by one process."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_file("0021_sender_asked_by_one.sql")
