"""How do the objects of one study get to one system? Over an association, one after the other, each remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from engine.config import DicomEndpoint
from engine.errors import DeliveryError, Disposition, HutongError
from engine.store.imaging_outbox import Answer, Unsent
from pacs_gateway.scp.retrieving import store_request
from pacs_gateway.scu.peer import Peer
from pacs_gateway.scu.requestor import Requestor, opened
from pacs_gateway.sending.encoding import Encoder
from pacs_gateway.sending.line import Line
from pacs_gateway.sending.proposing import groups
from pacs_gateway.sending.verdict import Verdict, verdict_of, words_of

NOT_OFFERED = -1
REMEMBERED_AT_ONCE = 16
"""Answers that are written together: so many objects, at most, go again when this process is killed."""
_REMEMBERED_AFTER_SECS = 0.5

Remember = Callable[[Sequence[Answer]], Awaitable[None]]


@dataclass(slots=True)
class Sent:
    """How an attempt went.

    notes    what a person should know, and of how many objects
    refused  why objects were refused for good, and how many were
    paused   whether it stopped because the system may not be sent to now

    rejections_refused  how many of those were rejection notes
    """

    taken: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    rejections_refused: int = 0
    paused: bool = False

    @property
    def refusals(self) -> int:
        return sum(self.refused.values())


class StudySending:
    """One attempt.

    remember   writes down what became of objects
    may_go_on  asked before each object
    """

    def __init__(
        self,
        endpoint: DicomEndpoint,
        peer: Peer,
        line: Line,
        encoder: Encoder,
        *,
        urgent: bool,
        remember: Remember,
        may_go_on: Callable[[], bool],
    ) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self._line = line
        self._encoder = encoder
        self._priority = 1 if urgent else 0  # HIGH and MEDIUM (PS3.7 9.1.1.1.5)
        self._remember = remember
        self._may_go_on = may_go_on
        self._answers: list[Answer] = []
        self._remembered_at = 0.0
        self._numbers = count(1)
        self.sent = Sent()

    async def send(self, unsent: Sequence[Unsent]) -> None:
        """Offers every object once. `sent` says how it went, also when this raises.

        Raises DeliveryError when the rest has to be tried again, StorageError when it cannot be read for now.
        """
        try:
            for proposals, members in groups(unsent, self._endpoint.transfer_syntax):
                async with opened(self._peer, self._endpoint.calling_ae_title, proposals) as requestor:
                    for one in members:
                        if not self._may_go_on():
                            self.sent.paused = True
                            return
                        await self._one(requestor, one)
        finally:
            await self._write_down()

    async def _one(self, requestor: Requestor, one: Unsent) -> None:
        try:
            status, note = await self._offered(requestor, one)
        except HutongError as error:
            self._answer(one, NOT_OFFERED, error.message, taken=False)
            if error.disposition is Disposition.RETRY:
                raise
            self._refuse(one, error.message)
            return
        verdict = verdict_of(status)
        taken = verdict in (Verdict.TAKEN, Verdict.TAKEN_WITH_WARNING)
        if verdict is not Verdict.TAKEN:
            note = "; ".join(filter(None, (words_of(status), note)))
        self._answer(one, status, note, taken=taken)
        if verdict is Verdict.AGAIN:
            raise DeliveryError(f"an object was answered {words_of(status)}", code="out-of-resources")
        if taken:
            self.sent.taken += 1
            if note:
                self._count(self.sent.notes, note)
        else:
            self._refuse(one, note)
        await self._write_down_soon()

    async def _offered(self, requestor: Requestor, one: Unsent) -> tuple[int, str]:
        """The status that an object was answered, and what was done to it. Raises HutongError when there is none."""
        encoded = await self._encoder.encoded(one.content, requestor, self._endpoint.transfer_syntax)
        command = store_request(next(self._numbers), one.content, self._priority)
        data_set = self._line.limited(encoded.data_set)
        return await requestor.store(command, encoded.transfer_syntax, data_set), encoded.note

    def _answer(self, one: Unsent, status: int, note: str, *, taken: bool) -> None:
        self._answers.append(Answer(one.content.sop_uid, one.sha256, status, taken, note))

    def _refuse(self, one: Unsent, why: str) -> None:
        self.sent.rejections_refused += one.rejects
        self._count(self.sent.refused, why)

    async def _write_down_soon(self) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._answers) >= REMEMBERED_AT_ONCE or now - self._remembered_at > _REMEMBERED_AFTER_SECS:
            await self._write_down()
            self._remembered_at = now

    async def _write_down(self) -> None:
        """Finishes what it began, also when it is cancelled: it may be the last time that anybody writes them down."""
        if not self._answers:
            return
        writing = asyncio.ensure_future(self._remember(self._answers))
        try:
            await asyncio.shield(writing)
        finally:
            await writing
            self._answers = []

    @staticmethod
    def _count(counted: dict[str, int], note: str) -> None:
        counted[note] = counted.get(note, 0) + 1
