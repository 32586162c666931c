"""Whether studies are whole, and what was announced of them."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_file("0010_whole_studies.sql")
