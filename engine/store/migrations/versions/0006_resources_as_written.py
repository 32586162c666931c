"""Resources as the JSON text that was written."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_file("0006_resources_as_written.sql")
