"""Is every file of a watched folder taken once, whole and in order, whatever lies in the folder?"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.folder import receiver as watching
from adapters.folder.receiver import FolderReceiver
from adapters.folder.shelf import Candidate, Shelf
from engine.codecs.mllp import frame

AT = datetime(2026, 11, 21, 17, 0, tzinfo=UTC)  # the 22nd in China
LIMIT_BYTES = 4096


def message(number: int) -> bytes:
    return f"MSH|^~\\&|HIS|LS|HUB|QX|2026||ADT^A04|M{number}|P|2.5\rPID|1||{number}\r".encode()


def answer(code: str, control_id: str) -> bytes:
    return f"MSH|^~\\&|HUB|QX|HIS|LS|2026||ACK|9|P|2.5\rMSA|{code}|{control_id}\r".encode()


@dataclass
class FakeIntake:
    """Keeps what comes; refuses what has no MSH; `down` persists nothing."""

    taken: list[tuple[str, bytes]] = field(default_factory=list)
    down: bool = False
    not_kept: int = 0

    def submit(self, channel: str, peer: str, payload: bytes, on_done: Callable[[bytes | None], None]) -> None:
        if self.down:
            self.not_kept += 1
            on_done(None)
            return
        self.taken.append((peer, payload))
        found = payload.startswith(b"MSH")
        on_done(answer("AA", payload.split(b"|")[9].decode()) if found else answer("AR", ""))

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.taken]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def intake() -> FakeIntake:
    return FakeIntake()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_SECS", 0.01)
    monkeypatch.setattr(watching, "_FIRST_PAUSE_SECS", 0.01)


@pytest.fixture
async def watched(folder: Path, intake: FakeIntake, hurried: None) -> AsyncIterator[FolderReceiver]:
    receiver = watching_over(folder, intake)
    await until(lambda: (folder / "answers").is_dir())
    yield receiver
    await receiver.close()


def watching_over(folder: Path, intake: FakeIntake) -> FolderReceiver:
    receiver = FolderReceiver("liushu", Shelf(folder, "*.hl7", 0.02, LIMIT_BYTES, lambda: AT), intake)
    receiver.start()
    return receiver


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def moved(folder: Path, name: str, where: str = "done/2026-11-22") -> Callable[[], bool]:
    return lambda: (folder / where / name).exists() and not (folder / name).exists()


async def test_a_file_is_taken_answered_and_moved_to_its_day(
    folder: Path, intake: FakeIntake, watched: FolderReceiver
) -> None:
    (folder / "A1.HL7").write_bytes(message(1))
    await until(moved(folder, "A1.HL7"))
    assert intake.taken == [("file A1.HL7", message(1))]
    assert (folder / "answers" / "A1.HL7.ack").read_bytes() == answer("AA", "M1")
    assert (folder / "done" / "2026-11-22" / "A1.HL7").read_bytes() == message(1)


FILES = {
    "one after another, as an editor left them": (message(1) + message(2)).replace(b"\r", b"\n"),
    "one after another with blank lines": message(1) + b"\r\n\r\n" + message(2),
    "framed as on a line": frame(message(1)) + frame(message(2)),
}


@pytest.mark.parametrize("kind", FILES)
async def test_several_messages_of_a_file_keep_their_order(
    folder: Path, intake: FakeIntake, watched: FolderReceiver, kind: str
) -> None:
    (folder / "many.hl7").write_bytes(FILES[kind])
    await until(moved(folder, "many.hl7"))
    assert [payload.split(b"|")[9] for payload in intake.payloads] == [b"M1", b"M2"]
    assert (folder / "answers" / "many.hl7.ack").read_bytes() == answer("AA", "M1") + answer("AA", "M2")


async def test_a_batch_and_an_xml_message_are_one_payload(
    folder: Path, intake: FakeIntake, watched: FolderReceiver
) -> None:
    batch = b"BHS|^~\\&|HIS\r" + message(1) + message(2) + b"BTS|2\r"
    xml = b'<?xml version="1.0"?><ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH/></ADT_A01>'
    for name, content in (("batch.hl7", batch), ("message.hl7", xml)):
        (folder / name).write_bytes(content)
    await until(lambda: len(intake.taken) == 2)
    assert sorted(intake.payloads) == sorted([batch, xml])


async def test_nothing_else_in_the_folder_is_touched(
    folder: Path, intake: FakeIntake, watched: FolderReceiver, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.hl7"
    secret.write_bytes(message(9))
    (folder / "link.hl7").symlink_to(secret)
    (folder / "folder.hl7").mkdir()
    os.mkfifo(folder / "pipe.hl7")
    (folder / ".hidden.hl7").write_bytes(message(9))
    (folder / "notes.txt").write_bytes(message(9))
    (folder / "last.hl7").write_bytes(message(1))
    await until(moved(folder, "last.hl7"))
    assert intake.payloads == [message(1)]
    assert secret.exists()


@pytest.mark.parametrize(
    "content", [b"", b"PID|1||2\r", b"\x00" * 100, b"\x0bMSH|^~\\&|torn", "病历".encode("gb18030")]
)
async def test_a_file_without_a_message_is_kept_in_the_journal_and_rejected(
    folder: Path, intake: FakeIntake, watched: FolderReceiver, content: bytes
) -> None:
    (folder / "odd.hl7").write_bytes(content)
    await until(moved(folder, "odd.hl7", "rejected"))
    assert intake.payloads == [content]
    assert (folder / "rejected" / "odd.hl7.reason.txt").read_text(encoding="utf-8") == (
        "it holds no HL7 v2 message that can be taken\n"
    )


async def test_a_file_beyond_the_limit_is_rejected_unread(
    folder: Path, intake: FakeIntake, watched: FolderReceiver
) -> None:
    (folder / "huge.hl7").write_bytes(message(1) + b"Z" * LIMIT_BYTES)
    await until(moved(folder, "huge.hl7", "rejected"))
    assert intake.taken == []


async def test_a_file_waits_while_nothing_can_be_persisted(
    folder: Path, intake: FakeIntake, watched: FolderReceiver
) -> None:
    intake.down = True
    (folder / "A1.hl7").write_bytes(message(1))
    await until(lambda: intake.not_kept >= 2)
    assert (folder / "A1.hl7").exists()
    intake.down = False
    await until(moved(folder, "A1.hl7"))
    assert intake.payloads == [message(1)]


async def test_a_file_written_over_while_it_is_taken_is_taken_too(
    folder: Path, intake: FakeIntake, watched: FolderReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_before_another_came(content: bytes) -> list[bytes]:
        if content == message(1):
            (folder / "A1.hl7").write_bytes(message(1000))
        return [content]

    monkeypatch.setattr(watching, "payloads", read_before_another_came)
    (folder / "A1.hl7").write_bytes(message(1))
    await until(moved(folder, "A1.hl7"))
    assert intake.payloads == [message(1), message(1000)]
    assert (folder / "done" / "2026-11-22" / "A1.hl7").read_bytes() == message(1000)


async def test_a_file_that_is_taken_away_before_it_is_read_stops_nothing(
    folder: Path,
    intake: FakeIntake,
    watched: FolderReceiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ready = Shelf.ready

    def gone_before_it_is_read(shelf: Shelf, now: float) -> list[Candidate]:
        found = ready(shelf, now)
        for candidate in found:
            if candidate.path.name == "A1.hl7":
                candidate.path.unlink()
        return found

    monkeypatch.setattr(Shelf, "ready", gone_before_it_is_read)
    (folder / "A1.hl7").write_bytes(message(1))
    await until(lambda: not (folder / "A1.hl7").exists())
    (folder / "A2.hl7").write_bytes(message(2))
    await until(moved(folder, "A2.hl7"))
    assert intake.payloads == [message(2)]
    assert "the folder cannot be used" not in caplog.text


async def test_a_file_that_breaks_something_costs_the_others_nothing(
    folder: Path, intake: FakeIntake, watched: FolderReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(content: bytes) -> list[bytes]:
        if b"BREAK" in content:
            raise ZeroDivisionError
        return [content]

    monkeypatch.setattr(watching, "payloads", broken)
    (folder / "A1.hl7").write_bytes(message(1) + b"ZZZ|BREAK\r")
    await until(moved(folder, "A1.hl7", "rejected"))
    (folder / "A2.hl7").write_bytes(message(2))
    await until(moved(folder, "A2.hl7"))
    assert intake.payloads == [message(2)]


async def test_a_second_file_of_a_name_does_not_replace_the_first(
    folder: Path, intake: FakeIntake, watched: FolderReceiver
) -> None:
    for number in (1, 2):
        (folder / "same.hl7").write_bytes(message(number))
        await until(lambda: not (folder / "same.hl7").exists())
    done = folder / "done" / "2026-11-22"
    assert (done / "same.hl7").read_bytes() == message(1)
    assert (done / "same.2.hl7").read_bytes() == message(2)


async def test_a_folder_that_goes_away_is_found_again(
    folder: Path, intake: FakeIntake, hurried: None, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder is a link, so it goes and comes in one step each: nobody sees it half away and makes it anew."""
    there, file, back = (folder.with_name(name) for name in ("there", "file", "back"))
    there.mkdir()
    file.write_text("a file stands in its place", encoding="utf-8")
    back.symlink_to(there)
    folder.symlink_to(there)
    receiver = watching_over(folder, intake)
    try:
        await until(lambda: (there / "answers").is_dir())
        file.replace(folder)
        await until(lambda: "the folder cannot be used" in caplog.text)
        back.replace(folder)
        (folder / "A1.hl7").write_bytes(message(1))
        await until(moved(folder, "A1.hl7"))
    finally:
        await receiver.close()
    assert caplog.text.count("the folder cannot be used") == 1
