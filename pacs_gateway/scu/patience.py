"""How long does a slow line get? As long as it moves: a peer that still takes what we sent owes us no answer yet."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

_BYTES_ACKED = struct.Struct("=120xQ")
"""Where `tcpi_bytes_acked` stands in the `tcp_info` of Linux, since 4.1."""

LOOKS = 8
"""So often it is looked within the time whether something moves: a peer that is silent is left soon after it."""

T = TypeVar("T")


async def patiently(what: Callable[[], Awaitable[T]], timeout_secs: float, acknowledged: Callable[[], int]) -> T:
    """Does what can be begun again after it was cancelled. Raises TimeoutError once nothing has moved for so long.

    Up to a few megabytes lie in the buffer of the kernel when everything is written; on a line of 128 kbit/s they are
    under way for minutes.

    acknowledged  how many bytes the peer's system has taken so far
    """
    before, still = acknowledged(), 0
    while True:
        try:
            async with asyncio.timeout(timeout_secs / LOOKS):
                return await what()
        except TimeoutError:
            now = acknowledged()
            before, still = now, 0 if now > before else still + 1
            if still >= LOOKS:
                raise


def acknowledged_by_peer(connection: socket.socket) -> int:
    """How many bytes of a TCP connection its peer's system has acknowledged; 0 where ours does not tell."""
    if sys.platform != "linux":
        return 0
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
    except OSError:
        return 0
    return int(_BYTES_ACKED.unpack(told)[0]) if len(told) == _BYTES_ACKED.size else 0
