"""How do the parts of the gateway hang together? One DICOM channel, from its listener to its manifests."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import asyncpg

from engine.clock import Clock
from engine.config import DicomChannel, DicomEndpoint
from engine.envelope import EnvelopeIds
from engine.errors import StorageError
from engine.ports import ObjectStore
from engine.store import imaging
from engine.store.database import FAILED
from engine.store.imaging import StepQuery
from engine.store.worklist import Step
from pacs_gateway.announcing import Announcer
from pacs_gateway.audience import audience_of
from pacs_gateway.committing import Committer
from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.keeping import Keeping
from pacs_gateway.location import Objects
from pacs_gateway.missing import Missing
from pacs_gateway.notice import ManifestIntake, Noticer
from pacs_gateway.notifying import Notifier
from pacs_gateway.query.archive import Archive
from pacs_gateway.query.objects import StoredDataSet
from pacs_gateway.rejections.noting import Noting
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.availability import AvailabilityNotices
from pacs_gateway.scp.commitment import CommitmentRequests, CommitmentResults
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.find import Find
from pacs_gateway.scp.get import Get
from pacs_gateway.scp.listening import Listening
from pacs_gateway.scp.move import Move
from pacs_gateway.scp.mpps import Create, Set, Steps
from pacs_gateway.scp.mpps_get import GetStep
from pacs_gateway.scp.reception import Reception
from pacs_gateway.scp.service import Services
from pacs_gateway.scp.storage import Storage
from pacs_gateway.scp.worklist import WorklistFind
from pacs_gateway.scu.entities import called_of
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.stepping import StepIntake, StepNoticer
from pacs_gateway.strangers import Strangers
from pacs_gateway.whole.asking import senders_of
from pacs_gateway.whole.watching import Watcher

GRACE_SECS = 10.0


class Intake(ManifestIntake, StepIntake, Protocol):
    """Takes what the gateway tells the engine of."""


class Gateway:
    """Receives objects and answers queries, for scheduled steps and for stored studies, on one channel.

    objects_root  the object folder, DATA/objects
    tls           what its connections are protected with
    store         where finished objects go, if not into the object folder
    endpoints     imaging systems that may be told of steps and studies
    contexts      what the connections to those with TLS are protected with, and to entities of the channel
    shared        sockets that listen for it already, which other processes may take from too
    """

    def __init__(
        self,
        channel: DicomChannel,
        pool: asyncpg.Pool,
        intake: Intake,
        objects_root: Path,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        store: ObjectStore | None = None,
        endpoints: Mapping[str, DicomEndpoint] | None = None,
        contexts: Mapping[str, ssl.SSLContext] | None = None,
        shared: Listening | None = None,
    ) -> None:
        self._channel = channel
        self._shared = shared
        self._tls = tls
        self._pool = pool
        self._archive = Archive(pool, Objects(objects_root, store, Missing(pool, clock).told))
        self._encoder = Encoder(lambda content: StoredDataSet(self._archive.objects, content))
        self._noticer = Noticer(pool, intake, channel.name, channel.quiet_secs, clock)
        self._keeping = Keeping(
            channel.name, pool, objects_root, clock, secrets.token_bytes, self._noticer.stored, store=store
        )
        self._entities = called_of(channel, contexts or {})
        self._watcher = Watcher(pool, channel, senders_of(channel, self._entities), clock)
        audience = audience_of(channel, self._entities, endpoints or {}, contexts or {})
        self._notifier = Notifier(pool, audience.destinations, clock)
        self._announcer = Announcer(
            channel.name, channel.ae_title, audience.availability_of, pool, clock, self._notifier.wake
        )
        self._stepper = StepNoticer(pool, intake, channel.name)
        self._steps = Steps(channel.name, pool, clock, audience.steps_of, self._step_told)
        self._committer = Committer(
            channel.name, pool, self._archive, clock, audience.destinations, self._keeping, self._notifier.wake
        )
        self._clock = clock
        self._noting = Noting(
            pool,
            channel,
            self._keeping,
            self._archive.objects,
            EnvelopeIds(secrets.randbits),
            clock,
            self._noticer.stored,
        )
        self._strangers = Strangers(channel.name, pool, clock)
        self._acceptor: Acceptor | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._acceptor is not None, "the gateway was not started"
        return self._acceptor.port

    @property
    def reception(self) -> Reception:
        """Keeps what we fetch ourselves, from its start to its end."""
        return self._keeping.reception

    async def start(self) -> None:
        """Settles what an earlier process left, then listens.

        Raises ConfigurationError (spool in use, address taken) and StorageError (disk, database).
        """
        keep_libraries_discreet()
        try:
            await self._keeping.start()
            self._noticer.start()
            self._noting.start()
            self._stepper.start()
            self._announcer.start()
            self._notifier.start()
            await self._committer.start()
            self._watcher.start()
            self._strangers.start()
            self._acceptor = self._listener()
            await self._acceptor.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stops listening, answers what is being stored within a grace period, leaves the rest to the next start."""
        if self._acceptor is not None:
            await self._acceptor.close(GRACE_SECS)
        await self._noting.close()
        await self._committer.close()
        await self._notifier.close()
        await self._announcer.close()
        await self._stepper.close()
        await self._keeping.close()
        await self._noticer.close()
        await self._watcher.close()
        await self._strangers.close()
        await self._encoder.close()

    def _listener(self) -> Acceptor:
        name = self._channel.name
        services = Services(
            (
                Echo(),
                Storage(name, self._keeping.reception),
                WorklistFind(name, self._find_steps),
                Find(name, self._channel.ae_title, self._archive),
                Get(name, self._archive, self._encoder),
                Move(self._channel, self._entities, self._archive, self._encoder),
                Create(self._steps),
                Set(self._steps),
                GetStep(name, self._pool),
                CommitmentRequests(name, self._pool, self._committer, self._clock),
                CommitmentResults(name, self._pool, self._clock),
                AvailabilityNotices(name, self._pool, self._clock),
            )
        )
        return Acceptor(self._channel, services, self._tls, shared=self._shared, hears=self._strangers)

    def _step_told(self) -> None:
        self._stepper.told()
        self._notifier.wake()

    async def _find_steps(self, facility: str, calling_ae: str, query: StepQuery, limit: int) -> list[Step]:
        try:
            async with self._pool.acquire() as connection:
                return await imaging.scheduled_steps(connection, facility, calling_ae, query, limit)
        except FAILED as error:
            raise StorageError(f"the worklist cannot be read: {type(error).__name__}") from error
