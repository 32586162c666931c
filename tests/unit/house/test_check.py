"""`hutong check` ends with 0 for what can be used, and with 1 and file:line for what cannot."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.cli import check as command
from engine.cli.main import main
from engine.mapping.testing import TestResult

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


def check(folder: Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(folder)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copytree(EXAMPLE, tmp_path / "county")
    return Path("county")


def test_the_example_community_can_be_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = check(folder)
    told = capsys.readouterr().out
    assert status == 0, told
    assert "5 facilities, 5 channels" in told
    assert "ADT^A01" in told
    assert "mapping tests passed" in told


def test_every_mistake_is_told_with_the_path_from_here(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "channels" / "baishi-his.yaml").write_text("type: mllp\nfacility: baishy\nport: 2576\n", encoding="utf-8")
    (folder / "routes.yaml").write_text("routes: [\n", encoding="utf-8")
    assert check(folder) == 1
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "✗ county/channels/baishi-his.yaml:2: facility: expected the name of a facility, found 'baishy'; "
        "did you mean 'baishi'?",
        "✗ county/routes.yaml:2: expected YAML; expected the node content, but found '<stream end>'",
        "2 problems",
    ]


def test_square_brackets_in_a_file_are_no_markup(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "channels" / "baishi-his.yaml").write_text("type: '[red]x[/red]'\n", encoding="utf-8")
    assert check(folder) == 1
    assert "found '[red]x[/red]'" in capsys.readouterr().out


def test_a_failed_mapping_test_is_told_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = TestResult("hl7v2/ADT/mapping_test.yaml", 7, "ADT", "a name", ("Patient.name[0].text: expected 王",))
    passed = TestResult("hl7v2/ADT/mapping_test.yaml", 3, "ADT", "a sex", ())
    monkeypatch.setattr(command, "run_tests", lambda *_: [passed, failed])
    assert check(folder) == 1
    told = capsys.readouterr().out
    assert "mappings/hl7v2/ADT/mapping_test.yaml:7: a name: Patient.name[0].text: expected 王" in told
    assert "1 of 2 passed" in told
    assert "1 of 2 mapping tests failed" in told
