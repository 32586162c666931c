"""Whatever one client sends, memory stays bounded, it hears something clear, and the others do not notice."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count

import psutil

from conformance.simulators.mllp import framed
from tests.integration.faults.clients import Client, msa
from tests.integration.faults.messages import register
from tests.integration.faults.serving import Served, until

MEBIBYTE = 1024 * 1024
PATIENCE_SECS = 2.0
"""Of the engine's processor time, spent on others while a bystander waits: how busy the machine is does not matter."""
_SAMPLE_SECS = 0.02

_numbers = count(1)


@asynccontextmanager
async def unnoticed(hub: Served, *, growth_bytes: int) -> AsyncIterator[Callable[[], int]]:
    """Others are answered in time on this channel and another, and the engine does not grow by more than this.

    Says how many of them have been answered.
    """
    engine = await hub.revived("engine")
    before = largest = engine.memory_info().rss
    slowest, answered = 0.0, 0

    async def stand_by(channel: str) -> None:
        nonlocal slowest, answered
        client = Client(hub.port(channel))
        try:
            while True:
                control_id = f"B.{next(_numbers)}"
                before = used(engine)
                assert msa(await client.ask(register("B1", control_id))) == ("AA", control_id)
                slowest = max(slowest, used(engine) - before)
                answered += 1
                await asyncio.sleep(_SAMPLE_SECS)
        finally:
            client.leave()

    async def weigh() -> None:
        nonlocal largest
        while True:
            largest = max(largest, engine.memory_info().rss)
            await asyncio.sleep(_SAMPLE_SECS)

    watching = [asyncio.create_task(work) for work in (stand_by("his"), stand_by("attacked"), weigh())]
    try:
        yield lambda: answered
        seen = answered
        await until("bystanders are answered afterwards", lambda: answered > seen + 4)
    finally:
        for task in watching:
            task.cancel()
        ended = await asyncio.gather(*watching, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * 3, ended
    assert slowest < PATIENCE_SECS
    assert engine.is_running()
    assert largest - before < growth_bytes, f"{(largest - before) / MEBIBYTE:.0f} MiB more than before"


async def connected(hub: Served, channel: str = "attacked") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", hub.port(channel))


async def closed(reader: asyncio.StreamReader) -> bytes:
    """Waits for the end of the connection; what was said before it."""
    said = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(60):
            said = await reader.read()
    return said


def used(process: psutil.Process) -> float:
    """Processor time in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def journaled(hub: Served) -> int:
    async with hub.database() as database:
        number: int = await database.fetchval("select count(*) from journal where starts_with(control_id, 'X.')")
        return number


async def test_a_hundred_megabytes_without_an_end_are_cut_off(hub: Served) -> None:
    before = await journaled(hub)
    async with unnoticed(hub, growth_bytes=64 * MEBIBYTE):
        reader, writer = await connected(hub)
        poured = 0
        with suppress(ConnectionError):
            writer.write(b"\x0b" + register("X1", "X.endless"))
            while poured < 100 * MEBIBYTE:
                writer.write(b"x" * MEBIBYTE)
                poured += MEBIBYTE
                await writer.drain()
        assert await closed(reader) == b""
        assert poured < 40 * MEBIBYTE, "it was read on far beyond the limit of 16 MiB"
    assert await journaled(hub) == before


async def test_messages_cut_short_are_not_taken(hub: Served) -> None:
    before = await journaled(hub)
    payload = framed(register("X2", "X.cut"))
    async with unnoticed(hub, growth_bytes=16 * MEBIBYTE):
        for length in range(1, len(payload), 5):
            reader, writer = await connected(hub)
            writer.write(payload[:length])
            writer.write_eof()
            assert await closed(reader) == b"", "an answer to half a message"
            writer.close()
    assert await journaled(hub) == before


async def test_noise_ends_its_connection(hub: Served) -> None:
    before = await journaled(hub)
    noise = random.Random(7)
    async with unnoticed(hub, growth_bytes=32 * MEBIBYTE):
        for _ in range(20):
            reader, writer = await connected(hub)
            with suppress(ConnectionError):
                writer.write(b"?" + noise.randbytes(MEBIBYTE))
                await writer.drain()
            assert await closed(reader) == b""
            writer.close()
    assert await journaled(hub) == before


async def test_noise_in_a_frame_is_refused_and_kept(hub: Served) -> None:
    noise = bytes(byte for byte in random.Random(8).randbytes(4096) if byte not in b"\x0b\x1c")
    client = Client(hub.port("attacked"))
    async with unnoticed(hub, growth_bytes=16 * MEBIBYTE):
        code, control_id = msa(await client.ask(noise))
        assert (code, control_id) == ("AR", "")
        assert msa(await client.ask(register("X3", "X.after-noise"))) == ("AA", "X.after-noise")
    async with hub.database() as database:

        async def held() -> str | None:
            found: str | None = await database.fetchval(
                """
                select f.code from finding f join journal j on j.id = f.envelope join inbox i on i.envelope = j.id
                where j.payload = $1 and i.state = 'held'
                """,
                noise,
            )
            return found

        assert await until("it is held", held) == "msh-missing"
    client.leave()


async def test_a_client_that_never_reads_is_read_no_more(hub: Served) -> None:
    sender = "HIS" * 1000  # an answer names whom it is for: long ones fill what lies between us sooner
    block = framed(register("X4", "X.never-reads").replace(b"|HIS|", f"|{sender}|".encode())) * 16
    async with unnoticed(hub, growth_bytes=32 * MEBIBYTE) as others_answered:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", hub.port("attacked")))
        poured = 0

        async def pour() -> None:
            nonlocal poured
            while poured < 64 * MEBIBYTE:
                await loop.sock_sendall(sock, block)
                poured += len(block)

        pouring = asyncio.create_task(pour())
        taken, seen = -1, 0

        def is_read_no_more() -> bool:
            """Others have been answered again and again since it took anything."""
            nonlocal taken, seen
            if poured > taken:
                taken, seen = poured, others_answered()
            return others_answered() > seen + 50

        await until("it is read no more", is_read_no_more)
        assert not pouring.done(), "all of it was taken"
        pouring.cancel()
        await asyncio.wait([pouring])
        sock.close()
    assert 0 < poured < 64 * MEBIBYTE


async def test_five_hundred_clients_are_served_and_one_more_is_turned_away(hub: Served) -> None:
    async with unnoticed(hub, growth_bytes=64 * MEBIBYTE):
        clients = [Client(hub.port("crowded")) for _ in range(500)]
        for turn in range(2):
            answers = await asyncio.gather(
                *(client.ask(register(f"C{number}", f"C.{turn}.{number}")) for number, client in enumerate(clients))
            )
            assert [msa(answer) for answer in answers] == [("AA", f"C.{turn}.{number}") for number in range(500)]
        reader, writer = await connected(hub, "crowded")
        assert await closed(reader) == b""
        writer.close()
        assert msa(await clients[0].ask(register("C0", "C.after"))) == ("AA", "C.after")
        for client in clients:
            client.leave()
