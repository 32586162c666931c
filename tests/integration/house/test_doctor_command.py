"""`hutong doctor` on a healthy machine starts the embedded PostgreSQL, finds it safe, and is content."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine.store.embedded import EmbeddedPostgres


def doctor(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "HUTONG_DATABASE_URL"} | settings
    return subprocess.run(
        [sys.executable, "-m", "engine.cli.main", "doctor", *arguments],
        env={**environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_healthy_installation_is_found_healthy(tmp_path: Path) -> None:
    result = doctor("--data", str(tmp_path / "data"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the embedded PostgreSQL starts here and is safe" in result.stdout
    assert not (tmp_path / "data").exists()


def test_something_wrong_ends_with_status_1_and_says_what_to_do(
    tmp_path: Path, embedded_postgres: EmbeddedPostgres
) -> None:
    (tmp_path / "data").touch()
    result = doctor("--data", str(tmp_path / "data"), HUTONG_DATABASE_URL=embedded_postgres.url)
    assert result.returncode == 1
    assert "name a folder with --data" in result.stdout
