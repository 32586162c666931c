"""How do the gateway's tests owe something to an imaging system, and how does a system of theirs behave?"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from pynetdicom import AE, AllStoragePresentationContexts, evt

from engine import clock
from engine.clock import Clock
from engine.config import DicomEndpoint, Retry
from engine.envelope import EnvelopeIds
from engine.store import imaging_outbox
from engine.store.imaging_outbox import ROUTINE, ImagingOwed, Prioritised, StudyOwed, payload_of
from engine.store.outbox import Owed
from pacs_gateway.location import Objects
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.scp.reception import Reception
from pacs_gateway.scu.peer import Peer
from pacs_gateway.sending.couriers import ImagingCouriers
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.sending.errands import Errands
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES
from tests.integration.gateway.sending import MANY_ASSOCIATIONS, PATIENCE_SECS, SUCCESS

ENDPOINT = "pacs"
_IDS = EnvelopeIds(secrets.randbits)


def endpoint(port: int, **changes: Any) -> DicomEndpoint:
    settings: dict[str, Any] = {
        "type": "dicom",
        "name": ENDPOINT,
        "facility": "county",
        "host": "127.0.0.1",
        "port": port,
        "ae_title": "PACS",
        "answer_timeout_secs": PATIENCE_SECS,
        "retry": Retry(first_secs=0.05, factor=1, max_secs=0.05),
    }
    return DicomEndpoint.model_validate({**settings, **changes})


async def owe(pool: asyncpg.Pool, what: ImagingOwed, priority: int = ROUTINE, to: str = ENDPOINT) -> None:
    about = f"ImagingStudy/{what.study_uid}"
    owed = Owed(_IDS.next(clock.now()), to, what.study_uid, payload_of(what), "a-route", about=about)
    async with pool.acquire() as connection, connection.transaction():
        await imaging_outbox.owe(connection, [Prioritised(owed, priority)], clock.now())


async def owe_study(pool: asyncpg.Pool, study_uid: str, priority: int = ROUTINE, facility: str = "baishi") -> None:
    await owe(pool, StudyOwed(facility, study_uid), priority)


@asynccontextmanager
async def sending(
    database_url: str,
    objects: Path,
    to: DicomEndpoint,
    at: Clock = clock.now,
    reception: Reception | None = None,
) -> AsyncIterator[None]:
    """Couriers at work for one endpoint."""
    stored = Objects(objects)
    encoder = Encoder(lambda content: StoredDataSet(stored, content))
    errands = Errands(to, Peer.at(to, None), encoder, reception, at)
    couriers = ImagingCouriers(database_url, {to.name: to}, {to.name: errands}, at)
    running = asyncio.create_task(couriers.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await encoder.close()


async def delivery_reaches(pool: asyncpg.Pool, state: str, study_uid: str) -> asyncpg.Record:
    """The newest delivery of a study, once it is in a state."""
    async with asyncio.timeout(2 * PATIENCE_SECS):
        while True:
            row = await pool.fetchrow(
                "select * from delivery where control_id = $1 order by id desc limit 1", study_uid
            )
            if row is not None and row["state"] == state:
                return row
            await asyncio.sleep(0.01)


async def attempts(pool: asyncpg.Pool) -> list[str]:
    """How each attempt at a delivery ended, in their order."""
    return [row["outcome"] for row in await pool.fetch("select outcome from delivery_attempt order by at")]


@dataclass
class System:
    """Another imaging system: every object that it was offered, in order, and how it answers.

    answers  by SOP Instance UID what to answer the next times; success when nothing is left
    before   called with each event before it is answered
    """

    port: int
    offered: list[str] = field(default_factory=list)
    held: dict[str, bytes] = field(default_factory=dict)
    syntaxes: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)
    before: Callable[[Any], None] = lambda event: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        with self.lock:
            self.offered.append(uid)
            planned = self.answers.get(uid, [])
            answer = planned.pop(0) if planned else SUCCESS
        self.before(event)
        if answer == SUCCESS or answer & 0xF000 == 0xB000:
            self.held[uid] = event.request.DataSet.getvalue()
            self.syntaxes[uid] = str(event.context.transfer_syntax)
        return answer


@contextmanager
def system(
    port: int, *, classes: list[str] | None = None, syntaxes: list[str] | None = None, known: System | None = None
) -> Iterator[System]:
    """A PACS of pynetdicom."""
    taking = known or System(port)
    entity = AE("PACS")
    entity.require_called_aet = True
    entity.maximum_associations = MANY_ASSOCIATIONS
    for sop_class in classes or [str(context.abstract_syntax) for context in AllStoragePresentationContexts]:
        entity.add_supported_context(sop_class, syntaxes or list(TRANSFER_SYNTAXES))
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, taking.take)])
    assert server is not None
    try:
        yield taking
    finally:
        server.shutdown()
