"""How is a whole SQL file run inside Alembic's transaction?"""

from __future__ import annotations

from pathlib import Path

from alembic import op


def run_file(name: str) -> None:
    """Runs the statements of one file beside this one, as they stand: no parameters, so several at once are allowed."""
    statements = (Path(__file__).parent / name).read_text(encoding="utf-8")
    driver = op.get_bind().connection.dbapi_connection
    driver.run_async(lambda connection: connection.execute(statements))
