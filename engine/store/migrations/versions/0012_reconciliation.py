"""What people and rejection notes say of stored studies."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_file("0012_reconciliation.sql")
