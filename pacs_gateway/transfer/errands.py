"""What is done for one delivery to another hub? The study is sent as far as the hub does not have it yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from engine.clock import Clock
from engine.errors import DeliveryError, Disposition, HutongError
from engine.store import imaging, transfers
from engine.store.imaging_outbox import ImagingOwed, StudyOwed
from engine.store.outbox import Due
from engine.store.transfers import Direction
from pacs_gateway.location import Objects
from pacs_gateway.sending.outcome import Outcome, Turns
from pacs_gateway.transfer.contents import Contents, name_of
from pacs_gateway.transfer.outgoing import Outgoing, Sent, Stream

TOLD_EVERY_SECS = 1.0
"""Progress is written no oftener: it is looked at by people."""


class TransferErrands:
    """Does what one hub is owed."""

    def __init__(self, endpoint: str, outgoing: Outgoing, objects: Objects, clock: Clock) -> None:
        self._endpoint = endpoint
        self._outgoing = outgoing
        self._objects = objects
        self._clock = clock

    async def perform(
        self, due: Due, what: ImagingOwed, turns: Turns, *, urgent: bool, may_go_on: Callable[[], bool]
    ) -> Outcome:
        """One attempt. Raises what the database raises; everything else is in the outcome."""
        if not isinstance(what, StudyOwed):
            return Outcome(said="", refused="another hub is not asked for earlier studies")
        async with turns.transaction() as connection:
            stored = await imaging.study_instances(connection, what.study_uid, what.facility)
        instances = [one for one in stored if not one.conflict]
        if not instances:
            return Outcome(said=json.dumps({"objects": 0}))
        stream = Stream(self._objects, instances)
        try:
            study = await asyncio.to_thread(stream.contents, what.study_uid)
            return await self._send(what, study, stream, turns, may_go_on)
        except HutongError as error:
            if isinstance(error, DeliveryError):
                return _failed(error)
            return _failed(DeliveryError(error.message, code=error.code))
        finally:
            await asyncio.to_thread(stream.close)

    async def _send(
        self, what: StudyOwed, study: Contents, stream: Stream, turns: Turns, may_go_on: Callable[[], bool]
    ) -> Outcome:
        moved = _Moved(self, what, study, turns)
        try:
            sent = await self._outgoing.send(study, stream, may_go_on, moved.progress)
        except DeliveryError as error:
            return _failed(error, progress=moved.bytes > 0)
        if sent.paused:
            return Outcome(said="", paused=True, progress=sent.moved_bytes > 0)
        async with turns.transaction() as connection:
            name = name_of(study.written())
            at = self._clock()
            await transfers.ended(connection, name, Direction.OUT, self._endpoint, whole=sent.whole, at=at)
            await transfers.forget(connection, at - transfers.KEPT)
        return _done(study, sent)

    async def tell(self, what: StudyOwed, study: Contents, turns: Turns, name: str, done: int, total: int) -> None:
        async with turns.transaction() as connection:
            await transfers.begun(
                connection,
                transfers.Transfer(
                    name, Direction.OUT, self._endpoint, what.facility, what.study_uid, len(study.objects), total, done
                ),
                self._clock(),
            )


class _Moved:
    """The progress of one attempt."""

    def __init__(self, errands: TransferErrands, what: StudyOwed, study: Contents, turns: Turns) -> None:
        self._errands = errands
        self._what = what
        self._study = study
        self._turns = turns
        self._told_at: float | None = None
        self.bytes = 0

    async def progress(self, name: str, done: int, total: int) -> None:
        self.bytes = done
        now = asyncio.get_running_loop().time()
        if self._told_at is None or done == total or now - self._told_at >= TOLD_EVERY_SECS:
            self._told_at = now
            await self._errands.tell(self._what, self._study, self._turns, name, done, total)


def _failed(error: DeliveryError, *, progress: bool = False) -> Outcome:
    if error.disposition is Disposition.RETRY:
        return Outcome(said="", again=error, progress=progress)
    return Outcome(said="", refused=f"{error.message} ({error.code})")


def _done(study: Contents, sent: Sent) -> Outcome:
    objects = len(study.objects)
    refused = sorted(sent.refused)
    why = ", ".join(dict.fromkeys(refused))
    return Outcome(
        said=json.dumps({"objects": objects, "arrived": objects - len(refused), "bytes": sent.moved_bytes}),
        refused=f"{len(refused)} of {objects} objects are refused: {why}" if refused else "",
        progress=sent.moved_bytes > 0,
    )
