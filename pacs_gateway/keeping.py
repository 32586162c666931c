"""How do the parts behind C-STORE hang together? One channel's spool, from the first byte of an object to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg

from engine.clock import Clock
from engine.ports import ObjectStore
from pacs_gateway.flushing import Flushing
from pacs_gateway.hashing import Hashing
from pacs_gateway.indexing import Index
from pacs_gateway.receiving import SpoolReception
from pacs_gateway.recovery import complete_index
from pacs_gateway.rows import Indexed
from pacs_gateway.segments.lying import lying
from pacs_gateway.segments.spool import Draw, Spool
from pacs_gateway.shelf import Shelf
from pacs_gateway.shelving import Shelver
from pacs_gateway.waiting import Waiting


class Keeping:
    """Keeps what arrives on one channel.

    objects    the object folder: the spool is in it
    on_stored  called when something was added to the index
    store      where finished objects go; without one, into the object folder
    """

    def __init__(
        self,
        channel: str,
        pool: asyncpg.Pool,
        objects: Path,
        clock: Clock,
        draw: Draw,
        on_stored: Callable[[], None],
        store: ObjectStore | None = None,
    ) -> None:
        self._channel = channel
        self._objects = objects
        self._folder = objects / "store"
        self._store = store
        self._on_stored = on_stored
        self._spool = Spool(objects, channel, draw)
        self._shelver = Shelver(self._spool, Waiting(pool, channel, self._spool, clock))
        self._hashing = Hashing(channel)
        self._index = Index(pool, channel, self._hashing, clock, self._committed)
        self._flushing = Flushing(channel)
        self._looks = ThreadPoolExecutor(1, f"dicom spools {channel}")
        """Through all spools, one after the other: they may have to wait for a process that starts."""
        self.reception = SpoolReception(self._spool, self._index, self._flushing, clock)

    async def start(self) -> None:
        """Settles what earlier processes left; then `reception` may be used.

        Raises ConfigurationError (too many processes) and StorageError (disk, database).
        """
        await asyncio.to_thread(self._spool.open)
        self._shelver.shelve(await complete_index(self._spool, self._index))
        self._shelver.start(self._store or Shelf(self._folder, f"{self._channel}-{self._spool.number}"))
        self._index.start()

    @property
    def number(self) -> int:
        """Which of the channel's processes we are, once started."""
        return self._spool.number

    async def lying(self, facility: str, sop_uids: Collection[str]) -> set[str]:
        """Those of a facility's instances that some process may have answered and that may still get their rows.

        Raises StorageError when that cannot be told now.
        """
        return await asyncio.get_running_loop().run_in_executor(self._looks, lying, self._objects, facility, sop_uids)

    async def settled(self) -> bool:
        """Returns when what this process answered until now is in the index, or cannot be for now; and which it is."""
        return await self._index.settled()

    async def close(self) -> None:
        """After the last object was answered. What is not done yet is left to the next start."""
        await self._index.close()
        await self._shelver.close()
        await self._flushing.close()
        await self._hashing.close()
        self._looks.shutdown(wait=False)
        self._spool.close()

    def _committed(self, objects: Sequence[Indexed]) -> None:
        self._shelver.shelve(objects)
        self._on_stored()
