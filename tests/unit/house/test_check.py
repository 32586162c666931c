"""`hutong check` ends with 0 for what can be used, and with 1 and file:line for what cannot."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from engine.cli import check as command
from engine.cli.main import main
from engine.mapping.testing import TestResult

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


def check(folder: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(folder), *options])
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
    assert "ADT^A01" not in told
    assert re.search(r"^\d+ shipped mappings: (\d+) of \1 passed \(--all lists them\)$", told, re.MULTILINE)
    assert "mapping tests passed" in told


def test_a_facilitys_own_mappings_are_told_line_by_line_and_the_shipped_ones_where_asked(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = folder / "mappings/facilities/baishi"
    own.mkdir(parents=True)
    overlay = "version: 3\nmappings: [ADT]\nchanges:\n  Patient:\n    - {rule: pid-14, remove: yes}\n"
    (own / "adt.yaml").write_text(overlay, encoding="utf-8")
    shipped = TestResult("hl7v2/ADT/mapping_test.yaml", 3, "ADT", "a sex", ())
    beside = TestResult("mappings/facilities/baishi/adt_test.yaml", 3, "ADT", "its own", ())
    monkeypatch.setattr(command, "run_tests", lambda *_: [shipped, beside])
    assert check(folder, "--all") == 0
    told = capsys.readouterr().out
    assert "ADT^A01" in told
    assert "shipped mappings: 1 of 1 passed" in told
    assert re.search(r"^ADT +baishi +1/3 +1 of 1 passed$", told, re.MULTILINE)


def test_a_row_that_says_too_little_is_told_with_the_row_that_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = folder / "mappings/facilities/baishi"
    own.mkdir(parents=True)
    row = "{rule: pv1-44, from: PV1-45, to: period, with: period}"
    overlay = f"version: 1\nmappings: [ADT]\nchanges:\n  Encounter:\n    - {row}\n"
    (own / "adt.yaml").write_text(overlay, encoding="utf-8")
    assert check(folder) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("✗ county/mappings/facilities/baishi/adt.yaml:5:")
    assert re.search(
        r"'period' takes 2 fields; 'from' names 1\. Compare hl7v2/parts/\w+\.yaml:\d+: "
        r"\{rule: pv1-44, from: \[PV1-44, PV1-45\], to: period, with: period\}$",
        told[0],
    )


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


def _covered(folder: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["check", str(folder), *options])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_coverage_is_a_table_with_every_row_that_is_not_fulfilled_and_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _covered(folder, "--coverage") == 0
    told = capsys.readouterr().out
    assert re.search(r"^PV1 +72 +\d+ +\d+ +\d+ +\d+ %$", told, re.MULTILINE)
    assert re.search(r"^RGS +0 +0 +0 +0 +—$", told, re.MULTILINE)
    assert re.search(r"^PV1\[Encounter\]/43 +PV1-40 .*the state of a bed", told, re.MULTILINE)


def test_the_coverage_as_json_says_how_each_row_stands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _covered(folder, "--coverage", "--json") == 0
    told = {each["segment"]: each for each in json.loads(capsys.readouterr().out)}
    sex = next(row for row in told["PID"]["each"] if row["field"] == "PID-8")
    assert (sex["element"], sex["state"]) == ("gender", "mapped")
    assert told["PID"]["rows"] == len(told["PID"]["each"]) == 71
    assert told["RGS"]["percent"] is None


@pytest.mark.parametrize("option", ["--json", "--markdown"])
def test_a_way_to_show_the_coverage_without_it_is_a_mistake(folder: Path, option: str) -> None:
    assert _covered(folder, option) == 2
