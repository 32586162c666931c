"""Of which studies metadata is still to be prepared."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_file("0017_metadata_prepared.sql")
