"""Who hears that a study is available here? Instance availability notification as its user (PS3.4 annex R)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import uuid4

import asyncpg
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from engine.clock import Clock
from engine.store import availability, imaging, no_longer, notifications
from engine.store.database import FAILED, Connection, end_if_cancelled
from engine.store.imaging import Instance
from engine.store.no_longer import Gone
from engine.store.notifications import Notification, Operation, Owed
from engine.studies import study_id
from pacs_gateway.background import Background
from pacs_gateway.query.identifier import encoded
from pacs_gateway.scp.availability import AVAILABILITY
from pacs_gateway.transfer_syntaxes import IMPLICIT_VR_LITTLE_ENDIAN

BATCH = 20
IDLE_SECS = 2.0

_log = logging.getLogger(__name__)


class Announcer:
    """Owes notices to those who are to hear of the studies of one channel.

    ae_title  by which the instances are to be asked for
    on_owed   called when somebody is owed one
    """

    def __init__(
        self,
        channel: str,
        ae_title: str,
        availability_of: Mapping[str, Collection[str]],
        pool: asyncpg.Pool,
        clock: Clock,
        on_owed: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._ae_title = ae_title
        self._availability_of = availability_of
        self._pool = pool
        self._clock = clock
        self._on_owed = on_owed
        self._background = Background(f"dicom announcer {channel}")

    def start(self) -> None:
        self._background.start(self._run)

    async def close(self) -> None:
        await self._background.close()

    async def _run(self) -> None:
        while True:
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    studies = await availability.take_changed(connection, self._channel, BATCH)
                    for study_uid, facility in studies:
                        await self._owe(connection, study_uid, facility)
            except FAILED as error:
                end_if_cancelled()
                _log.warning("channel %s: notices of studies wait: %s", self._channel, type(error).__name__)
                studies = []
            if studies:
                self._on_owed()
            else:
                await asyncio.sleep(IDLE_SECS)

    async def _owe(self, connection: Connection, study_uid: str, facility: str) -> None:
        """One notice of the whole study to each, also when it has grown; what was decided away is not available."""
        listeners = [name for name, facilities in self._availability_of.items() if facility in facilities]
        if not listeners:
            return
        instances = [one for one in await imaging.study_instances(connection, study_uid, facility) if not one.conflict]
        gone = await no_longer.gone(connection, study_uid, facility)
        if not instances and not gone:
            return  # a notice names instances (PS3.4 annex R)
        notice = notice_of(study_uid, instances, gone, self._ae_title)
        uid = f"2.25.{uuid4().int}"
        message = Notification(Operation.CREATE, AVAILABILITY, uid, IMPLICIT_VR_LITTLE_ENDIAN, notice)
        owed = [
            Owed(name, message, study_uid, f"ImagingStudy/{study_id(facility, study_uid)}", "availability_of")
            for name in listeners
        ]
        await notifications.owe(connection, owed, self._clock())


def notice_of(study_uid: str, instances: Sequence[Instance], gone: Sequence[Gone], ae_title: str) -> bytes:
    grouped: dict[str, list[Dataset]] = {}
    for state, members in (("ONLINE", instances), ("UNAVAILABLE", gone)):
        for instance in members:
            item = Dataset()
            item.InstanceAvailability = state
            item.RetrieveAETitle = ae_title
            item.ReferencedSOPClassUID = instance.sop_class
            item.ReferencedSOPInstanceUID = instance.sop_uid
            grouped.setdefault(instance.series_uid, []).append(item)
    notice = Dataset()
    notice.ReferencedPerformedProcedureStepSequence = Items()
    notice.StudyInstanceUID = study_uid
    series = []
    for uid, items in grouped.items():
        one = Dataset()
        one.SeriesInstanceUID = uid
        one.ReferencedSOPSequence = Items(items)
        series.append(one)
    notice.ReferencedSeriesSequence = Items(series)
    return encoded(notice, IMPLICIT_VR_LITTLE_ENDIAN)
