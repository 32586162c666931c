"""Nobody waits for ever, nobody holds more than its share, and a slow disk slows down whoever sends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from engine.store.worklist import Step
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.limits import Limits
from pacs_gateway.upper_layer.association import LARGE_BUFFER
from pacs_gateway.upper_layer.commands import Element
from pacs_gateway.upper_layer.events import AssociationAccepted, AssociationRejected, ReleaseAgreed
from pacs_gateway.upper_layer.items import PresentationContextRQ, UserInformation
from pacs_gateway.upper_layer.pdus import LOCAL_LIMIT_EXCEEDED, AAssociateRQ
from tests.integration.gateway.test_worklists import step
from tests.integration.scp.conftest import Call, Reception, Start
from tests.integration.scp.peer import PATIENCE_SECS, Peer, cancel_request, echo_request, find_request, store_request

OBJECT = bytes(range(256)) * 2000
NEVER_SECS = 3600.0
SOON_SECS = 0.2
NO_REQUEST = Limits(idle_timeout_secs=NEVER_SECS, stall_timeout_secs=NEVER_SECS, artim_secs=SOON_SECS)
PENDING, CANCELLED = 0xFF00, 0xFE00


def time_is_over(acceptor: Acceptor) -> None:
    """What the sweep does after an hour in which nothing was said."""
    for connection in list(acceptor._connections):
        connection.check_time(asyncio.get_running_loop().time() + NEVER_SECS)


async def test_a_peer_that_never_asks_is_closed(start: Start, call: Call) -> None:
    peer = await call(await start(NO_REQUEST))
    assert await peer.event() is None


async def test_a_peer_that_asks_byte_by_byte_is_closed_when_it_stops(start: Start, call: Call) -> None:
    peer = await call(await start(NO_REQUEST))
    peer.say(b"\x01\x00\x00")
    assert await peer.event() is None


async def test_an_idle_association_is_aborted(start: Start, call: Call) -> None:
    limits = Limits(idle_timeout_secs=SOON_SECS, stall_timeout_secs=NEVER_SECS, artim_secs=NEVER_SECS)
    peer = await call(await start(limits))
    await peer.associate()
    await peer.aborted()


async def test_an_object_that_stalls_is_aborted_and_abandoned(
    start: Start, call: Call, reception: Reception, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits(idle_timeout_secs=NEVER_SECS, stall_timeout_secs=SOON_SECS, artim_secs=NEVER_SECS)
    peer = await call(await start(limits))
    await peer.associate()
    whole = b"".join(peer.association.message(3, store_request(), OBJECT))
    peer.say(whole[: len(whole) // 2])
    await peer.aborted()
    assert reception.arrived[0].abandoned
    assert "fell silent within a request" in caplog.text


async def test_a_peer_that_does_not_close_after_its_release_is_closed(acceptor: Acceptor, call: Call) -> None:
    peer = await call(acceptor)
    await peer.associate()
    await peer.release()
    time_is_over(acceptor)
    assert await peer.event() is None


async def test_what_follows_a_rejection_is_not_read_as_a_request(acceptor: Acceptor, call: Call) -> None:
    peer = await call(acceptor)
    proposed = (PresentationContextRQ(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),)
    request = AAssociateRQ("HUTONG", "STRANGER", proposed, UserInformation(0, "1.2.3"))
    peer.say(peer.association.request(request) * 2)
    assert isinstance(await peer.event(), AssociationRejected)
    time_is_over(acceptor)
    assert await peer.event() is None


async def test_waiting_for_the_disk_is_not_idle(acceptor: Acceptor, call: Call, reception: Reception) -> None:
    peer = await call(acceptor)
    await peer.associate()
    reception.open.clear()
    peer.ask(3, store_request(), OBJECT)
    await reception.until(lambda reception: sum(len(one.data) for one in reception.arrived) == len(OBJECT))
    time_is_over(acceptor)
    reception.open.set()
    assert await peer.status() == 0


async def test_requests_sent_ahead_wait_and_are_answered_in_order(
    acceptor: Acceptor, call: Call, reception: Reception
) -> None:
    peer = await call(acceptor)
    await peer.associate()
    reception.open.clear()
    for number in range(10):
        peer.ask(3, store_request(f"1.2.{number}", number), OBJECT)
    peer.ask(1, echo_request(99))
    peer.say(peer.association.release_request())
    await reception.until(lambda reception: len(reception.arrived) == 1)
    reception.open.set()
    answered = [(await peer.answer())[0].number(Element.MESSAGE_ID_BEING_RESPONDED_TO) for _ in range(11)]
    assert answered == [*range(10), 99]
    assert await peer.event() == ReleaseAgreed()
    assert list(reception.kept) == [f"1.2.{number}" for number in range(10)]
    assert set(reception.kept.values()) == {OBJECT}


async def said_until_it_blocks(peer: Peer) -> int:
    """How many bytes of many objects went out before nobody took more."""
    sent = 0
    for number in range(200):
        for pdu in peer.association.message(3, store_request(f"1.2.{number}"), OBJECT):
            peer.say(pdu)
            try:
                async with asyncio.timeout(0.5):
                    await peer.writer.drain()
            except TimeoutError:
                return sent
            sent += len(pdu)
    raise AssertionError("everything was taken")


async def test_a_slow_disk_slows_down_whoever_sends(acceptor: Acceptor, call: Call, reception: Reception) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    reception.open.clear()
    sent = await said_until_it_blocks(peer)
    assert len(reception.arrived) == 1
    in_kernel_and_peer = 16 * 1024 * 1024
    assert sent < len(OBJECT) + LARGE_BUFFER + in_kernel_and_peer


async def test_one_association_that_waits_holds_up_no_other(
    acceptor: Acceptor, call: Call, reception: Reception
) -> None:
    waiting, other = await call(acceptor), await call(acceptor)
    await waiting.associate()
    await other.associate()
    reception.open.clear()
    waiting.ask(3, store_request(), OBJECT)
    await reception.until(lambda reception: len(reception.arrived) == 1)
    assert await other.echo() == 0


async def test_fifty_associations_at_once_are_all_served(acceptor: Acceptor, call: Call, reception: Reception) -> None:
    peers = [await call(acceptor) for _ in range(50)]
    assert all(isinstance(answer, AssociationAccepted) for answer in await asyncio.gather(*map(told, peers)))
    reception.open.clear()  # every one holds an object that is not answered yet
    for number, peer in enumerate(peers):
        peer.ask(3, store_request(f"1.2.{number}"), OBJECT)
    await reception.until(lambda reception: len(reception.arrived) == 50)
    reception.open.set()
    assert await asyncio.gather(*(peer.status() for peer in peers)) == [0] * 50
    assert reception.kept == {f"1.2.{number}": OBJECT for number in range(50)}


async def test_more_connections_than_are_ever_told_why_are_closed(start: Start, call: Call) -> None:
    acceptor = await start(max_associations=1)
    peers = [await call(acceptor) for _ in range(80)]
    answers = await asyncio.gather(*(told(peer) for peer in peers))
    assert isinstance(answers[0], AssociationAccepted)
    assert answers.count(AssociationRejected(LOCAL_LIMIT_EXCEEDED)) >= 60
    assert answers.count(None) >= 10


async def told(peer: Peer) -> object:
    try:
        return await peer.associate()
    except ConnectionError:
        return None


def identifier() -> bytes:
    """AccessionNumber, to be told; implicit VR little endian."""
    return b"\x08\x00\x50\x00\0\0\0\0"


async def test_a_worklist_query(acceptor: Acceptor, call: Call, steps: list[Step]) -> None:
    steps += [step(number) for number in range(3)]
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(5, find_request(), identifier())
    answers = [await peer.answer() for _ in range(4)]
    assert [response.number(Element.STATUS) for response, _ in answers] == [PENDING] * 3 + [0]
    assert [data for _, data in answers] == [b"\x08\x00\x50\x00\x06\0\0\0A%04d " % n for n in range(3)] + [b""]


async def test_a_query_that_is_cancelled_ends_with_fe00(acceptor: Acceptor, call: Call, steps: list[Step]) -> None:
    steps += [step(number % 50) for number in range(1000)]
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(5, find_request(), identifier())
    assert await peer.status() == PENDING
    peer.ask(5, cancel_request())
    statuses = [PENDING]
    while statuses[-1] == PENDING:
        statuses.append(await peer.status())
    assert statuses[-1] == CANCELLED
    assert len(statuses) < 1000
    assert await peer.echo() == 0


async def test_cancelling_another_message_cancels_nothing(acceptor: Acceptor, call: Call, steps: list[Step]) -> None:
    steps += [step(number) for number in range(50)]
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(5, find_request(1), identifier())
    peer.ask(5, cancel_request(2))
    statuses = [await peer.status() for _ in range(51)]
    assert statuses == [PENDING] * 50 + [0]


async def test_a_query_whose_peer_leaves_ends(acceptor: Acceptor, call: Call, steps: list[Step]) -> None:
    steps += [step(number % 50) for number in range(1000)]
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(5, find_request(), identifier())
    assert await peer.status() == PENDING
    peer.vanish()
    async with asyncio.timeout(PATIENCE_SECS):
        await acceptor.close(2 * PATIENCE_SECS)


@pytest.mark.parametrize(
    "rubbish", [b"", b"rubbish", b"\x08\x00\x50\x00\xff\xff\xff\x7f", bytes(2 * 1024 * 1024)],
    ids=["nothing", "no data set", "a length that lies", "2 MB"],
)  # fmt: skip
async def test_an_identifier_that_is_none(acceptor: Acceptor, call: Call, rubbish: bytes) -> None:
    peer = await call(acceptor)
    await peer.associate()
    peer.ask(5, find_request(), rubbish)
    assert await peer.status() in (0x0000, 0xA900)
    assert await peer.echo() == 0


async def test_closing_lets_what_was_begun_be_answered(acceptor: Acceptor, call: Call, reception: Reception) -> None:
    begun, half, idle = await call(acceptor), await call(acceptor), await call(acceptor)
    for peer in (begun, half, idle):
        await peer.associate()
    reception.open.clear()
    begun.ask(3, store_request("1.2.1"), OBJECT)
    whole = b"".join(half.association.message(3, store_request("1.2.2"), OBJECT))
    half.say(whole[:1000])
    await reception.until(lambda reception: len(reception.arrived) == 2)
    closing = asyncio.create_task(acceptor.close(PATIENCE_SECS))
    await idle.aborted()
    half.say(whole[1000:])
    reception.open.set()
    assert [await begun.status(), await half.status()] == [0, 0]
    await begun.aborted()
    await closing
    assert reception.kept == {"1.2.1": OBJECT, "1.2.2": OBJECT}


async def test_closing_does_not_wait_beyond_its_grace(acceptor: Acceptor, call: Call, reception: Reception) -> None:
    peer = await call(acceptor)
    await peer.associate()
    whole = b"".join(peer.association.message(3, store_request(), OBJECT))
    peer.say(whole[:1000])
    await reception.until(lambda reception: len(reception.arrived) == 1)
    await acceptor.close(0.1)
    await reception.until(lambda reception: reception.arrived[0].abandoned)
