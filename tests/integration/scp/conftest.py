"""What the tests of the listening side may ask for: an acceptor over receptions that remember, DCMTK, a peer of ours.

Every test runs on the event loop of the standard library and on uvloop, which the gateway runs on.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from engine.config import AeEntry, DicomChannel
from engine.errors import HutongError
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.limits import Limits
from pacs_gateway.scp.reception import Announced
from pacs_gateway.scp.service import Services
from pacs_gateway.scp.storage import Storage
from pacs_gateway.scp.worklist import WorklistFind
from tests.integration.scp.peer import PATIENCE_SECS, Peer


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Asked by pytest-asyncio for the tests of this folder."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Remembered:
    """One object. Implements `Arriving`."""

    reception: Reception
    announced: Announced
    data: bytearray = field(default_factory=bytearray)
    finished: bool = False
    abandoned: bool = False

    def write(self, pieces: Sequence[memoryview]) -> None:
        for piece in pieces:
            self.data += piece
        self.reception.note()
        if self.reception.fails_writing is not None and len(self.data) > 1000:
            raise self.reception.fails_writing

    async def finish(self) -> None:
        await self.reception.open.wait()
        if self.reception.fails_finishing is not None:
            raise self.reception.fails_finishing
        self.finished = True
        self.reception.note()

    def abandon(self) -> None:
        assert not self.abandoned, "abandoned twice"
        assert not self.finished, "abandoned after it was kept"
        self.abandoned = True
        self.reception.note()


class Reception:
    """Implements `Reception` in memory; `open` is cleared to let nothing finish."""

    def __init__(self) -> None:
        self.arrived: list[Remembered] = []
        self.open = asyncio.Event()
        self.open.set()
        self.fails_beginning: HutongError | None = None
        self.fails_writing: HutongError | None = None
        self.fails_finishing: Exception | None = None
        self._changed = asyncio.Event()

    def begin(self, announced: Announced) -> Remembered:
        if self.fails_beginning is not None:
            raise self.fails_beginning
        self.arrived.append(Remembered(self, announced))
        self.note()
        return self.arrived[-1]

    def note(self) -> None:
        self._changed.set()

    async def until(self, reached: Callable[[Reception], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECS):
            while not reached(self):
                self._changed.clear()
                await self._changed.wait()

    @property
    def kept(self) -> dict[str, bytes]:
        return {one.announced.sop_instance_uid: bytes(one.data) for one in self.arrived if one.finished}


@dataclass(frozen=True)
class Said:
    code: int
    output: str


Run = Callable[..., Coroutine[Any, Any, Said]]
Start = Callable[..., Awaitable[Acceptor]]
Call = Callable[..., Awaitable[Peer]]


@pytest.fixture
def dcmtk() -> Run:
    """Runs a DCMTK command; without TCP_NODELAY Debian's build stalls 40 ms per object on loopback."""

    async def run(*command: str | Path | int) -> Said:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "TCP_NODELAY": "1"},
        )
        async with asyncio.timeout(2 * PATIENCE_SECS):
            output, _ = await process.communicate()
        return Said(process.returncode or 0, output.decode(errors="replace"))

    return run


@pytest.fixture
async def reception() -> Reception:
    return Reception()


@pytest.fixture
def steps() -> list[Step]:
    """What the worklist holds; a test puts in what it needs."""
    return []


def channel(**changes: Any) -> DicomChannel:
    entries = (
        AeEntry(ae_title="CT_BAISHI", facility="baishi"),
        AeEntry(ae_title="CT_BY_NAME", facility="baishi", address="localhost"),
        AeEntry(ae_title="CT_ELSEWHERE", facility="baishi", address="192.0.2.7"),
        AeEntry(ae_title="CT_NOWHERE", facility="baishi", address="no-such-host.invalid"),
        AeEntry(ae_title="CT_PRIVATE", facility="qingxi", private_classes=True),
    )
    settings: dict[str, Any] = {
        "type": "dicom",
        "name": "imaging",
        "ae_title": "HUTONG",
        "port": 0,
        "ae_entries": entries,
    }
    return DicomChannel(**{**settings, **changes})


@pytest.fixture
async def start(reception: Reception, steps: list[Step]) -> AsyncIterator[Start]:
    """Starts an acceptor with other limits or channel settings."""

    async def find_steps(facility: str, calling_ae: str, query: StepQuery, limit: int) -> list[Step]:
        return steps[:limit]

    async with AsyncExitStack() as stack:

        async def start(
            limits: Limits | None = None, context: ssl.SSLContext | None = None, **changes: Any
        ) -> Acceptor:
            services = Services((Echo(), Storage("imaging", reception), WorklistFind("imaging", find_steps)))
            acceptor = Acceptor(channel(**changes), services, context, limits)
            await acceptor.start()
            stack.push_async_callback(acceptor.close, 0.0)
            return acceptor

        yield start


@pytest.fixture
async def acceptor(start: Start) -> Acceptor:
    return await start()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Connects a peer to an acceptor."""
    async with AsyncExitStack() as stack:

        async def call(acceptor: Acceptor, **how: Any) -> Peer:
            peer = await Peer.connect(acceptor.port, **how)
            stack.callback(peer.vanish)
            return peer

        yield call
