"""What a system answered is written down, also when the sending ends while that is being done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.config import DicomEndpoint
from engine.errors import StorageError
from engine.store.imaging_outbox import Answer, Unsent
from engine.store.imaging_query import Content
from pacs_gateway.scu.peer import PLAIN, Peer
from pacs_gateway.sending import study
from pacs_gateway.sending.encoding import Encoder, Whole
from pacs_gateway.sending.line import Line
from pacs_gateway.sending.study import Remember, StudySending

ENDPOINT = DicomEndpoint(
    type="dicom", name="pacs", facility="county", host="127.0.0.1", port=104, ae_title="PACS", answer_timeout_secs=1.0
)


class Taking:
    """A system that takes whatever it is offered."""

    def takes(self, sop_class: str, transfer_syntax: str) -> bool:
        return True

    async def store(self, *_: Any) -> int:
        return 0


class Book:
    """Where answers are written down, the first time only once they may be."""

    def __init__(self) -> None:
        self.answers: set[str] = set()
        self.is_written = asyncio.Event()
        self.may_be_written = asyncio.Event()

    async def remember(self, answers: Sequence[Answer]) -> None:
        self.is_written.set()
        await self.may_be_written.wait()
        self.answers |= {answer.sop_uid for answer in answers}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def opened(*_: object) -> AsyncIterator[Taking]:
        yield Taking()

    monkeypatch.setattr(study, "opened", opened)


def sending(remember: Remember, may_go_on: Callable[[], bool] = lambda: True) -> StudySending:
    return StudySending(
        ENDPOINT,
        Peer.at(ENDPOINT, None),
        Line(None),
        Encoder(lambda _: Whole(b"")),
        urgent=False,
        remember=remember,
        may_go_on=may_go_on,
    )


def unsent(*uids: str) -> list[Unsent]:
    return [Unsent(b"", Content(uid, "1.1", PLAIN[0], "", "{}", 1)) for uid in uids]


@pytest.mark.parametrize("at_once", [1, 2, 3], ids=["after each", "in the middle", "at the end"])
async def test_no_answer_is_lost_to_a_cancellation(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "REMEMBERED_AT_ONCE", at_once)
    monkeypatch.setattr(study, "_REMEMBERED_AFTER_SECS", float("inf"))
    book = Book()
    attempt = asyncio.create_task(sending(book.remember).send(unsent("1", "2")))
    await book.is_written.wait()
    attempt.cancel()
    book.may_be_written.set()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert book.answers == ({"1"} if at_once == 1 else {"1", "2"})


async def test_answers_that_could_not_be_written_down_are_tried_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "REMEMBERED_AT_ONCE", 1)
    tried: list[list[str]] = []

    async def remember(answers: Sequence[Answer]) -> None:
        tried.append([answer.sop_uid for answer in answers])
        if len(tried) == 1:
            raise StorageError("not now")

    with pytest.raises(StorageError):
        await sending(remember).send(unsent("1", "2"))
    assert tried == [["1"], ["1"]]
