"""Which pixels does a compressed frame hold, for who asks for plain octets? Decoded where it may die of it."""

from __future__ import annotations

from functools import partial
from typing import BinaryIO

from engine.errors import ParseError
from engine.store.imaging_reading import Held
from pacs_gateway.apart import Apart, Died, Limits
from pacs_gateway.dicomweb.looking import Looking

LIMITS = Limits(processor_secs=30, wall_secs=120.0, memory_bytes=3 * 1024**3)
"""Of one frame. A radiograph takes half a second and a hundred megabytes; the largest mammogram a gigabyte."""


class Decoding:
    """One frame at a time; what that needs is loaded by the processes that do it."""

    def __init__(self, looking: Looking, apart: Apart) -> None:
        self._looking = looking
        self._apart = apart

    async def pixels(self, held: Held, number: int) -> bytes:
        """A frame, counted from 1, as the object has it in Explicit VR Little Endian: colours are RGB, by pixel.

        Raises ParseError `not-acceptable` for one that cannot be decoded.
        """
        try:
            return await self._apart.done(LIMITS, _octets, number - 1, opened=partial(self._looking.open, held))
        except (Died, ParseError) as error:
            raise ParseError("the frame is kept compressed, and cannot be decoded", code="not-acceptable") from error


def _octets(file: BinaryIO, frame: int) -> bytes:
    from pacs_gateway.rendering.picture import octets  # only the process that decodes has the decoders

    return octets(file, frame)
