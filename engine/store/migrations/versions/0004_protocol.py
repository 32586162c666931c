"""Numbered messages and identifier domains."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_file("0004_protocol.sql")
