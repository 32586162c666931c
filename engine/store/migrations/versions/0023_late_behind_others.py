"""What has its row after a study had counted as whole is late, also where it came before."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_file("0023_late_behind_others.sql")
