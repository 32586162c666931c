"""What was asked for, and who looked? Objects found in the index, and the look in the audit before it is answered.

A look costs a flush of the database. So looks that come together are looked up and written together, one question and
one commit for all that wait; and what was looked at a moment ago is not asked for again (`recollection`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import BinaryIO

import asyncpg

from engine.clock import Clock
from engine.errors import NotFoundError
from engine.store import audit, imaging_reading, imaging_search
from engine.store.audit import Audited
from engine.store.database import Connection
from engine.store.imaging_query import Found, ImagingQuery
from engine.store.imaging_reading import Held, Named
from pacs_gateway.dicomweb.asking import Caller
from pacs_gateway.dicomweb.recollection import Recollection, SeriesOf
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
    def series(self) -> SeriesOf:
        return SeriesOf(self.caller.facility, self.wanted.study, self.wanted.series)

    @property
    def act(self) -> Audited:
        return _act(self.caller, self.wanted)

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
        self.recollection = Recollection()
        self._looks: list[_Look] = []
        self._working: asyncio.Task[None] | None = None

    async def find(self, caller: Caller, wanted: Wanted) -> list[Held]:
        """The objects of what is wanted, at least one; the look is in the audit. Raises NotFoundError."""
        if wanted.sop and self.recollection.is_audited(_act(caller, wanted)):
            held = self.recollection.instance(SeriesOf(caller.facility, wanted.study, wanted.series), wanted.sop)
            if held is not None:
                return [held]
        look = _Look(caller, wanted, asyncio.get_running_loop().create_future())
        self._looks.append(look)
        self._begin()
        return await look.found

    async def search(self, caller: Caller, query: ImagingQuery, named: str, limit: int, offset: int) -> list[Found]:
        """What matches; each study that is told of is in the audit. `named` says which parameters were given."""
        async with self._pool.acquire() as connection:
            found = await imaging_search.find_page(connection, query, limit=limit, offset=offset)
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

    async def tags_of(self, held: Held) -> dict[str, str]:
        """The identifying attributes of an object that was found."""
        async with self._pool.acquire() as connection:
            return await imaging_reading.tags_of(connection, held)

    def open(self, held: Held) -> BinaryIO:
        """Blocking. An object's file of PS3.10. Raises NotFoundError and StorageError."""
        return open_object(self._objects, held.location)

    def stored_file(self, held: Held) -> Path:
        """Where the file is once the object has left the spool."""
        return self._objects.stored_file(held.location)

    async def tell(self, *acts: Audited) -> None:
        """On return the acts are in the audit, durable. Raises what the database raises."""
        if new := self.recollection.new(acts):
            async with self._pool.acquire() as connection:
                await self._write(connection, new)

    async def _write(self, connection: Connection, acts: Sequence[Audited]) -> None:
        await audit.write(connection, acts, self._clock())
        self.recollection.audited(acts)

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
        instances = await self._instances(connection, [look for look in batch if look.wanted.sop])
        found: dict[int, list[Held]] = {number: [held] for number, held in instances.items()}
        for look in batch:
            if not look.wanted.sop:
                facility, wanted = look.caller.facility, look.wanted
                found[id(look)] = await imaging_reading.of_study(
                    connection, facility, wanted.study, wanted.series or None
                )
        await self._write(connection, self.recollection.new(look.act for look in batch if found.get(id(look))))
        for look in batch:
            look.answer(found.get(id(look), []))

    async def _instances(self, connection: Connection, looks: Sequence[_Look]) -> dict[int, Held]:
        """By the identity of looks: from their series, which are remembered; beyond the bound of one, by themselves."""
        known = self.recollection
        wanted = [
            series for series in dict.fromkeys(look.series for look in looks) if known.objects.get(series) is None
        ]
        begun = known.objects.begin()
        of_series: dict[SeriesOf, dict[str, Held]] = {series: {} for series in wanted}
        for place, held in await imaging_reading.of_series(connection, [astuple(one) for one in wanted]):
            of_series[wanted[place]][held.sop_uid] = held
        for series, objects in of_series.items():
            known.objects.put(begun, series, objects, len(objects) + 1)
        found = {}
        rest = []
        for look in looks:
            sop = look.wanted.sop
            if (one := of_series.get(look.series, {}).get(sop) or known.instance(look.series, sop)) is not None:
                found[id(look)] = one
            else:
                rest.append(look)
        for look, other in zip(
            rest, await imaging_reading.of_instances(connection, [look.named for look in rest]), strict=True
        ):
            if other is not None:
                found[id(look)] = other
        return found


def _act(caller: Caller, wanted: Wanted) -> Audited:
    """A look at an instance is told as one at its series, of which a viewer shows all."""
    detail = {"series": wanted.series} if wanted.series else {}
    return Audited(caller.name, "read", f"ImagingStudy/{wanted.study}", detail)
