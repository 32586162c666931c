"""What was asked for, and who looked? Objects found in the index, and the look in the audit before it is answered.

A viewer asks for the instances of a series by the hundred, and each look costs a flush of the database. So looks that
come together are written together: one commit for all that wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import asyncpg

from engine.clock import Clock
from engine.errors import NotFoundError
from engine.store import audit, imaging_reading, imaging_search
from engine.store.audit import Audited
from engine.store.imaging_reading import Held
from engine.store.imaging_search import Found, ImagingQuery
from pacs_gateway.dicomweb.asking import Caller
from pacs_gateway.location import open_object


@dataclass(frozen=True, slots=True)
class Wanted:
    """A study, one of its series, or an instance of that; empty where a request says no more."""

    study: str
    series: str = ""
    sop: str = ""

    @property
    def path(self) -> str:
        """Below the root of the service."""
        parts = (("studies", self.study), ("series", self.series), ("instances", self.sop))
        return "".join(f"/{level}/{uid}" for level, uid in parts if uid)


class Looking:
    """Finds what callers ask for. `objects` is the object folder."""

    def __init__(self, pool: asyncpg.Pool, objects: Path, clock: Clock) -> None:
        self._pool = pool
        self._objects = objects
        self._clock = clock
        self._waiting: list[tuple[Sequence[Audited], asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def find(self, caller: Caller, wanted: Wanted, action: str = "read") -> list[Held]:
        """The objects of what is wanted, at least one; the look is in the audit. Raises NotFoundError."""
        async with self._pool.acquire() as connection:
            if wanted.sop:
                held = await imaging_reading.of_instance(
                    connection, caller.facility, wanted.study, wanted.series, wanted.sop
                )
            else:
                held = await imaging_reading.of_study(connection, caller.facility, wanted.study, wanted.series or None)
        if not held:
            raise NotFoundError("nothing is stored under these UIDs")
        detail = {name: uid for name, uid in (("series", wanted.series), ("instance", wanted.sop)) if uid}
        await self.tell(Audited(caller.name, action, f"ImagingStudy/{wanted.study}", detail))
        return held

    async def search(self, caller: Caller, query: ImagingQuery, named: str, limit: int, offset: int) -> list[Found]:
        """What matches; each study that is told of is in the audit. `named` says which parameters were given."""
        async with self._pool.acquire() as connection:
            found = await imaging_search.find(connection, query, limit=limit, offset=offset)
        studies = dict.fromkeys(f"ImagingStudy/{one.key.study_uid}" for one in found) or {"ImagingStudy": None}
        await self.tell(*(Audited(caller.name, "search", subject, {"parameters": named}) for subject in studies))
        return found

    async def stored(self, caller: Caller, sop_uids: list[str]) -> dict[str, Wanted]:
        """Where those of these instances are found that the caller's facility has; storing them is in the audit."""
        async with self._pool.acquire() as connection:
            places = await imaging_reading.places(connection, caller.facility, sop_uids)
        studies: dict[str, int] = {}
        for study, _ in places.values():
            studies[study] = studies.get(study, 0) + 1
        await self.tell(
            *(Audited(caller.name, "store", f"ImagingStudy/{uid}", {"instances": n}) for uid, n in studies.items())
        )
        return {sop: Wanted(study, series, sop) for sop, (study, series) in places.items()}

    def open(self, held: Held) -> BinaryIO:
        """Blocking. An object's file of PS3.10. Raises NotFoundError and StorageError."""
        return open_object(self._objects, held.location)

    def stored_file(self, held: Held) -> Path:
        """Where the file is once the object has left the spool."""
        return self._objects / "store" / held.location

    async def tell(self, *acts: Audited) -> None:
        """On return the acts are in the audit, durable. Raises what the database raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((acts, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all(), name="dicomweb audit")
        await done

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            failure: BaseException | None = None
            try:
                async with self._pool.acquire() as connection:
                    await audit.write(connection, [act for acts, _ in batch for act in acts], self._clock())
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 each of those who wait is told
                failure = error
            for _, done in batch:
                if done.done():
                    continue  # its client has left
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)
