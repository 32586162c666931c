"""Merges and links that somebody stated."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_file("0005_joins.sql")
