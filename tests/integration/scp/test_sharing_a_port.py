"""Processes that share a port share what comes in: evenly, up to their limits, and any of them may leave."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from engine.errors import ConfigurationError
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.doors import Doors
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.listening import Listening, listen
from pacs_gateway.scp.service import Services
from pacs_gateway.upper_layer.events import AssociationAccepted, AssociationRejected
from pacs_gateway.upper_layer.pdus import LOCAL_LIMIT_EXCEEDED
from tests.integration.scp.conftest import Call, channel
from tests.integration.scp.peer import PATIENCE_SECS

PROCESSES = 2
SUCCESS = 0x0000
LATE_SECS = 3600.0

Shared = Callable[..., Listening]


@pytest.fixture
async def acceptors() -> AsyncIterator[list[Acceptor]]:
    """Two on one port, as in two processes: each has sockets of its own that lead to one queue. They allow five
    associations together."""
    asked = channel(max_associations=5)
    held = listen(asked)
    async with AsyncExitStack() as stack:
        stack.callback(held.close)
        both = [
            Acceptor(asked, Services((Echo(),)), shared=Listening(duplicates_of(held), PROCESSES))
            for _ in range(PROCESSES)
        ]
        for acceptor in both:
            await acceptor.start()
            stack.push_async_callback(acceptor.close, 0.0)
        yield both


def duplicates_of(held: Listening) -> tuple[socket.socket, ...]:
    return tuple(one.dup() for one in held.sockets)


async def test_associations_are_shared_evenly_and_the_last_is_one_too_many(
    acceptors: list[Acceptor], call: Call
) -> None:
    peers = [await call(acceptors[0]) for _ in range(6)]
    for peer in peers:
        assert isinstance(await peer.associate(), AssociationAccepted)
    assert [len(acceptor._associations) for acceptor in acceptors] == [3, 3]
    one_more = await call(acceptors[0])
    assert await one_more.associate() == AssociationRejected(LOCAL_LIMIT_EXCEEDED)


async def test_one_that_leaves_takes_no_caller_along(acceptors: list[Acceptor], call: Call) -> None:
    stays, leaves = acceptors
    before = [await call(stays) for _ in range(2)]
    for peer in before:
        await peer.associate()
    waits = asyncio.create_task(leaves.close(0.0))
    after = await call(stays)
    assert isinstance(await after.associate(), AssociationAccepted)
    await waits
    assert len(stays._associations) == 2
    assert await after.echo() == SUCCESS


async def test_a_process_with_fewer_goes_first_and_one_that_is_stuck_is_not_waited_for() -> None:
    held = listen(channel())
    taken: list[str] = []
    happened = asyncio.Event()

    def doors(name: str, courtesy_secs: float) -> Doors:
        def take(connection: socket.socket) -> None:
            taken.append(name)
            connection.close()
            happened.set()

        return Doors(duplicates_of(held), lambda: courtesy_secs, take)

    busy, idle, stuck = doors("busy", 0.01), doors("idle", 0.0), doors("stuck", LATE_SECS)
    stuck.open()
    busy.open()
    try:
        await one_connection(held, happened)
        idle.open()
        await one_connection(held, happened)
        await one_connection(held, happened)
        idle.close()
        await one_connection(held, happened)
        assert taken == ["busy", "idle", "idle", "busy"]
    finally:
        for one in (busy, stuck):
            one.close()
        held.close()


async def one_connection(held: Listening, happened: asyncio.Event) -> None:
    happened.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", held.port)
    async with asyncio.timeout(PATIENCE_SECS):
        await happened.wait()
    writer.close()


async def test_without_another_file_descriptor_callers_wait_and_are_taken_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pacs_gateway.scp.doors._AGAIN_SECS", 0.01)
    refusals = 2

    class Poor(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    held = listen(channel())
    poor = Poor(fileno=held.sockets[0].detach())
    taken: asyncio.Queue[socket.socket] = asyncio.Queue()
    doors = Doors((poor,), lambda: 0.0, taken.put_nowait)
    doors.open()
    try:
        with socket.create_connection(("127.0.0.1", poor.getsockname()[1])):
            async with asyncio.timeout(PATIENCE_SECS):
                (await taken.get()).close()
        assert refusals == 0
        assert "Too many open files" in caplog.text
    finally:
        doors.close()
        poor.close()


def test_every_address_of_a_host_has_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        inet, stream = socket.AF_INET, socket.SOCK_STREAM
        addresses = (("127.0.0.1", 0), ("127.0.0.2", 0), ("127.0.0.1", 0))
        return [(inet, stream, 6, "", address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    listening = listen(channel(host="two"))
    try:
        assert [one.getsockname()[0] for one in listening.sockets] == ["127.0.0.1", "127.0.0.2"]
        assert {one.getsockname()[1] for one in listening.sockets} == {listening.port}
    finally:
        listening.close()


def test_a_port_that_is_taken_is_named_and_nothing_is_left_open() -> None:
    held = listen(channel())
    port = held.port
    try:
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen(channel(port=port))
    finally:
        held.close()
    listen(channel(port=port)).close()
