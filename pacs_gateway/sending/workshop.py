"""Where are objects encoded anew? In processes of their own: it takes long, and a library may die of a picture."""

from __future__ import annotations

from pacs_gateway.apart import Apart, Died, Limits
from pacs_gateway.sending.transcoding import CannotEncode, transcoded

LIMITS = Limits(processor_secs=600, wall_secs=1800.0, memory_bytes=4 * 1024**3)
"""For the largest that is encoded, of which everything is decoded again and compared."""


class Workshop:
    """Its processes begin with the first object, and end with `close`, or with this process however that ends."""

    def __init__(self, apart: Apart | None = None, limits: Limits = LIMITS) -> None:
        self._apart = apart or Apart()
        self._limits = limits

    async def made(self, data: bytes, stored: str, target: str) -> bytes:
        """A data set in another transfer syntax. Raises CannotEncode."""
        try:
            return await self._apart.done(self._limits, transcoded, data, stored, target)
        except Died as error:
            raise CannotEncode(str(error)) from None

    async def close(self) -> None:
        await self._apart.close()
