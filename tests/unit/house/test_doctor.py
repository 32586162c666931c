"""`hutong doctor` finds what is wrong with an installation and says how to mend it."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from engine.cli import doctor
from engine.cli.doctor import PACKAGES, State
from engine.config import load

HOUSE = Path(__file__).parents[3]
EXAMPLE = HOUSE / "docker" / "example"


def test_a_relative_data_folder_that_exists_is_not_one_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    assert doctor.data_folder(Path("data")).found == "data takes files"
    assert doctor.data_folder(Path("other")).found == "other can be made"


def test_a_hub_of_another_account_is_seen_and_a_folder_that_may_not_be_read_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "run.json").write_text('{"pid": 4242}')
    monkeypatch.setattr(os, "kill", forbidden)
    assert doctor.running_hub(tmp_path) == 4242
    monkeypatch.setattr(Path, "read_text", forbidden)
    assert doctor.running_hub(tmp_path) is None


def test_every_top_level_package_that_python_finds_is_ours() -> None:
    assert doctor.strangers() == []
    assert doctor.packages().state is State.GOOD


def test_the_packages_looked_at_are_those_that_are_shipped() -> None:
    settings = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert set(settings["hatch"]["build"]["targets"]["wheel"]["packages"]) == set(PACKAGES)
    assert set(settings["importlinter"]["root_packages"]) == set(PACKAGES)


@pytest.mark.parametrize("name", [name for name in PACKAGES if name != "engine"])
def test_a_package_of_that_name_from_elsewhere_is_found_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    found = subprocess.run(
        [sys.executable, "-c", f"import {name}; from engine.cli.doctor import strangers; print(strangers())"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == f"['{name}']"


def test_all_requirements_are_installed() -> None:
    assert doctor.requirements().state is State.GOOD


def test_a_missing_requirement_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["rich>=1", "no-such-thing[x]>=2", 'other; extra == "dev"'])
    check = doctor.requirements()
    assert (check.state, check.found) == (State.BAD, "missing: no-such-thing")


def test_a_data_folder_that_does_not_exist_yet_can_be_made(tmp_path: Path) -> None:
    check = doctor.data_folder(tmp_path / "a" / "b")
    assert check.state is State.GOOD
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert doctor.data_folder(tmp_path / "data").state is State.BAD


def test_a_full_disk_is_bad_and_a_nearly_full_one_doubtful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for free in (doctor.SCARCE_BYTES - 1, doctor.LITTLE_BYTES - 1, doctor.LITTLE_BYTES):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: _Usage(free))
        states.append(doctor.disk(tmp_path).state)
    assert states == [State.BAD, State.DOUBTFUL, State.GOOD]


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_a_port_that_somebody_has_is_named_with_its_channel() -> None:
    community = load(EXAMPLE)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        channel = community.channels["baishi-his"].model_copy(update={"port": port})
        only = community.model_copy(
            update={"channels": {"baishi-his": channel}, "http": community.http.model_copy(update={"port": 0})}
        )
        check = doctor.ports(only)
    assert check.state is State.BAD
    assert check.found == f"baishi-his 127.0.0.1:{port}, taken by another program"


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    community = load(EXAMPLE)
    http = community.http.model_copy(update={"host": "192.0.2.1", "port": 8080})
    check = doctor.ports(community.model_copy(update={"channels": {}, "http": http}))
    assert check.state is State.BAD


def test_a_broken_configuration_is_shown_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "community.yaml").write_text("nmae: x\n", encoding="utf-8")
    [check] = doctor.configuration(tmp_path, hub=None)
    assert check.state is State.BAD
    assert "community.yaml:1: nmae: unknown key; did you mean 'name'?" in check.found


def test_a_hub_is_found_by_its_run_file(tmp_path: Path) -> None:
    assert doctor.running_hub(tmp_path) is None
    (tmp_path / "run.json").write_text(f'{{"pid": {os.getpid()}}}', encoding="utf-8")
    assert doctor.running_hub(tmp_path) == os.getpid()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x"}', '{"pid": 4194304999}'])
def test_a_run_file_that_nobody_stands_behind_is_no_hub(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    assert doctor.running_hub(tmp_path) is None


def test_an_unreachable_database_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTONG_DATABASE_URL", "postgresql://hutong:s3cret@127.0.0.1:1/hutong")
    check = doctor.database(None)
    assert check.state is State.BAD
    assert "s3cret" not in check.found + check.mend
