"""Processes that share a port share what comes in: evenly, up to their limits, and any of them may leave."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import cast

import pytest
import uvloop

from engine.errors import ConfigurationError
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.connection import Connection
from pacs_gateway.scp.doors import Courtesy, Doors, turning_away
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.listening import Listening, listen
from pacs_gateway.scp.service import Services
from pacs_gateway.upper_layer.events import AssociationAccepted, AssociationRejected
from pacs_gateway.upper_layer.pdus import LOCAL_LIMIT_EXCEEDED
from tests.integration.gateway.sending import until
from tests.integration.scp.conftest import Call, channel
from tests.integration.scp.peer import PATIENCE_SECS

PROCESSES = 2
SUCCESS = 0x0000
ABORT = b"\x07"
"""How such a PDU begins."""
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

    def doors(name: str, courtesy: Courtesy) -> Doors:
        def take(connection: socket.socket) -> None:
            taken.append(name)
            connection.close()
            happened.set()

        return Doors(duplicates_of(held), lambda: courtesy, take)

    busy, idle, stuck = doors("busy", Courtesy(0.01)), doors("idle", Courtesy()), doors("stuck", Courtesy(LATE_SECS))
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
    doors = Doors((poor,), Courtesy, taken.put_nowait)
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


async def test_many_that_wait_are_accepted_in_batches_however_many_it_has() -> None:
    held = listen(channel())
    accepted: list[socket.socket] = []
    asked = 0

    def courtesy() -> Courtesy:
        nonlocal asked
        asked += 1
        return Courtesy(0.001, 1 + len(accepted))

    callers = [socket.create_connection(("127.0.0.1", held.port)) for _ in range(100)]
    doors = Doors(held.sockets, courtesy, accepted.append)
    doors.open()
    try:

        async def all_of_them() -> bool:
            return len(accepted) == len(callers)

        await until(all_of_them)
        assert asked < 20
    finally:
        doors.close()
        for one in (*accepted, *callers):
            one.close()
        held.close()


@pytest.mark.parametrize(
    ("has", "courtesy"),
    [
        (0, Courtesy(0.0, 1)),
        (3, Courtesy(0.003, 1)),
        (40, Courtesy(0.02, 11)),
        (99, Courtesy(0.02, 1)),
        (100, Courtesy(0.05, 26)),
    ],
    ids=["none", "some", "many", "one less than allowed", "as many as allowed"],
)
async def test_others_are_let_go_first_for_a_moment_that_has_an_end(has: int, courtesy: Courtesy) -> None:
    asked = channel(max_associations=200)
    acceptor = Acceptor(asked, Services((Echo(),)), shared=Listening((), PROCESSES))
    acceptor._associations.update(cast("list[Connection]", [object() for _ in range(has)]))
    assert acceptor._courtesy() == courtesy


async def test_who_calls_where_nobody_serves_any_more_sees_it_at_once() -> None:
    held = listen(channel())
    doors = turning_away(held.sockets)
    doors.open()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", held.port)
        async with asyncio.timeout(PATIENCE_SECS):
            assert await reader.read() == b""
        writer.close()
    finally:
        doors.close()
        held.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(4))
def test_a_connection_that_is_just_made_keeps_no_gateway_from_ending(
    loop: Callable[[], asyncio.AbstractEventLoop], turns: int
) -> None:
    async def close_after_accepting() -> None:
        acceptor = Acceptor(channel(), Services((Echo(),)))
        await acceptor.start()
        with socket.create_connection(("127.0.0.1", acceptor.port)) as caller:
            caller.setblocking(False)
            async with asyncio.timeout(PATIENCE_SECS):
                while not acceptor._handshakes:  # noqa: ASYNC110 - in this very turn of the loop
                    await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            await acceptor.close(PATIENCE_SECS)
            assert not acceptor._connections
            async with asyncio.timeout(PATIENCE_SECS):
                assert await asyncio.get_running_loop().sock_recv(caller, 1) in (ABORT, b"")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(close_after_accepting())


def test_a_system_without_ipv6_listens_at_the_other_addresses_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(*_: object, **__: object) -> list[tuple[object, ...]]:
        addresses = ((socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0)))
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    monkeypatch.setattr("pacs_gateway.scp.listening._has_ipv6", lambda: False)
    listening = listen(channel(host="localhost"))
    try:
        assert [one.getsockname()[0] for one in listening.sockets] == ["127.0.0.1"]
    finally:
        listening.close()


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
