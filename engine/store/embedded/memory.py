"""What does a killed server leave in shared memory, and who clears it?

A server that ends by itself clears everything. One that was killed leaves a System V segment of a few bytes, which
the next server on the same folder would take over; if the folder is thrown away, nobody would.
"""

from __future__ import annotations

import ctypes

IPC_RMID = 0
"""Marks the segment for removal: it goes when the last process that is attached to it has gone."""


def remove(segment: int) -> None:
    """Removes a segment; one that has gone already is no error."""
    ctypes.CDLL(None, use_errno=True).shmctl(segment, IPC_RMID, None)
