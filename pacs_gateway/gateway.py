"""How do the parts of the gateway hang together? One DICOM channel, from its listener to its manifests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from engine.clock import Clock
from engine.config import DicomChannel
from engine.errors import StorageError
from engine.store import imaging
from engine.store.database import FAILED
from engine.store.imaging import Instance, Standing, StepQuery
from engine.store.worklist import Step
from pacs_gateway.discretion import keep_libraries_discreet
from pacs_gateway.gathering import Gathering
from pacs_gateway.index import COMMIT_TIMEOUT_SECS, Index
from pacs_gateway.notice import ManifestIntake, Noticer
from pacs_gateway.scp.acceptor import Acceptor
from pacs_gateway.scp.echo import Echo
from pacs_gateway.scp.service import Services
from pacs_gateway.scp.storage import Storage
from pacs_gateway.scp.worklist import WorklistFind
from pacs_gateway.shelver import Shelver
from pacs_gateway.spool import Key, Spool
from pacs_gateway.store import Store

GRACE_SECS = 10.0
STORING_THREADS = 16


class Gateway:
    """Receives objects and answers worklist queries on one channel.

    objects_root  the object folder, DATA/objects; one gateway at a time may have a channel's spool in it open
    tls           what its connections are protected with
    """

    def __init__(
        self,
        channel: DicomChannel,
        pool: asyncpg.Pool,
        intake: ManifestIntake,
        objects_root: Path,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._channel = channel
        self._tls = tls
        self._pool = pool
        self._clock = clock
        self._spool = Spool(objects_root, channel.name)
        self._noticer = Noticer(pool, intake, channel.name, channel.quiet_secs, clock)
        self._shelver = Shelver(pool, self._spool)
        self._index = Index(pool, channel.name, self._committed)
        self._threads = ThreadPoolExecutor(STORING_THREADS, thread_name_prefix="dicom store")
        self._acceptor: Acceptor | None = None

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._acceptor is not None, "the gateway was not started"
        return self._acceptor.port

    async def start(self) -> None:
        """Settles what an earlier process left, then listens.

        Raises ConfigurationError (spool in use, address taken) and StorageError (disk, database).
        """
        keep_libraries_discreet()
        await asyncio.to_thread(self._spool.open)
        try:
            await self._shelver.sweep()
            self._shelver.start()
            self._index.start()
            self._noticer.start()
            self._acceptor = self._listener()
            await self._acceptor.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stops listening, answers what is being stored within a grace period, leaves the rest to the next start."""
        if self._acceptor is not None:
            await self._acceptor.close(GRACE_SECS)
        await self._index.close()
        await self._noticer.close()
        await self._shelver.close()
        self._threads.shutdown(wait=False)
        self._spool.close()

    def _listener(self) -> Acceptor:
        loop = asyncio.get_running_loop()

        def commit(instance: Instance) -> Standing:
            future = asyncio.run_coroutine_threadsafe(self._index.add(instance), loop)
            try:
                return future.result(2 * COMMIT_TIMEOUT_SECS)
            except TimeoutError:
                raise StorageError("the index did not commit in time") from None

        def unsure(key: Key) -> None:
            loop.call_soon_threadsafe(self._shelver.settle, key)

        name = self._channel.name
        reception = Gathering(Store(self._spool, commit, unsure, self._clock), self._threads)
        services = Services((Echo(), Storage(name, reception), WorklistFind(name, self._find_steps)))
        return Acceptor(self._channel, services, self._tls)

    def _committed(self, instances: Sequence[Instance]) -> None:
        self._shelver.shelve(Key.of(instance.location) for instance in instances)
        self._noticer.stored()

    async def _find_steps(self, facility: str, calling_ae: str, query: StepQuery, limit: int) -> list[Step]:
        try:
            async with self._pool.acquire() as connection:
                return await imaging.scheduled_steps(connection, facility, calling_ae, query, limit)
        except FAILED as error:
            raise StorageError(f"the worklist cannot be read: {type(error).__name__}") from error
