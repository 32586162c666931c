"""How far older rows have got the tokens of today."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_file("0009_search_completion.sql")
