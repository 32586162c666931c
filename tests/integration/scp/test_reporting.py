"""A service may tell a requestor of something later, over the association that still stands, and never in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from engine.errors import DeliveryError
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.callers import Caller
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.normalized import Normalized, Refusal, Values
from pacs_gateway.scp.service import Answers, Line, Operation, Request, Services
from pacs_gateway.upper_layer.commands import CommandField, CommandSet, Element
from pacs_gateway.upper_layer.events import ReleaseAgreed
from tests.integration.scp.conftest import channel
from tests.integration.scp.peer import PATIENCE_SECS, Peer

COMMITMENT, INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
CONTEXTS = {1: ("1.2.840.10008.1.1", IMPLICIT), 7: (COMMITMENT, IMPLICIT)}
TRANSACTION = bytes.fromhex("0800 9511 0600 0000") + b"1.2.3\0"
"""Transaction UID (0008,1195) in implicit VR."""
REPORT: dict[Element, int | str] = {
    Element.AFFECTED_SOP_CLASS_UID: COMMITMENT,
    Element.AFFECTED_SOP_INSTANCE_UID: INSTANCE,
    Element.EVENT_TYPE_ID: 1,
}


class Asked:
    """Takes N-ACTION; hands out the line to whoever asked. `open` is cleared to let nothing be answered."""

    request = CommandField.N_ACTION_RQ

    def __init__(self) -> None:
        self.lines: asyncio.Queue[Line] = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.refusal: Refusal | None = None

    def transfer_syntaxes(self, sop_class: str, caller: Caller) -> Sequence[str]:
        return (IMPLICIT,) if sop_class == COMMITMENT else ()

    def begin(self, request: Request) -> Operation:
        return Normalized("imaging", request, self._take)

    async def _take(self, request: Request, sent: Any, answers: Answers) -> Values:
        self.lines.put_nowait(answers.line())
        await self.open.wait()
        if self.refusal is not None:
            raise self.refusal
        return {}

    async def line(self) -> Line:
        async with asyncio.timeout(PATIENCE_SECS):
            return await self.lines.get()


@pytest.fixture
async def asked() -> Asked:
    return Asked()


@pytest.fixture
async def acceptor(asked: Asked) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor(channel(), Services((Echo(), asked)))
    await acceptor.start()
    yield acceptor
    await acceptor.close(0.0)


Associated = Callable[[], Awaitable[Peer]]


@pytest.fixture
async def associated(acceptor: Acceptor) -> AsyncIterator[Associated]:
    async with AsyncExitStack() as stack:

        async def associated() -> Peer:
            peer = await Peer.connect(acceptor.port)
            stack.callback(peer.vanish)
            await peer.associate(contexts=CONTEXTS)
            return peer

        yield associated


def action(message_id: int = 1) -> CommandSet:
    return CommandSet.of(
        CommandField.N_ACTION_RQ,
        {
            Element.REQUESTED_SOP_CLASS_UID: COMMITMENT,
            Element.REQUESTED_SOP_INSTANCE_UID: INSTANCE,
            Element.MESSAGE_ID: message_id,
            Element.ACTION_TYPE_ID: 1,
        },
        has_data_set=True,
    )


def heard(report: CommandSet, status: int = 0, *, has_data_set: bool = False) -> CommandSet:
    number = report.number(Element.MESSAGE_ID)
    return CommandSet.of(
        CommandField.N_EVENT_REPORT_RSP,
        {Element.MESSAGE_ID_BEING_RESPONDED_TO: number, Element.STATUS: status},
        has_data_set=has_data_set,
    )


async def ask(peer: Peer, asked: Asked, message_id: int = 1) -> Line:
    peer.ask(7, action(message_id), TRANSACTION)
    line = await asked.line()
    answer, _ = await peer.answer()
    assert (answer.field, answer.number(Element.STATUS)) == (CommandField.N_ACTION_RSP, 0)
    return line


async def test_a_report_comes_under_the_context_of_the_request_and_its_answer_goes_back(
    associated: Associated, asked: Asked
) -> None:
    peer = await associated()
    line = await ask(peer, asked)
    told = asyncio.create_task(line.report(REPORT, TRANSACTION))
    report, data = await peer.answer()
    assert (report.field, report.number(Element.EVENT_TYPE_ID)) == (CommandField.N_EVENT_REPORT_RQ, 1)
    assert data == TRANSACTION
    peer.ask(7, heard(report, 0x0110))
    assert await told == 0x0110


async def test_a_report_waits_for_the_response_that_is_being_made(associated: Associated, asked: Asked) -> None:
    peer = await associated()
    asked.open.clear()
    peer.ask(7, action(), TRANSACTION)
    told = asyncio.create_task((await asked.line()).report(REPORT, TRANSACTION))
    await asyncio.sleep(0)
    asked.open.set()
    assert (await peer.answer())[0].field == CommandField.N_ACTION_RSP
    report, _ = await peer.answer()
    peer.ask(7, heard(report))
    assert await told == 0


async def test_a_peer_may_go_on_asking_before_it_answers_a_report(associated: Associated, asked: Asked) -> None:
    peer = await associated()
    line = await ask(peer, asked)
    told = [asyncio.create_task(line.report(REPORT, TRANSACTION)) for _ in range(2)]
    reports = [(await peer.answer())[0] for _ in told]
    assert await peer.echo() == 0
    await ask(peer, asked, 2)
    for report, status in zip(reversed(reports), (0x0110, 0), strict=True):  # in any order
        peer.ask(7, heard(report, status))
    assert await asyncio.gather(*told) == [0, 0x0110]


async def test_an_event_reply_is_passed_over(associated: Associated, asked: Asked) -> None:
    peer = await associated()
    told = asyncio.create_task((await ask(peer, asked)).report(REPORT, TRANSACTION))
    report, _ = await peer.answer()
    peer.ask(7, heard(report, has_data_set=True), TRANSACTION)
    assert await told == 0
    assert await peer.echo() == 0


async def test_a_peer_that_leaves_instead_of_answering_is_told_of(associated: Associated, asked: Asked) -> None:
    peer = await associated()
    line = await ask(peer, asked)
    told = asyncio.create_task(line.report(REPORT, TRANSACTION))
    await peer.answer()
    peer.say(peer.association.release_request())
    assert await peer.event() == ReleaseAgreed()
    with pytest.raises(DeliveryError):
        await told
    with pytest.raises(DeliveryError):
        await line.report(REPORT, TRANSACTION)


async def test_a_peer_that_vanishes_is_told_of(associated: Associated, asked: Asked) -> None:
    peer = await associated()
    told = asyncio.create_task((await ask(peer, asked)).report(REPORT, TRANSACTION))
    await peer.answer()
    peer.vanish()
    with pytest.raises(DeliveryError):
        await told


async def test_an_answer_to_a_report_that_nobody_made_ends_the_association(
    associated: Associated, asked: Asked
) -> None:
    peer = await associated()
    peer.ask(7, heard(CommandSet.of(CommandField.N_EVENT_REPORT_RQ, {Element.MESSAGE_ID: 9})))
    await peer.aborted()


async def test_what_is_not_taken_is_refused_with_the_numbers_of_its_request(
    associated: Associated, asked: Asked
) -> None:
    peer = await associated()
    asked.refusal = Refusal("it has ended", "step-ended", {Element.ERROR_ID: 0xA710})
    peer.ask(7, action(5), TRANSACTION)
    answer, _ = await peer.answer()
    assert answer.encode() == b"".join(
        (
            bytes.fromhex("0000 0000 0400 0000") + (138).to_bytes(4, "little"),  # command group length
            bytes.fromhex("0000 0200 1400 0000") + COMMITMENT.encode(),  # affected SOP class, as it was requested
            bytes.fromhex("0000 0001 0200 0000 3081"),  # N-ACTION-RSP
            bytes.fromhex("0000 2001 0200 0000 0500"),  # to message 5
            bytes.fromhex("0000 0008 0200 0000 0101"),  # no data set
            bytes.fromhex("0000 0009 0200 0000 1001"),  # status 0110
            bytes.fromhex("0000 0209 0c00 0000") + b"it has ended",  # error comment
            bytes.fromhex("0000 0309 0200 0000 10a7"),  # error id A710
            bytes.fromhex("0000 0010 1600 0000") + INSTANCE.encode(),  # affected SOP instance
            bytes.fromhex("0000 0810 0200 0000 0100"),  # action type 1
        )
    )


@pytest.mark.parametrize("cut", [TRANSACTION[:-3], TRANSACTION[:5], b""])
async def test_a_data_set_that_is_cut_off_is_refused(cut: bytes, associated: Associated, asked: Asked) -> None:
    peer = await associated()
    peer.ask(7, action(), cut)
    assert await peer.status() == 0x0110
    assert asked.lines.empty()
