"""In which other encoding can an object leave, for a client that does not take the one it is kept in?

Nothing is lost: what is decoded or encoded is compared with what is kept before it goes (`sending.transcoding`).
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.errors import ParseError
from engine.store.imaging_reading import Held
from pacs_gateway.apart import Apart, Limits
from pacs_gateway.dicomweb.accepting import Accepted
from pacs_gateway.dicomweb.looking import Looking
from pacs_gateway.part10 import IMPLEMENTATION_VERSION_NAME, data_set_offset, header
from pacs_gateway.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, UNCOMPRESSED

if TYPE_CHECKING:
    from pacs_gateway.sending.workshop import Workshop

LARGEST_BYTES = 64 * 1024 * 1024
"""Of an object as it is kept: it is held several times while it is encoded."""
TARGETS = (
    EXPLICIT_VR_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.5",
)
"""Without loss: Explicit VR Little Endian, JPEG-LS, JPEG 2000, HTJ2K and RLE."""
LIMITS = Limits(processor_secs=120, wall_secs=300.0, memory_bytes=3 * 1024**3)
"""Somebody waits for it."""
_AT_ONCE = 2
_META_BYTES = 512


class Anew:
    """Encodes where it may die of it; what that needs is loaded with the first object."""

    def __init__(self, looking: Looking, apart: Apart) -> None:
        self._looking = looking
        self._apart = apart
        self._workshop: Workshop | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def made(self, held: Held, target: str) -> bytes:
        """The object as a file of PS3.10 in another transfer syntax.

        Raises ParseError `not-acceptable` for one that cannot be had in it.
        """
        from pacs_gateway.sending.transcoding import CannotEncode
        from pacs_gateway.sending.workshop import Workshop

        if self._workshop is None:
            self._workshop = Workshop(self._apart, LIMITS)
        async with self._turns:
            data = await asyncio.to_thread(self._data_set, held)
            try:
                for stored, wanted in pairwise((held.transfer_syntax, *_between(held.transfer_syntax, target), target)):
                    data = await self._workshop.made(data, stored, wanted)
            except CannotEncode as error:
                raise _not_acceptable(str(error) or "it holds no picture") from error
        head = header(
            sop_class=held.sop_class,
            sop_uid=held.sop_uid,
            transfer_syntax=target,
            sender=IMPLEMENTATION_VERSION_NAME,
        )
        return head + data

    def _data_set(self, held: Held) -> bytes:
        with self._looking.open(held) as file:
            file.seek(data_set_offset(file.read(_META_BYTES)))
            data = file.read(LARGEST_BYTES + 1)
        if len(data) > LARGEST_BYTES:
            raise _not_acceptable("it is too large to be encoded here")
        return data


def _between(stored: str, target: str) -> tuple[str, ...]:
    """Pixels that are compressed come out of that before they are compressed otherwise."""
    return () if stored in UNCOMPRESSED or target in UNCOMPRESSED else (EXPLICIT_VR_LITTLE_ENDIAN,)


def target_of(takes: Accepted, media_type: str) -> str:
    """The first of `TARGETS` that a client takes of which it names the encoding; empty when it takes none."""
    return next((uid for uid in TARGETS if takes.parts(media_type, uid) or takes.single(media_type, uid)), "")


def _not_acceptable(why: str) -> ParseError:
    return ParseError(
        f"it is kept in another transfer syntax, and cannot be encoded anew: {why}", code="not-acceptable"
    )
