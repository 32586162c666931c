"""A line may be so slow that one object takes longer than an answer may: it arrives all the same."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from engine.errors import DeliveryError
from pacs_gateway.scp.service import response
from pacs_gateway.scu.peer import Peer, Proposal
from pacs_gateway.scu.requestor import opened
from pacs_gateway.sending.encoding import Whole
from pacs_gateway.status import SUCCESS
from pacs_gateway.upper_layer.association import Association
from pacs_gateway.upper_layer.events import AssociationRequested, CommandReceived, DataReceived, ReleaseRequested
from tests.unit.upper_layer.speaking import CR_STORAGE, IMPLICIT, acceptance, store_request

ANSWER_TIMEOUT_SECS = 0.8
PAUSE_SECS, STEP_BYTES = 0.05, 32 * 1024
OBJECT_BYTES = 1024 * 1024
"""At least twice the time that an answer may take."""
ATTEMPTS = 5
"""A machine that stands still for as long as an answer may take breaks one of them."""


class SlowPeer:
    """Takes so little at a time, through a small buffer, and keeps count of the bytes of data sets."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STEP_BYTES)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self.received = 0

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(self._listening)
            with connection:
                await self._speak(connection)

    async def _speak(self, connection: socket.socket) -> None:
        loop, association = asyncio.get_running_loop(), Association()
        asked: CommandReceived | None = None
        while True:
            try:
                count = await loop.sock_recv_into(connection, association.room()[:STEP_BYTES])
            except ConnectionError:
                return
            if not count:
                return
            association.received(count)
            while (event := association.next_event()) is not None:
                if isinstance(event, AssociationRequested):
                    await loop.sock_sendall(connection, association.accept(acceptance(event.request), event.request))
                elif isinstance(event, CommandReceived):
                    asked, self.received = event, 0
                elif isinstance(event, DataReceived):
                    self.received += sum(map(len, event.pieces))
                    if event.last and asked is not None:
                        answer = association.message(asked.context_id, response(asked.command, SUCCESS))
                        await loop.sock_sendall(connection, b"".join(answer))
                elif isinstance(event, ReleaseRequested):
                    await loop.sock_sendall(connection, association.release_response())
                    return
            await asyncio.sleep(PAUSE_SECS)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
async def slow_peer() -> AsyncIterator[SlowPeer]:
    peer = SlowPeer()
    serving = asyncio.create_task(peer.serve())
    yield peer
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    peer.close()


async def test_an_object_that_takes_longer_than_an_answer_may_arrives(slow_peer: SlowPeer) -> None:
    peer = Peer("SCP", "127.0.0.1", slow_peer.port, ANSWER_TIMEOUT_SECS)
    answers: list[int] = []
    for _ in range(ATTEMPTS):
        with suppress(DeliveryError):
            async with opened(peer, "SCU", [Proposal(CR_STORAGE, (IMPLICIT,))]) as requestor:
                answers.append(await requestor.store(store_request(), IMPLICIT, Whole(os.urandom(OBJECT_BYTES))))
            break
    assert answers == [SUCCESS]
    assert slow_peer.received == OBJECT_BYTES
