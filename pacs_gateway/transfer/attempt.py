"""How does one attempt to send a study to another hub go? What that may have of it from now on is remembered first."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from engine.clock import Clock
from engine.errors import DeliveryError, Disposition, HutongError
from engine.store import imaging_outbox, transfers
from engine.store.database import Connection
from engine.store.imaging_outbox import Answer, StudyOwed
from engine.store.instances import Instance
from engine.store.transfers import Direction, Transfer
from pacs_gateway.location import Objects
from pacs_gateway.sending.outcome import Outcome, Turns
from pacs_gateway.sending.study import NOT_OFFERED
from pacs_gateway.status import PROCESSING_FAILURE, SUCCESS
from pacs_gateway.transfer.contents import Contents, name_of
from pacs_gateway.transfer.outgoing import Outgoing
from pacs_gateway.transfer.stream import Stream, UnreadableError

TOLD_EVERY_SECS = 1.0
"""Progress is written no oftener: it is looked at by people."""


class Attempt:
    """One attempt; `turns` has the one connection that leads."""

    def __init__(
        self,
        endpoint: str,
        outgoing: Outgoing,
        objects: Objects,
        clock: Clock,
        delivery: UUID,
        study: StudyOwed,
        turns: Turns,
    ) -> None:
        self._endpoint = endpoint
        self._outgoing = outgoing
        self._objects = objects
        self._clock = clock
        self._delivery = delivery
        self._study = study
        self._turns = turns
        self._decided = 0
        self._instances: list[Instance] = []
        self._lost: dict[str, str] = {}
        self._remembered = False
        self._told_at: float | None = None
        self._done_bytes: int | None = None
        self._moved = False

    async def perform(self, may_go_on: Callable[[], bool]) -> Outcome:
        """Raises what the database raises; everything else is in the outcome."""
        study = self._study
        async with self._turns.transaction() as connection:
            self._decided = await transfers.decided(connection, study.study_uid, study.facility)
            self._instances = await imaging_outbox.whole(connection, self._endpoint, study)
        while there := [one for one in self._instances if one.sop_uid not in self._lost]:
            stream = Stream(self._objects, there)
            try:
                contents = await asyncio.to_thread(stream.contents, study.study_uid)
                return await self._send(contents, stream, may_go_on)
            except UnreadableError as error:
                await self._leave_out({there[index].sop_uid: why for index, why in error.why.items()})
            except HutongError as error:
                return await self._failed(error)
            finally:
                await asyncio.to_thread(stream.close)
        async with self._turns.transaction() as connection:
            await self._stopped(connection)
        return self._done({}, 0)

    async def _send(self, contents: Contents, stream: Stream, may_go_on: Callable[[], bool]) -> Outcome:
        async def progress(name: str, done: int, total: int) -> None:
            await self._progress(contents, name, done, total)

        sent = await self._outgoing.send(contents, stream, may_go_on, progress)
        if sent.paused:
            return Outcome(said="", paused=True, progress=sent.moved_bytes > 0)
        if not self._remembered:
            await self._remember()
        async with self._turns.transaction() as connection:
            name, at = name_of(contents.written()), self._clock()
            refused = {contents.objects[index].sop_uid: why for index, why in sent.refused.items()}
            await self._not_taken(connection, PROCESSING_FAILURE, refused)
            await self._stopped(connection, apart_from=name)
            whole = sent.whole and not self._lost
            await transfers.ended(connection, name, Direction.OUT, self._endpoint, whole=whole, at=at)
            await transfers.forget(connection, at - transfers.KEPT)
        return self._done(refused, sent.moved_bytes)

    async def _leave_out(self, lost: Mapping[str, str]) -> None:
        """What cannot be read, by SOP Instance UID; the rest is announced without it."""
        self._lost |= lost
        if self._remembered:  # the hub asked for it, so it has not got it
            async with self._turns.transaction() as connection:
                await self._not_taken(connection, NOT_OFFERED, lost)

    async def _progress(self, contents: Contents, name: str, done: int, total: int) -> None:
        if not self._remembered:
            await self._remember()
        self._moved = self._moved or (self._done_bytes is not None and done > self._done_bytes)
        self._done_bytes = done
        now = asyncio.get_running_loop().time()
        if self._told_at is None or done == total or now - self._told_at >= TOLD_EVERY_SECS:
            self._told_at = now
            await self._tell(contents, name, done, total)

    async def _remember(self) -> None:
        """The hub has these objects, or may have them however the attempt ends: it keeps what came of a study whole.

        So whoever decides of the study from now on owes it a rejection note. Raises DeliveryError `study-changed` where
        something was decided since it was read.
        """
        study = self._study
        async with self._turns.transaction() as connection:
            if await transfers.decided(connection, study.study_uid, study.facility) != self._decided:
                raise DeliveryError("something was decided of the study meanwhile", code="study-changed")
            there = [one for one in self._instances if one.sop_uid not in self._lost]
            answers = [Answer(one.sop_uid, one.sha256, SUCCESS, taken=True, note="") for one in there]
            await self._answered(connection, answers)
        self._remembered = True

    async def _not_taken(self, connection: Connection, status: int, why: Mapping[str, str]) -> None:
        answers = [
            Answer(one.sop_uid, one.sha256, status, taken=False, note=why[one.sop_uid])
            for one in self._instances
            if one.sop_uid in why
        ]
        await self._answered(connection, answers)

    async def _answered(self, connection: Connection, answers: Sequence[Answer]) -> None:
        at = self._clock()
        await imaging_outbox.answered(connection, self._delivery, self._endpoint, self._study, answers, at)

    async def _tell(self, contents: Contents, name: str, done: int, total: int) -> None:
        transfer = Transfer(
            name,
            Direction.OUT,
            self._endpoint,
            self._study.facility,
            self._study.study_uid,
            len(contents.objects),
            total,
            done,
        )
        async with self._turns.transaction() as connection:
            await self._stopped(connection, apart_from=name)
            await transfers.begun(connection, transfer, self._clock())

    async def _stopped(self, connection: Connection, *, apart_from: str = "") -> None:
        """The study has changed since another attempt, or is not sent any more."""
        study = self._study
        await transfers.stopped(
            connection, Direction.OUT, self._endpoint, study.facility, study.study_uid, apart_from=apart_from
        )

    async def _failed(self, error: HutongError) -> Outcome:
        if not isinstance(error, DeliveryError):
            error = DeliveryError(error.message, code=error.code)
        if error.disposition is Disposition.RETRY:
            return Outcome(said="", again=error, progress=self._moved)
        async with self._turns.transaction() as connection:
            await self._stopped(connection)
        return Outcome(said="", refused=f"{error.message} ({error.code})")

    def _done(self, refused: Mapping[str, str], moved_bytes: int) -> Outcome:
        objects, not_there = len(self._instances), [*self._lost.values(), *refused.values()]
        why = ", ".join(sorted(set(not_there)))
        return Outcome(
            said=json.dumps({"objects": objects, "arrived": objects - len(not_there), "bytes": moved_bytes}),
            refused=f"{len(not_there)} of {objects} objects are refused: {why}" if not_there else "",
            progress=moved_bytes > 0,
        )
