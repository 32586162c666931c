"""Performed procedure steps, storage commitment, instance availability, and what others are owed of them."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_file("0011_performed_steps.sql")
