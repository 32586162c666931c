"""What a person does about a message, and about a delivery."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_file("0002_by_a_person.sql")
