"""When is a rejection note carried out, or made? Soon after it came, or after what others have to hear was decided.

A note that came hides what it names from every query and retrieval, those that are still to come too. One that we owe
is stored as an object of the study it is about, and owed to the systems that have taken something of what it names.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable
from typing import Protocol

import asyncpg
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from engine.clock import Clock
from engine.config import DicomChannel
from engine.envelope import EnvelopeIds
from engine.errors import HutongError, NotFoundError, ParseError
from engine.finding import Finding
from engine.store import as_sent, audit, findings, imaging_outbox, rejection_notes, restating, stating
from engine.store.database import FAILED, Connection, end_if_cancelled
from engine.store.findings import Raised
from engine.store.imaging_outbox import URGENT, Prioritised, StudyOwed, payload_of
from engine.store.instances import Instance
from engine.store.outbox import Owed
from engine.store.rejection_notes import Arrived, OwedNote
from engine.store.statements import Kind, Said
from engine.store.stating import New
from engine.studies import study_id
from pacs_gateway.background import Background
from pacs_gateway.location import Objects, open_object
from pacs_gateway.manifest import ae_title
from pacs_gateway.query.identifier import UNREADABLE
from pacs_gateway.rejections.later import Later
from pacs_gateway.rejections.note import KEY_OBJECT_SELECTION, SHOWN, Note, Rejected, encoded, note_in, transfer_syntax
from pacs_gateway.scp.reception import Announced, Reception

BATCH = 20
LOOK_SECS = 2.0
"""Between two looks: by index, and mostly there is nothing."""
RETRY_SECS = 5.0
LIMIT_BYTES = 64 * 1024 * 1024
"""A note of a hundred thousand instances has a third of it."""
STUDIES_LIMIT = 100
"""Of one note; those that are known are found by their instances."""
_LOCAL = "127.0.0.1:0"
_TITLE_OF = {
    Kind.ASSIGN: "113038",
    Kind.SPLIT: "113038",
    Kind.MERGE: "113038",
    Kind.REPLACE: "113001",
    Kind.KEEP: "113001",
}
"""Of a rejection its own; other contents that are left are never served, so nobody hears of that."""

_log = logging.getLogger(__name__)


class Kept(Protocol):
    """What keeps objects, and what becomes of them."""

    @property
    def reception(self) -> Reception: ...

    async def settled(self) -> bool: ...


class Noting:
    """Looks after the notes of one channel. `on_said` is called when something of a study is served otherwise."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        channel: DicomChannel,
        keeping: Kept,
        objects: Objects,
        ids: EnvelopeIds,
        clock: Clock,
        on_said: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._channel = channel
        self._keeping = keeping
        self._objects = objects
        self._ids = ids
        self._clock = clock
        self._on_said = on_said
        self._unread_later = Later[bytes](RETRY_SECS)
        self._owed_later = Later[int](RETRY_SECS)
        self._background = Background(f"rejection notes {channel.name}")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    async def _run(self) -> None:
        while True:
            try:
                done = await self._carry_out() + await self._make()
                wait_secs = 0.0 if done else LOOK_SECS
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                self._warn(error)
                wait_secs = RETRY_SECS
            await asyncio.sleep(wait_secs)

    def _warn(self, error: Exception) -> None:
        _log.warning("channel %s: rejection notes wait: %s", self._channel.name, type(error).__name__)

    async def _carry_out(self) -> int:
        """How many notes were looked into, or left for later: none is in another one's way."""
        async with self._pool.acquire() as connection:
            left = self._unread_later.still()
            arrived = await rejection_notes.unread(connection, self._channel.name, BATCH, apart_from=left)
        for one in arrived:
            try:
                await self._carry_out_one(one)
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                self._warn(error)
                self._unread_later.leave(one.served.sha256)
        return len(arrived)

    async def _carry_out_one(self, arrived: Arrived) -> None:
        instance = arrived.served
        try:
            note = note_in(await asyncio.to_thread(_read, self._objects, instance))
            finding = None
        except ParseError as error:
            note, finding = None, Finding(error.code, error.message, location=f"Instance/{instance.sop_uid}")
        async with self._pool.acquire() as connection, connection.transaction():
            at = self._clock()
            if not await rejection_notes.mark_read(connection, arrived, at):
                return
            if finding is not None:
                about = f"ImagingStudy/{study_id(instance.facility, instance.study_uid)}"
                raised = Raised(finding, about=about, channel=self._channel.name)
                await findings.raise_many(connection, [raised], at)
            if note is not None and note.rejected:
                await self._say(connection, arrived, note)
        self._on_said()

    async def _say(self, connection: Connection, arrived: Arrived, note: Note) -> None:
        """A facility's note concerns what that facility has stored, and nothing else.

        Whoever has taken something of it is told by a note of ours, whatever its code: it names what it rejects as
        those know it. One that rejects only what nobody is shown any more says nothing new, and ends here.
        """
        instance = arrived.served
        named = {one.sop_uid for one in note.rejected if one.sop_uid}
        rejects = sorted(named)
        if note.code != SHOWN:
            named.add(arrived.sop_uid)
        found = await rejection_notes.studies_with(connection, instance.facility, sorted(named))
        told = sorted({one.study_uid for one in note.rejected if one.study_uid})[:STUDIES_LIMIT]
        studies = sorted({instance.study_uid, *found, *told})
        await restating.lock(connection, instance.facility, studies)
        tells = await rejection_notes.shows(connection, instance.facility, rejects) and await as_sent.was_sent(
            connection, instance.facility, studies
        )
        said = Said(instances=tuple(sorted(named)), code=note.code, renumber=tells, note=arrived.sop_uid)
        actor, at = ae_title(instance.peer), self._clock()
        why = f"rejection note {arrived.sop_uid}"
        new = New(instance.facility, Kind.REJECT, instance.study_uid, studies, said, actor, why, owes_note=tells)
        number = await stating.state(connection, new, at)
        study_uid, subject = instance.study_uid, f"ImagingStudy/{study_id(instance.facility, instance.study_uid)}"
        detail: dict[str, str | int | bool | None] = {"reason": why, "number": number, "study": study_uid}
        act = audit.Audited(actor, "reconcile-reject", subject, {**detail, "code": note.code})
        await audit.write(connection, [act], at)

    async def _make(self) -> int:
        """How many notes were made, or left for later: none is in another one's way."""
        async with self._pool.acquire() as connection:
            left = self._owed_later.still()
            owed = await rejection_notes.owed(connection, self._channel.name, BATCH, apart_from=left)
        done = 0
        for note in owed:
            try:
                done += await self._make_one(note)
            except (*FAILED, HutongError) as error:
                end_if_cancelled()
                self._warn(error)
                self._owed_later.leave(note.stated.id)
                done += 1
        return done

    async def _make_one(self, note: OwedNote) -> bool:
        """Stores the note, then owes it; a note that is stored already is a repeat."""
        if note.changed:
            await self._store(note)
        async with self._pool.acquire() as connection, connection.transaction():
            if note.changed and not await rejection_notes.is_kept(connection, note):
                return False  # its row is to come: the next look owes it
            receivers = await rejection_notes.receivers(connection, note)
            if await rejection_notes.made(connection, note):
                await imaging_outbox.owe(connection, [self._owed(note, one) for one in receivers], self._clock())
        return True

    async def _store(self, note: OwedNote) -> None:
        """Raises HutongError: nothing of it was kept."""
        study_uid = _study_of(note)
        async with self._pool.acquire() as connection:
            attributes = await as_sent.attributes_of(connection, note.stated.facility, study_uid)
        data_set = encoded(
            sop_uid=note.sop_uid,
            study_uid=study_uid,
            attributes=_as_known(note, attributes),
            note=Note(_code(note), tuple(_rejected(note))),
            sender=self._channel.ae_title,
            at=note.stated.undone_at or note.stated.stated_at,
        )
        announced = Announced(
            sop_class_uid=KEY_OBJECT_SELECTION,
            sop_instance_uid=note.sop_uid,
            transfer_syntax_uid=transfer_syntax(),
            calling_ae=self._channel.ae_title,
            called_ae=self._channel.ae_title,
            facility=note.stated.facility,
            peer=f"{self._channel.ae_title}@{_LOCAL}",
            study_uid=study_uid,
        )
        arriving = self._keeping.reception.begin(announced)
        try:
            arriving.write([memoryview(data_set)])
        except HutongError:
            arriving.abandon()
            raise
        await arriving.finish()
        await self._keeping.settled()

    def _owed(self, note: OwedNote, endpoint: str) -> Prioritised:
        study_uid, at = _study_of(note), self._clock()
        payload = payload_of(StudyOwed(note.stated.facility, study_uid))
        return Prioritised(Owed(self._ids.next(at), endpoint, study_uid, payload, "rejection-note"), URGENT)


def _study_of(note: OwedNote) -> str:
    """The study that those know who are told: the one of most of what they are to forget."""
    studies = [one.before.study_uid for one in note.changed]
    return max(sorted(set(studies)), key=studies.count)


def _as_known(note: OwedNote, now: dict[str, str]) -> dict[str, str]:
    """What was served of patient and study with what is rejected, as far as it differs from what is served now."""
    first = note.changed[0]
    tags: dict[str, str] = json.loads(first.sent.tags)
    return {**now, **tags, **first.before.attributes}


def _rejected(note: OwedNote) -> list[Rejected]:
    return [
        Rejected(one.before.study_uid, one.before.series_uid, one.before.sop_uid, one.sent.sop_class)
        for one in note.changed
    ]


def _code(note: OwedNote) -> str:
    return note.stated.said.code or _TITLE_OF[note.stated.kind]


def _read(objects: Objects, instance: Instance) -> Dataset:
    """Blocking. Raises ParseError for what is gone, too large or no data set, StorageError while the store is away."""
    try:
        with open_object(objects, instance.location) as file:
            content = file.read(LIMIT_BYTES + 1)
    except NotFoundError as error:
        raise ParseError("the key object selection is not in the store any more", code="note-unreadable") from error
    if len(content) > LIMIT_BYTES:
        raise ParseError("the key object selection is larger than any is", code="note-unreadable")
    try:
        return dcmread(io.BytesIO(content))
    except UNREADABLE as error:
        raise ParseError("the key object selection cannot be read", code="note-unreadable") from error
