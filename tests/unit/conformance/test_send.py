"""`hutong send` shows every answer and fails when one is not positive."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

import pytest
import trustme
from pydicom import dcmread

from conformance.objects import chest_radiograph, twelve_lead_ecg
from conformance.simulators.mllp import framed, read_block
from engine.cli.main import main

if TYPE_CHECKING:
    from tests.unit.conformance.conftest import Counterpart

MESSAGE = "MSH|^~\\&|HIS|A|HUTONG|B|20260302||ADT^A04|{}|P|2.4|||||| GB 18030-2000\nPID|||1||周珅\n"


@contextmanager
def answering(answer: Callable[[str], str | None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """An MLLP server in a thread of its own: answers by control id, or closes the connection for None."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (payload := await read_block(reader)) is not None:
            text = answer(payload.split(b"|")[9].decode())
            if text is None:
                break
            if not text:
                continue
            writer.write(framed(text.encode("gb18030")))
            await writer.drain()
        writer.close()

    ports: Queue[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        server = await asyncio.start_server(converse, "127.0.0.1", 0, ssl=tls)
        over = asyncio.Event()
        ports.put((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), over))
        await over.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, loop, over = ports.get(timeout=60)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["send", *arguments])
    return int(ended.value.code or 0)


def written(folder: Path, *control_ids: str) -> str:
    path = folder / "messages.hl7"
    path.write_bytes("".join(MESSAGE.format(each) for each in control_ids).encode("gb18030"))
    return str(path)


def accept(control_id: str) -> str:
    return f"MSH|^~\\&|H|H|HIS|A|1||ACK|9|P|2.4\rMSA|AA|{control_id}\r"


def test_every_message_is_sent_and_its_acknowledgment_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(accept) as port:
        assert run(written(tmp_path, "C1", "C2"), "--to", f"mllp://127.0.0.1:{port}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:2]] == [["AA", "ADT^A04", "C1"], ["AA", "ADT^A04", "C2"]]
    assert lines[-1] == "2 accepted, 0 not"


def test_one_refusal_among_many_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse_second(control_id: str) -> str:
        if control_id != "C2":
            return accept(control_id)
        return "MSH|^~\\&|H|H|HIS|A|1||ACK|9|P|2.4\rMSA|AE|C2|字段缺失\rERR||PID^1^3|101^缺失|E\r"

    with answering(refuse_second) as port:
        assert run(written(tmp_path, "C1", "C2", "C3"), "--to", f"mllp://127.0.0.1:{port}") == 1
    out = capsys.readouterr().out
    assert "AE   ADT^A04 C2" in out
    assert "字段缺失" in out
    assert "2 accepted, 1 not" in out


def test_an_acknowledgment_of_another_message_counts_for_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda control_id: accept("OTHER")) as port:
        assert run(written(tmp_path, "C1"), "--to", f"mllp://127.0.0.1:{port}") == 1
    assert "answers another message" in capsys.readouterr().out


def test_after_a_closed_connection_the_next_message_gets_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(lambda control_id: None if control_id == "C1" else accept(control_id)) as port:
        assert run(written(tmp_path, "C1", "C2"), "--to", f"mllp://127.0.0.1:{port}") == 1
    assert "1 accepted, 1 not" in capsys.readouterr().out


def test_a_system_that_is_not_there_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    assert run(written(tmp_path, *"123456"), "--to", f"mllp://127.0.0.1:{free_port}") == 1
    assert "3 messages not sent" in capsys.readouterr().out


def test_a_file_without_a_message_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("nothing of the kind")
    with answering(accept) as port:
        assert run(str(notes), "--to", f"mllp://127.0.0.1:{port}") == 1
    assert "no HL7 v2 message in it" in capsys.readouterr().out


def test_what_else_lies_in_a_folder_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    written(tmp_path, "C1")
    with answering(accept) as port:
        assert run(str(tmp_path), "--to", f"mllp://127.0.0.1:{port}") == 0
    assert "1 accepted, 0 not" in capsys.readouterr().out


@pytest.mark.parametrize("to", ["mllp://127.0.0.1:1", "dicom://HUTONG@127.0.0.1:1"])
def test_a_folder_with_nothing_to_send_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str
) -> None:
    assert run(str(tmp_path), "--to", to) == 1
    assert "there is nothing to send" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["localhost:1", "http://a:1", "mllp://a", "mllp://a:b", "mllp://a:99999", "dicom://host:104", ""]
)
def test_an_address_that_is_none_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert run(written(tmp_path, "C1"), "--to", address) == 1
    assert "expected" in capsys.readouterr().err


def test_dicom_without_an_archive_says_what_was_not_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    assert run(str(twelve_lead_ecg()), "--to", f"dicom://HUTONG@127.0.0.1:{free_port}") == 1
    assert "1 files not sent" in capsys.readouterr().out


def test_dicom_files_are_sent_as_they_are_and_each_answer_is_shown(
    counterpart: Counterpart, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [twelve_lead_ecg(), chest_radiograph()]
    for number, source in enumerate(sources):
        (tmp_path / f"{number}.dcm").write_bytes(source.read_bytes())
    (tmp_path / "notes.txt").write_text("no image")
    assert run(str(tmp_path), "--to", f"dicom://HUTONG@127.0.0.1:{counterpart.port}", "--calling", "DR_BAISHI") == 1
    out = capsys.readouterr().out
    assert "2 accepted, 1 not" in out
    assert "not a DICOM file" in out
    assert [dataset.SOPInstanceUID for dataset in counterpart.stored] == [
        dcmread(source, stop_before_pixels=True).SOPInstanceUID for source in sources
    ]
    for source, content in zip(sources, counterpart.received, strict=True):
        assert source.read_bytes().endswith(content)


@pytest.mark.parametrize(("status", "code"), [(0xA700, 1), (0xB007, 0)])
def test_a_dicom_refusal_is_a_failure_and_a_warning_is_none(
    counterpart: Counterpart, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    counterpart.status = status
    assert run(str(twelve_lead_ecg()), "--to", f"dicom://HUTONG@127.0.0.1:{counterpart.port}") == code
    assert capsys.readouterr().out.startswith(f"{status:04X}")


ENHANCED = "MSH|^~\\&|HIS|A|HUTONG|B|20260302||ADT^A04|{}|P|2.4|||{}|||\rPID|||1||周珅\r"


@pytest.mark.parametrize(("code", "status"), [("CA", 0), ("CE", 1), ("CR", 1)])
def test_accept_acknowledgments_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, status: int
) -> None:
    path = tmp_path / "one.hl7"
    path.write_bytes(ENHANCED.format("C1", "AL|NE").encode())
    with answering(lambda _: f"MSH|^~\\&|H|H|HIS|A|1||ACK|9|P|2.4\rMSA|{code}|C1\r") as port:
        assert run(str(path), "--to", f"mllp://127.0.0.1:{port}") == status
    assert capsys.readouterr().out.startswith(f"{code}   ADT^A04 C1")


def test_a_message_that_asks_for_no_answer_may_go_without(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.hl7"
    path.write_bytes((ENHANCED.format("C1", "NE|NE") + ENHANCED.format("C2", "AL|NE")).encode())
    with answering(lambda control_id: "" if control_id == "C1" else accept("C2")) as port:
        assert run(str(path), "--to", f"mllp://127.0.0.1:{port}") == 0
    out = capsys.readouterr().out
    assert "asks for no answer (NE, NE)" in out
    assert "2 accepted, 0 not" in out


def test_silence_is_a_failure_where_success_was_to_be_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.hl7"
    path.write_bytes(ENHANCED.format("C1", "SU|NE").encode())
    with answering(lambda _: "") as port:
        assert run(str(path), "--to", f"mllp://127.0.0.1:{port}") == 1


def batch_file(folder: Path, *messages: str) -> str:
    path = folder / "batch.hl7"
    path.write_text(f"BHS|^~\\&|A|B|||||||B1\r{''.join(messages)}BTS|{len(messages)}\r", encoding="utf-8", newline="")
    return str(path)


def test_a_batch_goes_out_as_one_and_every_answer_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(_: str) -> str:
        return f"BHS|^~\\&|H\r{accept('C1')}{accept('C2').replace('AA', 'AE')}BTS|2\r"

    messages = [ENHANCED.format("C1", "|"), ENHANCED.format("C2", "|"), ENHANCED.format("C3", "NE|NE")]
    with answering(answer) as port:
        assert run(batch_file(tmp_path, *messages), "--to", f"mllp://127.0.0.1:{port}") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["AA", "ADT^A04", "C1"],
        ["AE", "ADT^A04", "C2"],
        ["--", "ADT^A04", "C3"],
    ]
    assert lines[-1] == "2 accepted, 1 not"


def test_a_batch_that_is_refused_whole_is_one_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = "MSH|^~\\&|H|H|||1||ACK|9|P|2.5.1\rMSA|AR|\rERR|||100|E||||the batch is not taken\r"
    with answering(lambda _: refusal) as port:
        assert run(batch_file(tmp_path, ENHANCED.format("C1", "|")), "--to", f"mllp://127.0.0.1:{port}") == 1
    out = capsys.readouterr().out
    assert out.startswith("AR   batch of 1")
    assert "the batch is not taken" in out


def test_a_message_in_xml_is_sent_and_its_answer_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "message.xml"
    path.write_text(
        "<ADT_A01 xmlns='urn:hl7-org:v2xml'><MSH><MSH.1>|</MSH.1><MSH.9><MSG.1>ADT</MSG.1><MSG.2>A04</MSG.2></MSH.9>"
        "<MSH.10>C1</MSH.10></MSH><!--|||||||||--></ADT_A01>",
        encoding="utf-8",
    )
    answer = "<ACK><MSH><MSH.10>9</MSH.10></MSH><MSA><MSA.1>AA</MSA.1><MSA.2>C1</MSA.2></MSA></ACK>"
    with answering(lambda _: answer) as port:
        assert run(str(path), "--to", f"mllp://127.0.0.1:{port}") == 0
    assert capsys.readouterr().out.startswith("AA   ADT^A04 C1")


def accepted(control_id: str) -> str:
    return f"MSH|^~\\&|HUTONG|B|HIS|A|20260302||ACK|1|P|2.4\rMSA|AA|{control_id}\r"


def test_a_channel_behind_tls_is_reached_with_the_certificates_it_asks_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = authority.issue_cert("his.example")
    ours.cert_chain_pems[0].write_to_path(tmp_path / "ours.pem")
    ours.private_key_pem.write_to_path(tmp_path / "ours.key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    message = written(tmp_path, "M1")
    papers = ["--ca", str(tmp_path / "ca.pem"), "--certificate", str(tmp_path / "ours.pem")]
    with answering(accepted, context) as port:
        assert run(message, "--to", f"mllps://127.0.0.1:{port}", *papers, "--key", str(tmp_path / "ours.key")) == 0
        assert run(message, "--to", f"mllps://127.0.0.1:{port}") == 1
        untrusted = capsys.readouterr().out
        assert "is not trusted" in untrusted
        assert "--ca names the file of who signed its certificate" in untrusted
        assert run(message, "--to", f"mllp://127.0.0.1:{port}") == 1
        assert "does it want TLS? then mllps://" in capsys.readouterr().out
        assert run(message, "--to", f"mllps://127.0.0.1:{port}", *papers) != 0
        assert "expected --certificate and --key together" in capsys.readouterr().err
        assert run(message, "--to", f"mllp://127.0.0.1:{port}", *papers) != 0
        assert "because a certificate is for TLS" in capsys.readouterr().err
