"""What was asked for, and who looked? Objects found in the index, and the look in the audit before it is answered.

A viewer asks for the instances of a series by the hundred, and each look costs a flush of the database. So looks that
come together are looked up and written together: one question and one commit for all that wait.
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
from engine.store.database import Connection
from engine.store.imaging_reading import Held, Named
from engine.store.imaging_search import Found, ImagingQuery
from pacs_gateway.dicomweb.asking import Caller
from pacs_gateway.location import Objects, open_object


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


@dataclass(frozen=True, slots=True)
class _Look:
    """One request that waits for what it asks for."""

    caller: Caller
    wanted: Wanted
    found: asyncio.Future[list[Held]]

    @property
    def named(self) -> Named:
        return Named(self.caller.facility, self.wanted.study, self.wanted.series, self.wanted.sop)

    @property
    def act(self) -> Audited:
        wanted = self.wanted
        detail = {name: uid for name, uid in (("series", wanted.series), ("instance", wanted.sop)) if uid}
        return Audited(self.caller.name, "read", f"ImagingStudy/{wanted.study}", detail)

    def answer(self, held: list[Held]) -> None:
        if self.found.done():
            return  # its client has left
        if held:
            self.found.set_result(held)
        else:
            self.found.set_exception(NotFoundError("nothing is stored under these UIDs"))

    def fail(self, error: BaseException) -> None:
        if not self.found.done():
            self.found.set_exception(error)


class Looking:
    """Finds what callers ask for."""

    def __init__(self, pool: asyncpg.Pool, objects: Objects, clock: Clock) -> None:
        self._pool = pool
        self._objects = objects
        self._clock = clock
        self._looks: list[_Look] = []
        self._working: asyncio.Task[None] | None = None

    async def find(self, caller: Caller, wanted: Wanted) -> list[Held]:
        """The objects of what is wanted, at least one; the look is in the audit. Raises NotFoundError."""
        look = _Look(caller, wanted, asyncio.get_running_loop().create_future())
        self._looks.append(look)
        self._begin()
        return await look.found

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
        return self._objects.stored_file(held.location)

    async def tell(self, *acts: Audited) -> None:
        """On return the acts are in the audit, durable. Raises what the database raises."""
        async with self._pool.acquire() as connection:
            await audit.write(connection, acts, self._clock())

    def _begin(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._answer_all(), name="dicomweb looks")

    async def _answer_all(self) -> None:
        while self._looks:
            batch, self._looks = self._looks, []
            try:
                async with self._pool.acquire() as connection:
                    while batch:
                        await self._answer(connection, batch)
                        batch, self._looks = self._looks, []
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 each of those who wait is told
                for look in batch:
                    look.fail(error)

    async def _answer(self, connection: Connection, batch: Sequence[_Look]) -> None:
        ones = [look for look in batch if look.wanted.sop]
        held = await imaging_reading.of_instances(connection, [look.named for look in ones]) if ones else []
        found = {id(look): [one] for look, one in zip(ones, held, strict=True) if one is not None}
        for look in batch:
            if not look.wanted.sop:
                facility, wanted = look.caller.facility, look.wanted
                found[id(look)] = await imaging_reading.of_study(
                    connection, facility, wanted.study, wanted.series or None
                )
        await audit.write(connection, [look.act for look in batch if found.get(id(look))], self._clock())
        for look in batch:
            look.answer(found.get(id(look), []))
