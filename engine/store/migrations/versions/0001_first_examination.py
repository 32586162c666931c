"""The tables of the first examination."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_file("0001_first_examination.sql")
