"""How is a whole SQL file run inside Alembic's transaction?"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from alembic import op
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection


def run_file(name: str) -> None:
    """Runs the statements of one file beside this one, as they stand: no parameters, so several at once are allowed."""
    statements = (Path(__file__).parent / name).read_text(encoding="utf-8")
    adapter = cast(AsyncAdapt_asyncpg_connection, op.get_bind().connection.dbapi_connection)
    adapter.run_async(lambda connection: connection.execute(statements))
