"""How is a study taken that another hub sends? Kept in pieces until it is whole, then stored as if it had been posted.

What has come is read also when the rest stays away: after a while of silence objects that are whole are stored.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import asyncpg

from engine.clock import Clock
from engine.errors import HutongError, NotFoundError, ParseError, StorageError
from engine.store import announcements, audit, transfers
from engine.store.announcements import Announced, Source
from engine.store.database import FAILED, end_if_cancelled
from engine.store.transfers import Direction
from pacs_gateway.background import Background
from pacs_gateway.scp.reception import Announced as Arriving
from pacs_gateway.transfer import contents
from pacs_gateway.transfer.contents import Content, Contents
from pacs_gateway.transfer.staging import Staging
from pacs_gateway.transfer.standing import Sender, Stands, Store

OPEN_LIMIT = 64
"""Transfers of one sender at once; hubs send one study after the other."""
SPARE_BYTES = 64 * 1024**2
"""Left on the disk for what else is received."""
SILENCE = timedelta(seconds=60)
"""After this, objects that have come whole are stored though others are missing."""
FORGOTTEN = timedelta(days=7)
"""After this, what has come of an object in part is dropped; a sender that still has the study begins it anew."""
LOOK_SECS = 5.0
TOLD_EVERY_SECS = 2.0
DAMAGED_LIMIT = 3
"""How often the bytes of an object may have another hash than was announced: after that the announcement is wrong."""
_log = logging.getLogger(__name__)


class Incoming:
    """Every transfer to this hub.

    folder   of its own, beside spool and store
    channel  whose objects they are
    """

    def __init__(self, pool: asyncpg.Pool, store: Store, folder: Path, channel: str, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._folder = folder
        self._channel = channel
        self._clock = clock
        self._locks: dict[Path, asyncio.Lock] = {}
        self._stagings: dict[Path, Staging] = {}
        self._stored_early: dict[Path, int] = {}
        self._told_at: dict[Path, float] = {}
        self._background = Background("transfers")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    async def announce(self, sender: Sender, name: str, written: bytes) -> Stands:
        """A study is to come, or to go on coming. Raises ParseError for impossible contents, StorageError: no room."""
        if contents.name_of(written) != name:
            raise ParseError("the list of objects is not what it was when it was sent", code="chunk-damaged")
        announced = await asyncio.to_thread(contents.read, written)
        async with self._of(sender, name) as folder:
            if Staging.is_at(folder):
                staging = await self._begun(folder)
                return Stands(whole=False, needed=staging.round.needed, offset=staging.offset)
            await self._take_over_older(sender, folder, announced.study_uid)
            needed = await self._unknown(sender, announced)
            async with self._pool.acquire() as connection, connection.transaction():
                await announcements.announce(
                    connection,
                    channel=self._channel,
                    facility=sender.facility,
                    source=Source.TRANSFER,
                    about=f"{sender.name}/{announced.study_uid}",
                    said_by=sender.name,
                    said=[Announced(one.sop_uid, one.series_uid, announced.study_uid) for one in announced.objects],
                    at=self._clock(),
                )
                await transfers.stopped(
                    connection, Direction.IN, sender.name, sender.facility, announced.study_uid, apart_from=name
                )
                if needed:
                    await self._tell(connection, sender, name, announced, needed)
                else:
                    await transfers.ended(connection, name, Direction.IN, sender.name, whole=True, at=self._clock())
            if not needed:
                return Stands(whole=True)
            await asyncio.to_thread(self._make_room, folder, announced, needed)
            await asyncio.to_thread(Staging.begun, folder, announced, needed)
            return Stands(whole=False, needed=needed)

    async def append(self, sender: Sender, name: str, offset: int, piece: bytes) -> int:
        """How much of the stream is here, durable; a piece that does not continue it changes nothing.

        Raises NotFoundError where nothing was announced, StorageError when the disk says no.
        """
        async with self._of(sender, name) as folder:
            staging = await self._begun(folder)
            here = await asyncio.to_thread(staging.append, offset, piece)
            await self._tell_progress(sender, folder, here)
            return here

    async def finish(self, sender: Sender, name: str) -> Stands:
        """Everything was sent. On return what came whole is stored and indexed; what did not is needed once more.

        Raises NotFoundError where nothing was announced, StorageError when spool or database say no: finish again.
        """
        async with self._of(sender, name) as folder:
            staging = await self._begun(folder)
            if staging.offset < staging.starts[-1]:
                return Stands(whole=False, needed=staging.round.needed, offset=staging.offset)
            damaged, refused = await self._take_over(sender, staging)
            hopeless = [index for index in damaged if staging.round.damaged.get(index, 0) + 1 >= DAMAGED_LIMIT]
            refused += [(index, "its bytes have another hash than is said of them") for index in hopeless]
            if again := [index for index in damaged if index not in hopeless]:
                self._stagings[folder] = await asyncio.to_thread(staging.again, again)
                return Stands(whole=False, needed=again, refused=refused)
            await self._ended(sender, name, staging.contents, len(refused))
            await self._forget(staging)
            return Stands(whole=not refused, refused=refused)

    # ── storing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take_over(self, sender: Sender, staging: Staging) -> tuple[list[int], list[tuple[int, str]]]:
        """Stores the objects that are here; those whose hash is wrong, and those that cannot be stored."""
        objects = staging.contents.objects
        unknown = set(await self._unknown(sender, staging.contents))
        damaged: list[int] = []
        refused: list[tuple[int, str]] = []
        for place in await asyncio.to_thread(staging.objects_here):
            index = staging.round.needed[place]
            if index not in unknown:
                continue
            if not await asyncio.to_thread(staging.is_whole, place):
                damaged.append(index)
                continue
            try:
                await self._store_one(sender, staging, place, objects[index])
            except ParseError as error:
                _log.warning("an object that %s transfers cannot be stored: %s", sender.name, error.message)
                refused.append((index, error.code))
        await self._store.settled()
        missing = set(await self._unknown(sender, staging.contents)) - set(damaged) - {index for index, _ in refused}
        if missing & {staging.round.needed[place] for place in staging.objects_here()}:
            raise StorageError("the index does not take what was stored yet")
        return damaged, refused

    async def _take_over_older(self, sender: Sender, folder: Path, study_uid: str) -> None:
        """What came of a study while it had fewer objects is not sent again now that it has more."""
        for older in sorted(folder.parent.glob("*")):
            lock = self._locks.setdefault(older, asyncio.Lock())
            if older == folder or lock.locked() or not Staging.is_at(older):
                continue
            async with lock:
                staging = await self._begun(older)
                if staging.contents.study_uid == study_uid:
                    await self._take_over(sender, staging)
                    await self._forget(staging)

    async def _store_one(self, sender: Sender, staging: Staging, place: int, one: Content) -> None:
        arriving = (await self._store.reception()).begin(
            Arriving(
                sop_class_uid=one.sop_class,
                sop_instance_uid=one.sop_uid,
                transfer_syntax_uid=one.transfer_syntax,
                calling_ae=sender.name.upper()[:16],
                called_ae="",
                facility=sender.facility,
                peer=sender.peer,
                study_uid=staging.contents.study_uid,
            )
        )
        try:
            pieces = staging.pieces(place)
            while (piece := await asyncio.to_thread(next, pieces, b"")) != b"":
                arriving.write([memoryview(piece)])
        except BaseException:
            arriving.abandon()
            raise
        await arriving.finish()

    async def _unknown(self, sender: Sender, announced: Contents) -> list[int]:
        """Places of the objects that are not stored with these very bytes."""
        asked = [(one.sop_uid, sender.facility, bytes.fromhex(one.sha256)) for one in announced.objects]
        try:
            async with self._pool.acquire() as connection:
                stored = await transfers.stored(connection, asked)
        except FAILED as error:
            end_if_cancelled()
            raise StorageError(f"the index cannot be read: {type(error).__name__}") from error
        return [index for index, one in enumerate(asked) if one not in stored]

    async def _ended(self, sender: Sender, name: str, announced: Contents, refused: int) -> None:
        at = self._clock()
        detail = {"instances": len(announced.objects) - refused}
        async with self._pool.acquire() as connection, connection.transaction():
            await transfers.ended(connection, name, Direction.IN, sender.name, whole=not refused, at=at)
            await transfers.forget(connection, at - transfers.KEPT)
            await audit.write(
                connection, [audit.Audited(sender.name, "store", f"ImagingStudy/{announced.study_uid}", detail)], at
            )

    async def _tell_progress(self, sender: Sender, folder: Path, here: int) -> None:
        """Now and then: it is looked at by people."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at.get(folder, 0.0) < TOLD_EVERY_SECS:
            return
        self._told_at[folder] = now
        with suppress(*FAILED):  # the piece is safe, and its progress is told with a later one
            async with self._pool.acquire() as connection:
                await transfers.moved(connection, folder.name, Direction.IN, sender.name, here, self._clock())

    async def _tell(
        self,
        connection: asyncpg.Connection,
        sender: Sender,
        name: str,
        announced: Contents,
        needed: Sequence[int],
    ) -> None:
        await transfers.begun(
            connection,
            transfers.Transfer(
                name=name,
                direction=Direction.IN,
                peer=sender.name,
                facility=sender.facility,
                study_uid=announced.study_uid,
                objects=len(announced.objects),
                total_bytes=sum(announced.objects[index].size for index in needed),
                done_bytes=0,
            ),
            self._clock(),
        )

    # ── folders ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _of(self, sender: Sender, name: str) -> AsyncIterator[Path]:
        """The folder of a transfer, for one request at a time."""
        folder = self._folder / sender.name / name
        lock = self._locks.setdefault(folder, asyncio.Lock())
        try:
            async with lock:
                yield folder
        finally:
            if not lock.locked() and not folder.exists():
                self._locks.pop(folder, None)

    async def _begun(self, folder: Path) -> Staging:
        """What is here of a transfer; it is read once, because it may be long and a study has many pieces."""
        if not Staging.is_at(folder):
            self._stagings.pop(folder, None)
            raise NotFoundError("nothing was announced under this name", code="transfer-unknown")
        if folder not in self._stagings:
            self._stagings[folder] = await asyncio.to_thread(Staging, folder)
        return self._stagings[folder]

    async def _forget(self, staging: Staging) -> None:
        for known in (self._stagings, self._stored_early, self._told_at):
            known.pop(staging.folder, None)
        await asyncio.to_thread(staging.remove)

    def _make_room(self, folder: Path, announced: Contents, needed: Sequence[int]) -> None:
        """Raises StorageError when the study would not fit: it lies here twice for a moment."""
        if folder.parent.is_dir() and len(list(folder.parent.iterdir())) >= OPEN_LIMIT:
            raise StorageError("too many transfers of this sender have begun and not ended", code="too-many-transfers")
        self._folder.mkdir(parents=True, exist_ok=True)
        size = sum(announced.objects[index].size for index in needed)
        if shutil.disk_usage(self._folder).free < 2 * size + SPARE_BYTES:
            raise StorageError("there is no room for this study", code="no-room")

    # ── silence ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECS)
            try:
                await self.store_what_waits()
            except (*FAILED, HutongError, OSError) as error:
                end_if_cancelled()
                _log.warning("transfers that fell silent are looked at again: %s", type(error).__name__)

    async def store_what_waits(self) -> None:
        """Stores the whole objects of transfers that have fallen silent; drops what nobody continues."""
        at = self._clock().timestamp()
        for folder in sorted(self._folder.glob("*/*")):
            with suppress(FileNotFoundError, NotFoundError):  # it has just ended
                await self._look_at(folder, at)

    async def _look_at(self, folder: Path, at: float) -> None:
        lock = self._locks.setdefault(folder, asyncio.Lock())
        async with lock:
            if not Staging.is_at(folder):  # the process ended while it was made
                await asyncio.to_thread(_remove_if_old, folder, at)
                return
            staging = await self._begun(folder)
            silent = at - staging.changed_at
            if silent < SILENCE.total_seconds():
                return
            await self._store_early(folder, staging)
            if silent > FORGOTTEN.total_seconds():
                await self._forget(staging)
                async with self._pool.acquire() as connection:
                    await transfers.dropped(connection, folder.name, Direction.IN, folder.parent.name)

    async def _store_early(self, folder: Path, staging: Staging) -> None:
        here = len(staging.objects_here())
        if here > self._stored_early.get(folder, 0):
            with suppress(NotFoundError):  # another transfer of the study has taken its place
                facility = await self._facility_of(folder)
                await self._take_over(Sender(folder.parent.name, facility), staging)
            self._stored_early[folder] = here

    async def _facility_of(self, folder: Path) -> str:
        """Whose study it is, as it was when the transfer began. Raises NotFoundError."""
        async with self._pool.acquire() as connection:
            return await transfers.facility_of(connection, folder.name, Direction.IN, folder.parent.name)


def _remove_if_old(folder: Path, at: float) -> None:
    if at - folder.stat().st_mtime > FORGOTTEN.total_seconds():
        shutil.rmtree(folder)
