"""What becomes of one arriving object? Written into the spool and flushed; only then may it be answered 0000."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from engine.clock import Clock
from engine.errors import HutongError, ParseError, StorageError
from pacs_gateway import part10
from pacs_gateway.identify import Uids, identifying, uids_of
from pacs_gateway.scp.reception import Announced
from pacs_gateway.segments.digest import Digest
from pacs_gateway.segments.record import PAGE, Head
from pacs_gateway.segments.segment import Segment
from pacs_gateway.segments.spool import Spool

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An object whose flush has returned: where it lies, and the raw values of its identifying elements."""

    segment: Segment
    head: Head
    raw: Mapping[int, bytes]

    @property
    def received_at(self) -> datetime:
        return _EPOCH + self.head.received_at * _MICROSECOND


class Follower(Protocol):
    """Goes on with what was kept; the spool remembers it until then."""

    @property
    def is_behind(self) -> bool:
        """Whether so much waits already that nothing more should be taken."""
        ...

    def add(self, kept: Kept, digest: Awaitable[bytes]) -> None: ...


class SpoolReception:
    """Takes objects into a spool.

    flushing  threads that wait for the disk and then hash; as many flushes run at once, and the kernel has the device
              do one for all that wait
    hashing   threads that hash large objects while they arrive
    """

    def __init__(self, spool: Spool, follower: Follower, flushing: Executor, hashing: Executor, clock: Clock) -> None:
        self._spool = spool
        self._follower = follower
        self._flushing = flushing
        self._hashing = hashing
        self._clock = clock

    def begin(self, announced: Announced) -> ArrivingObject:
        """Raises StorageError: no room, or too many objects wait for their index rows."""
        if self._follower.is_behind:
            raise StorageError("too many objects wait for the index")
        segment = self._spool.lend()
        return ArrivingObject(announced, segment, Digest(segment, segment.end + PAGE, self._hashing), self)

    def settle(self, segment: Segment, digest: Digest, to: int) -> tuple[asyncio.Future[None], asyncio.Future[bytes]]:
        """Has a thread flush a segment and then hash what of an object is not hashed yet: when each of it is done.

        One thread for both, because handing something to a thread costs as much as hashing 100 KB.
        """
        loop = asyncio.get_running_loop()
        flushed: asyncio.Future[None] = loop.create_future()

        def work() -> bytes:
            try:
                segment.flush()
            except StorageError as error:
                loop.call_soon_threadsafe(_tell, flushed, error)
                raise
            loop.call_soon_threadsafe(_tell, flushed, None)
            return digest.whole(to)

        return flushed, loop.run_in_executor(self._flushing, work)

    def now(self) -> int:
        """Microseconds since 1970."""
        return (self._clock() - _EPOCH) // _MICROSECOND

    def keep(self, segment: Segment, head: Head, raw: Mapping[int, bytes], digest: Awaitable[bytes]) -> None:
        self._spool.keep(segment, head)
        self._follower.add(Kept(segment, head, raw), digest)

    def give_back(self, segment: Segment, reached: int) -> None:
        self._spool.give_back(segment, reached)


class ArrivingObject:
    """One object on its way into its segment."""

    def __init__(self, announced: Announced, segment: Segment, digest: Digest, reception: SpoolReception) -> None:
        self._announced = announced
        self._segment = segment
        self._digest = digest
        self._reception = reception
        self._walk = identifying(announced.transfer_syntax_uid)
        self._place = segment.end
        self._at = segment.end + PAGE
        self._crc = 0

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Raises ParseError as soon as it is seen to be no data set, StorageError when the disk is full."""
        crc = self._crc
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
            self._walk.feed(piece)
        self._crc = crc
        self._at += self._segment.write(pieces, self._at)
        self._digest.grown(self._at)

    async def finish(self) -> None:
        """On return the object is durable, and will be indexed whatever happens to this process.

        Raises ParseError (no whole data set, or not the one that was announced) and StorageError; then nothing of it
        is visible.
        """
        try:
            raw = self._walk.end()
            head = self._head(uids_of(raw))
            self._segment.seal(head)
        except HutongError:
            self.abandon()
            raise
        flushed, digest = self._reception.settle(self._segment, self._digest, self._at)
        try:
            await flushed
        except StorageError as error:
            _log.error("the spool did not flush, its segment is not written any more: %s", error.message)
            digest.add_done_callback(lambda done: done.exception())  # it ends with the same error
            self._segment.strike(head)
            self.abandon()
            raise
        self._reception.keep(self._segment, head, raw, digest)

    def abandon(self) -> None:
        self._digest.when_idle(lambda: self._reception.give_back(self._segment, self._at))

    def _head(self, uids: Uids) -> Head:
        announced = self._announced
        _as_announced(announced, uids)
        return Head(
            place=self._place,
            length=self._at - self._place - PAGE,
            crc=self._crc,
            received_at=self._reception.now(),
            sop_class=uids.sop_class,
            sop_uid=uids.sop_uid,
            transfer_syntax=announced.transfer_syntax_uid,
            facility=announced.facility,
            peer=announced.peer,
            file_head=part10.header(
                sop_class=uids.sop_class,
                sop_uid=uids.sop_uid,
                transfer_syntax=announced.transfer_syntax_uid,
                sender=announced.calling_ae,
            ),
        )


def _tell(flushed: asyncio.Future[None], error: StorageError | None) -> None:
    if flushed.done():
        return  # whoever waited for it has gone
    if error is None:
        flushed.set_result(None)
    else:
        flushed.set_exception(error)


def _as_announced(announced: Announced, uids: Uids) -> None:
    """PS3.4 B.2.3: A900 when the data set is not of the class, or not the instance, that the command names."""
    if uids.sop_uid != announced.sop_instance_uid:
        raise ParseError("SOP Instance UID differs from the command's", code="uid-differs", location="(0008,0018)")
    if uids.sop_class != announced.sop_class_uid:
        raise ParseError("SOP Class UID differs from the command's", code="sop-class-differs", location="(0008,0016)")
    if announced.study_uid not in ("", uids.study_uid):
        raise ParseError("the object is of another study", code="study-differs", location="(0020,000D)")
