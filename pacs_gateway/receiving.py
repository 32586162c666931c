"""What becomes of one arriving object? Written into the spool and flushed; only then may it be answered 0000."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import xxhash

from engine.clock import Clock
from engine.errors import HutongError, ParseError, StorageError
from pacs_gateway import part10
from pacs_gateway.flushing import Flushing
from pacs_gateway.identify import Uids, identifying, uids_of
from pacs_gateway.scp.reception import Announced
from pacs_gateway.segments.record import PAGE, Head
from pacs_gateway.segments.segment import Segment
from pacs_gateway.segments.spool import Spool

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


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

    def add(self, kept: Kept) -> None: ...


class SpoolReception:
    """Takes objects into a spool."""

    def __init__(self, spool: Spool, follower: Follower, flushing: Flushing, clock: Clock) -> None:
        self._spool = spool
        self._follower = follower
        self._flushing = flushing
        self._clock = clock

    def begin(self, announced: Announced) -> ArrivingObject:
        """Raises StorageError: no room, or too many objects wait for their index rows."""
        if self._follower.is_behind:
            raise StorageError("too many objects wait for the index")
        return ArrivingObject(announced, self._spool.lend(), self)

    async def settle(self, segment: Segment, head: Head) -> None:
        """Seals and flushes an object whose bytes are written. Raises StorageError."""
        await self._flushing.flush(segment, head, alone=self._spool.lent_count == 1)

    def now(self) -> int:
        """Microseconds since 1970."""
        return (self._clock() - _EPOCH) // _MICROSECOND

    def keep(self, segment: Segment, head: Head, raw: Mapping[int, bytes]) -> None:
        self._spool.keep(segment, head)
        self._follower.add(Kept(segment, head, raw))

    def give_back(self, segment: Segment, reached: int) -> None:
        self._spool.give_back(segment, reached)


class ArrivingObject:
    """One object on its way into its segment."""

    def __init__(self, announced: Announced, segment: Segment, reception: SpoolReception) -> None:
        self._announced = announced
        self._segment = segment
        self._xxh3 = xxhash.xxh3_128()
        self._reception = reception
        self._walk = identifying(announced.transfer_syntax_uid)
        self._place = segment.end
        self._at = segment.end + PAGE

    def write(self, pieces: Sequence[memoryview]) -> None:
        """Raises ParseError as soon as it is seen to be no data set, StorageError when the disk is full."""
        for piece in pieces:
            self._walk.feed(piece)
            self._xxh3.update(piece)
        self._at += self._segment.write(pieces, self._at)

    async def finish(self) -> None:
        """On return the object is durable, and will be indexed whatever happens to this process.

        Raises ParseError (no whole data set, or not the one that was announced) and StorageError; then nothing of it
        is visible.
        """
        try:
            raw = self._walk.end()
            uids = uids_of(raw)
            _as_announced(self._announced, uids)
            head = self._head(uids)
            await self._reception.settle(self._segment, head)
        except HutongError:
            self.abandon()
            raise
        self._reception.keep(self._segment, head, raw)

    def abandon(self) -> None:
        self._reception.give_back(self._segment, self._at)

    def _head(self, uids: Uids) -> Head:
        announced = self._announced
        return Head(
            place=self._place,
            length=self._at - self._place - PAGE,
            xxh3=self._xxh3.digest(),
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


def _as_announced(announced: Announced, uids: Uids) -> None:
    """PS3.4 B.2.3: A900 when the data set is not of the class, or not the instance, that the command names."""
    if uids.sop_uid != announced.sop_instance_uid:
        raise ParseError("SOP Instance UID differs from the command's", code="uid-differs", location="(0008,0018)")
    if uids.sop_class != announced.sop_class_uid:
        raise ParseError("SOP Class UID differs from the command's", code="sop-class-differs", location="(0008,0016)")
    if announced.study_uid not in ("", uids.study_uid):
        raise ParseError("the object is of another study", code="study-differs", location="(0020,000D)")
