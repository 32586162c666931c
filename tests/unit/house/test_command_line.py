"""Every command of the list has its file, the list is cheap, and an error of ours ends with status 1 and no trace."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from engine.cli.main import COMMANDS, main


def hutong(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine.cli.main", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_listed_command_exists_and_says_what_it_does(name: str) -> None:
    function = getattr(import_module(f"engine.cli.{name}"), name)
    assert function.__doc__


def test_the_list_of_commands_imports_none_of_them() -> None:
    probe = (
        "import sys\n"
        "from engine.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('engine.store', 'pydicom', 'fastapi', 'pydantic'))])"
    )
    listed = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    assert all(name in listed for name in COMMANDS)
    assert listed.splitlines()[-1] == "[]"


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    result = hutong("chekc")
    assert result.returncode == 2
    assert "check" in result.stderr


def test_an_error_of_ours_is_one_message_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(tmp_path)])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert "community.yaml: expected a readable file" in told.out + told.err
    assert "Traceback" not in told.out + told.err
