"""Whatever is wrong, a command says it in a line with what to do next: a traceback never reaches a user."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

import engine.cli.main
from engine.cli.assembly.listening import ReservedPort
from engine.cli.dicom_sockets import DicomSockets
from engine.cli.main import main
from engine.cli.supervisor import RUN_FILE, Supervisor
from engine.errors import ConfigurationError, HutongError

EXAMPLE = Path(__file__).parents[3] / "docker" / "example"


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that must fail with status 1 says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 1
    told = capsys.readouterr()
    return told.out + told.err


def test_a_data_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for data in (tmp_path / "file", tmp_path / "file" / "data"):
        text = said(capsys, "serve", "--config", str(EXAMPLE), "--data", str(data))
        assert "cannot be made" in text
        assert "Choose another --data" in text


def test_a_broken_configuration_names_the_command_that_tells_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "community.yaml").write_text("name: X\nnmae: Y\nfacilites: {}\n")
    assert "hutong check DIR" in said(capsys, "serve", "--config", str(tmp_path), "--data", str(tmp_path / "data"))


def test_a_folder_that_is_not_there_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert "✗ nowhere: expected a folder" in said(capsys, "check", "nowhere")


def test_a_file_that_may_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied", "message.hl7")

    (tmp_path / "message.hl7").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        assert "message.hl7: Permission denied" in said(capsys, "explain", str(tmp_path / "message.hl7"))


def test_ctrl_c_is_no_traceback_wherever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine.cli.main, "import_module", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(EXAMPLE)])
    assert ended.value.code == 130


@pytest.mark.parametrize("word", ["", " ", "x" * 401, "a\tb"])
def test_a_word_that_nobody_can_look_for(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected one id, number or UID" in said(capsys, "trace", word, "--data", "nowhere")


def test_a_hub_that_cannot_start_leaves_what_tells_of_the_running_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Supervisor) -> None:
        raise ConfigurationError("the database folder is in use")

    (tmp_path / RUN_FILE).write_text(json.dumps({"pid": 1}))
    monkeypatch.setattr(Supervisor, "_start", refuse)
    with pytest.raises(HutongError), Supervisor(EXAMPLE, tmp_path, (), None, DicomSockets((), 1)):
        pass
    assert (tmp_path / RUN_FILE).exists()


def test_a_port_that_another_hub_shares_out_is_taken_all_the_same() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(ConfigurationError, match=f"http: 127.0.0.1:{port} is taken by another program"),
            ReservedPort("127.0.0.1", port),
        ):
            pass


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    # 192.0.2.0/24 is for documentation (RFC 5737): no machine has it.
    with (
        pytest.raises(ConfigurationError, match="give its host: an address of this machine"),
        ReservedPort("192.0.2.1", 8080),
    ):
        pass


def test_an_error_nobody_foresaw_is_told_by_its_places_and_quotes_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "石秀英"

    def breaking(_: str) -> None:
        raise LookupError(name)

    monkeypatch.setattr(engine.cli.main, "import_module", breaking)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(EXAMPLE)])
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert "LookupError, which nobody foresaw" in told
    assert "in breaking" in told
    assert name not in told
