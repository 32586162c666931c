"""A sender that answers what cannot be read is asked once, as one that does not answer is, and its study is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.store.announcements import Announced
from engine.store.wholeness import State
from pacs_gateway.scu.peer import Peer, Response
from pacs_gateway.status import PENDING, SUCCESS
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.whole import asking
from pacs_gateway.whole.asking import QueryableSender
from pacs_gateway.whole.watching import Watcher
from tests.integration.whole.conftest import CHANNEL, SERIES, Scene


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Explicit VR Little Endian, of whatever length."""
    group, number = (tag >> 16).to_bytes(2, "little"), (tag & 0xFFFF).to_bytes(2, "little")
    return group + number + vr.encode() + len(value).to_bytes(2, "little") + value


UID = element(0x0020000E, "UI", SERIES.encode() + b"\0")
COUNT = element(0x00201209, "IS", b"2 ")
ODD = {
    "nothing": b"",
    "a number of three bytes": UID + element(0x00201209, "US", b"abc"),
    "a number that is none": UID + element(0x00201209, "IS", b"many"),
    "an element that breaks off": UID + COUNT[:-3],
    "a length beyond the end": UID + COUNT[:6] + b"\xff\xff2 ",
    "a VR that there is none": UID + element(0x00201209, "??", b"2 "),
    "no UID": element(0x0020000E, "UI", b"") + COUNT,
    "a UID of three bytes of a number": element(0x0020000E, "US", b"abc") + COUNT,
    "a UID that is half a float": element(0x0020000E, "FD", b"abcd") + COUNT,
    "a UID that is half a tag": element(0x0020000E, "AT", b"ab") + COUNT,
    "a UID with a zero within": element(0x0020000E, "UI", b"1.2\0.3") + COUNT,
    "a UID of a thousand figures": element(0x0020000E, "UI", b"1" * 1000) + COUNT,
    "two UIDs": element(0x0020000E, "UI", b"1.2\\1.3 ") + COUNT,
    "Chinese for a UID": element(0x00080005, "CS", b"ISO_IR 192") + element(0x0020000E, "LO", "系列".encode()) + COUNT,
    "noise": bytes(range(256)),
}


class Odd:
    """An association over which every question is answered with the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self.associations = 0

    @asynccontextmanager
    async def opened(self, *_: object) -> AsyncIterator[Odd]:
        self.associations += 1
        yield self

    def taken_as(self, sop_class: str) -> list[str]:
        return [EXPLICIT_VR_LITTLE_ENDIAN]

    async def ask_for_many(self, sop_class: str, command: CommandSet, data_set: bytes) -> AsyncIterator[Response]:
        for status in (PENDING, SUCCESS):
            told = CommandSet.of(CommandField.C_FIND_RSP, {Element.STATUS: status})
            yield Response(told, self.answer if status == PENDING else b"", EXPLICIT_VR_LITTLE_ENDIAN)


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
async def test_odd_answers_are_no_answers(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Odd()
    monkeypatch.setattr(asking, "opened", odd.opened)
    sender = QueryableSender(Peer("CT", "127.0.0.1", 104, 60.0), "HUTONG")
    watcher = Watcher(scene.pool, CHANNEL, {("CT", "baishi"): sender}, lambda: scene.now)
    for number, (what, odd.answer) in enumerate(ODD.items(), 1):
        await scene.store(number)
        scene.after(360)
        for _ in range(2):
            await watcher.look()
            await watcher.settled()
        assert odd.associations == number, what
        assert await scene.judged_last() is not State.RECEIVING, what


async def test_what_nobody_foresaw_holds_no_study_up_and_quotes_nobody(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    patient = "石秀英"

    class Unforeseen:
        times = 0

        async def holds(self, study_uid: str) -> list[Announced]:
            self.times += 1
            raise RuntimeError(patient)

    sender = Unforeseen()
    watcher = Watcher(scene.pool, CHANNEL, {("CT", "baishi"): sender}, lambda: scene.now)
    await scene.store(1)
    scene.after(360)
    for _ in range(2):
        await watcher.look()
        await watcher.settled()
    assert (sender.times, await scene.judged_last()) == (1, State.WHOLE)
    assert "RuntimeError" in caplog.text
    assert patient not in caplog.text
