"""`hutong map` as a person runs it: what it prints, what it writes, and what it says of wrong files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
REGISTRATION = (
    "MSH|^~\\&|HIS|BS|H|Q|20260402090000||ADT^A04|B2|P|2.4||||||UNICODE UTF-8\n"
    "PID|1||B78^^^HIS^MR||王^小东||19491231|M\nZPD|农民\n"
)
BUNDLE = """
{"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Patient", "id": "p",
 "identifier": [{"system": "urn:hutong:facility:here:patient:HIS", "value": "B1"}], "photo": [{"title": "x"}]}}]}
"""


def hutong(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "engine.cli.main", *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "docker/example", tmp_path / "county"))


def test_a_bundle_is_shown_as_a_message_with_what_it_does_not_say(tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(BUNDLE, encoding="utf-8")
    shown = hutong("map", "write", file, "--as", "ADT^A08", "--version", "2.4")
    assert shown.returncode == 0, shown.stderr
    assert "PID|1||B1^^^HIS" in shown.stdout
    assert "lost Patient/p photo[0].title: no row of ADT is about it" in shown.stderr


def test_a_message_is_written_into_a_file_byte_for_byte(tmp_path: Path) -> None:
    file, out = tmp_path / "bundle.json", tmp_path / "out.hl7"
    file.write_text(BUNDLE, encoding="utf-8")
    shown = hutong("map", "write", file, "--as", "ADT^A08", "--charset", "gb18030", "--out", out)
    assert (shown.returncode, shown.stdout) == (0, "")
    assert out.read_bytes().count(b"\r") == 3
    assert b"GB 18030-2000" in out.read_bytes()


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        ("no json", "ADT^A08", "expected JSON"),
        ("[1, 2]", "ADT^A08", "expected a Bundle, a resource or a list of resources"),
        ("{}", "ADT^A08", "expected a Bundle"),
        (BUNDLE, "ADT^A99", "no mapping takes such messages; did you mean"),
    ],
)
def test_what_cannot_be_written_is_said_in_a_line(tmp_path: Path, content: str, kind: str, said: str) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(content, encoding="utf-8")
    shown = hutong("map", "write", file, "--as", kind)
    assert shown.returncode == 1
    assert said in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_draft_is_written_once_and_never_over_what_is_there(tmp_path: Path, config: Path) -> None:
    samples = tmp_path / "samples.hl7"
    samples.write_text(REGISTRATION, encoding="utf-8")
    shown = hutong("map", "draft", samples, "--config", config, "--facility", "baishi")
    assert shown.returncode == 0, shown.stderr
    drafted = config / "mappings/facilities/baishi/adt_draft.yaml"
    assert "patient: {holds: [ZPD]}" in drafted.read_text(encoding="utf-8")
    assert "ZPD-1" in shown.stdout
    assert "PID-5" not in shown.stdout
    assert (
        "PID-5 patient name"
        in hutong("map", "draft", samples, "--config", config, "--facility", "baishi", "--all").stdout
    )
    drafted.write_text("# mine\nversion: 1\nmappings: [ADT]\n", encoding="utf-8")
    again = hutong("map", "draft", samples, "--config", config, "--facility", "baishi")
    assert again.returncode == 0, again.stderr
    assert "kept" in again.stdout
    assert drafted.read_text(encoding="utf-8").startswith("# mine")


def test_codes_that_wait_are_told_by_the_draft_and_by_the_check(tmp_path: Path, config: Path) -> None:
    samples = tmp_path / "samples.hl7"
    samples.write_text(
        "MSH|^~\\&|HIS|BS|H|Q|20260402090000||ORM^O01|B3|P|2.4||||||UNICODE UTF-8\nPID|1||B78^^^HIS^MR\n"
        "ORC|NW|O1\nOBR|1|O1||XP-7^胸片^L||||||||||||||||||||DR\n",
        encoding="utf-8",
    )
    shown = hutong("map", "draft", samples, "--config", config, "--facility", "baishi")
    assert "imaging_procedures lists not: XP-7" in shown.stdout
    assert "complete the rows of the tables" in shown.stdout
    checked = hutong("check", config)
    assert checked.returncode == 0, checked.stdout
    assert "imaging_procedures.csv: say in the column code what these are, in place of ?: XP-7" in checked.stdout


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("not HL7", ["--facility", "baishi"], "no HL7 v2 message in these files"),
        (REGISTRATION, ["--facility", "baisi"], "did you mean 'baishi'?"),
        (REGISTRATION, [], "--facility says whose messages these are"),
    ],
)
def test_a_draft_that_cannot_be_begun_is_said_in_a_line(
    tmp_path: Path, config: Path, content: str, options: list[str], said: str
) -> None:
    samples = tmp_path / "samples.hl7"
    samples.write_text(content, encoding="utf-8")
    shown = hutong("map", "draft", samples, "--config", config, *options)
    assert shown.returncode == 1
    assert said in " ".join(shown.stderr.split())
    assert not (config / "mappings").exists()
