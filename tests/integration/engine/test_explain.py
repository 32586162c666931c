"""`hutong explain` walks messages with nothing stored and no hub, and never crashes on what is no message."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli import explain as explain_command
from engine.cli.assembly import mappings_of
from engine.cli.main import main
from engine.config import Community
from engine.mapping import MappingSet
from tests.integration.engine.conftest import EXAMPLE
from tests.integration.engine.messages import card, order, register, result

Explain = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def loaded() -> dict[Path, MappingSet]:
    return {}


@pytest.fixture(autouse=True)
def mappings_are_loaded_once(loaded: dict[Path, MappingSet], monkeypatch: pytest.MonkeyPatch) -> None:
    """They take a second, which every single command of these tests would take."""

    def once(community: Community) -> MappingSet:
        if community.folder not in loaded:
            loaded[community.folder] = mappings_of(community)
        return loaded[community.folder]

    monkeypatch.setattr(explain_command, "mappings_of", once)


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    """Runs the command with --json and returns its lines."""

    def run(*arguments: str | Path, status: int = 0) -> list[dict[str, Any]]:
        told = _told(capsys, "--json", *arguments, status=status)
        return [json.loads(line, parse_float=str) for line in told.splitlines()]

    return run


def _told(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> str:
    capsys.readouterr()
    code: Any = 0
    try:
        main(["explain", *map(str, arguments)])
    except SystemExit as ended:
        code = ended.code or 0
    assert code == status
    return capsys.readouterr().out


def _file(folder: Path, content: bytes, name: str = "message.hl7") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_a_line_has_the_six_keys_and_what_they_promise(tmp_path: Path, explain: Explain) -> None:
    file = _file(tmp_path, order(accession="ACC1"))
    (line,) = explain(file, "--config", EXAMPLE)
    assert list(line) == ["file", "envelope", "resources", "unmapped", "findings", "deliveries"]
    assert line["file"] == str(file)
    envelope = line["envelope"]
    assert (envelope["channel"], envelope["facility"]) == ("baishi-his", "baishi")
    assert (envelope["message_type"], envelope["control_id"]) == ("ORM^O01", "M1")
    assert (envelope["acknowledgment"], envelope["lanes"]) == ("AA", ["baishi|BS0001"])
    types = [resource["resourceType"] for resource in line["resources"]]
    assert {"Patient", "ServiceRequest"} <= set(types)
    assert line["deliveries"] == [
        {"centre": "county-imaging", "route": "imaging-orders-to-the-imaging-centre", "control_id": "M1"}
    ]


def test_it_says_the_resources_that_the_hub_would_record(tmp_path: Path, explain: Explain) -> None:
    (line,) = explain(_file(tmp_path, register(card=card(1))), "--config", EXAMPLE, "--channel", "baishi-his")
    (patient,) = [resource for resource in line["resources"] if resource["resourceType"] == "Patient"]
    assert patient["name"][0]["family"] == "石"


def test_decimals_keep_their_digits(tmp_path: Path, explain: Explain) -> None:
    (line,) = explain(_file(tmp_path, result(value="5.10")), "--config", EXAMPLE)
    (observation,) = [resource for resource in line["resources"] if resource["resourceType"] == "Observation"]
    assert observation["valueQuantity"]["value"] == "5.10"


def test_a_file_with_several_messages_and_a_folder_make_a_line_for_each(tmp_path: Path, explain: Explain) -> None:
    _file(tmp_path, register(control_id="R1") + register("BS2", control_id="R2"), "a.hl7")
    _file(tmp_path, result().replace(b"\r", b"\n"), "b.hl7")
    lines = explain(tmp_path, "--config", EXAMPLE)
    assert [(Path(line["file"]).name, line["envelope"]["control_id"]) for line in lines] == [
        ("a.hl7", "R1"),
        ("a.hl7", "R2"),
        ("b.hl7", "U1"),
    ]


def test_it_needs_no_configuration(tmp_path: Path, explain: Explain) -> None:
    (line,) = explain(_file(tmp_path, register().decode("gb18030").encode()))
    assert line["resources"]
    assert line["deliveries"] == []


NOT_HL7 = {
    "empty": b"",
    "text": b"hello, world\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8,
    "DICOM": bytes(128) + b"DICM" + bytes(200),
    "JSON": b'{"resourceType": "Patient"}',
    "only a header name": b"MSH",
    "a header without fields": b"MSH|^~\\&\r",
    "a header of zero bytes": b"MSH" + bytes(50),
    "broken UTF-8": b"MSH|^~\\&|\xff\xfe|\x80\r",
}


@pytest.mark.parametrize("content", NOT_HL7.values(), ids=NOT_HL7)
def test_what_is_no_message_is_a_finding(content: bytes, tmp_path: Path, explain: Explain) -> None:
    (line,) = explain(_file(tmp_path, content, "some.bin"))
    assert list(line) == ["file", "envelope", "resources", "unmapped", "findings", "deliveries"]
    assert [finding for finding in line["findings"] if finding["severity"] == "error"]
    assert (line["resources"], line["deliveries"]) == ([], [])


@pytest.mark.parametrize("content", NOT_HL7.values(), ids=NOT_HL7)
def test_what_is_no_message_is_shown_to_people_too(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "error" in _told(capsys, _file(tmp_path, content, "some.bin"))


def test_a_file_name_in_another_charset_is_told(tmp_path: Path, explain: Explain) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/" + "检验.hl7".encode("gb18030"))
    Path(name).write_bytes(register())
    (line,) = explain(tmp_path)
    assert line["file"].endswith(".hl7")


def test_people_see_each_element_with_its_rule_its_field_and_its_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    told = _told(capsys, _file(tmp_path, register()), "--config", EXAMPLE)
    assert "name[0].family = 石  ← pid-5 ← PID-5[1].1 [" in told
    for step in ("bytes arrive", "persisted", "acknowledged", "mapped", "routed", "delivered"):
        assert step in told


def test_a_channel_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _file(tmp_path, register())
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["explain", str(file), "--config", str(EXAMPLE), "--channel", "nobody"])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert "baishi-his" in told.out + told.err


def test_nothing_is_stored_and_nothing_is_dialled(
    tmp_path: Path, explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def refused(*_: Any) -> None:
        raise AssertionError("explain opened a socket")

    file = _file(tmp_path, register())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refused)
    assert explain(file)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]


def test_of_several_messages_what_was_found_is_told_first_and_by_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = card(1)[:-1] + ("1" if card(1)[-1] != "1" else "2")
    for number in range(3):
        _file(tmp_path, register(f"BS{number}", card=bad), f"{number}.hl7")
    _file(tmp_path, register().replace(b"ADT^A04", b"ZZZ^Z01"), "other.hl7")
    lines = _told(capsys, tmp_path, "--config", EXAMPLE).splitlines()
    assert lines[0] == "4 messages: 3 would be recorded, 1 held"
    causes = [line.strip() for line in lines[lines.index("findings, by cause:") + 1 :]]
    assert causes[0] == "1  error: no-mapping MSH-9  (1 message)"
    assert causes[1] == "3  warning: id-card-check-digit PID-3.1 rule pid-3  (3 messages)"
    alone = _told(capsys, tmp_path / "0.hl7", "--config", EXAMPLE)
    assert "by cause" not in alone


def test_an_order_of_unknown_kind_is_told_before_anything_goes_live(tmp_path: Path, explain: Explain) -> None:
    (tmp_path / "unknown.hl7").write_bytes(order(code="XP-1").replace(b"||||||DX", b"||||||"))
    (tmp_path / "known.hl7").write_bytes(order().replace(b"||||||DX", b"||||||"))
    arguments = "--config", EXAMPLE, "--channel", "baishi-his"
    found = {
        Path(line["file"]).name: [finding["code"] for finding in line["findings"]]
        for line in explain(*arguments, tmp_path)
    }
    assert found == {"unknown.hl7": ["order-kind-unknown"], "known.hl7": []}
