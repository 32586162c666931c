"""How fast may a line be filled? A limit over everything that goes to one system, for lines that others need too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pacs_gateway.scp.service import OutgoingDataSet

_SLICES_PER_SEC = 10
_SMALLEST_SLICE = 4096


class Line:
    """One line; None leaves it unlimited."""

    def __init__(self, max_bytes_per_sec: int | None) -> None:
        self._rate = max_bytes_per_sec
        self._free_at = 0.0

    def limited(self, data_set: OutgoingDataSet) -> OutgoingDataSet:
        return data_set if self._rate is None else _Limited(data_set, self)

    @property
    def slice_bytes(self) -> int:
        """So much goes at once: an even number, a tenth of a second's worth."""
        assert self._rate is not None
        return max(self._rate // _SLICES_PER_SEC, _SMALLEST_SLICE) & ~1

    async def turn(self, count: int) -> None:
        """Waits until so many bytes may go. Whoever asks first goes first."""
        assert self._rate is not None
        now = asyncio.get_running_loop().time()
        at = max(now, self._free_at)
        self._free_at = at + count / self._rate
        if at > now:
            await asyncio.sleep(at - now)


class _Limited:
    """Implements `OutgoingDataSet`."""

    def __init__(self, data_set: OutgoingDataSet, line: Line) -> None:
        self._data_set = data_set
        self._line = line

    async def pieces(self) -> AsyncIterator[tuple[bytes, bool]]:
        size = self._line.slice_bytes
        async for piece, last in self._data_set.pieces():
            for at in range(0, len(piece), size):
                part = piece[at : at + size]
                await self._line.turn(len(part))
                yield part, last and at + size >= len(piece)
