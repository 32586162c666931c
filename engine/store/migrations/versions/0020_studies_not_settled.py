"""Studies that are not whole are found without reading those that are."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_file("0020_studies_not_settled.sql")
