"""The numbers by which performed steps wait for an order."""

from __future__ import annotations

from engine.store.migrations.sql import run_file

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_file("0018_awaited_orders.sql")
