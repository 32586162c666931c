"""For how long has a peer been silent, and when is it too long?"""

from __future__ import annotations

from enum import StrEnum

from pacs_gateway.scp.limits import Limits
from pacs_gateway.upper_layer.association import State


class Ending(StrEnum):
    """Why a connection is ended; as the log says it after the peer's name."""

    NEVER_ASKED = "asked for no association"
    NEVER_CLOSED = "did not close"
    UNREAD = "does not read its answers"
    FELL_SILENT = "fell silent within a request"
    IDLE = "was idle for too long"

    @property
    def at_once(self) -> bool:
        """There is no association that could be aborted."""
        return self in (Ending.NEVER_ASKED, Ending.NEVER_CLOSED)


class Silence:
    """When something was last heard on one connection. Times are those of the loop, in seconds."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._heard_at = now
        self._unread_at: float | None = None
        self._closed_at: float | None = None

    @property
    def closed(self) -> bool:
        """Whether there is no association any more."""
        return self._closed_at is not None

    def heard(self, now: float) -> None:
        """Something came, or it is the peer's turn from now on."""
        self._heard_at = now

    def stopped_reading(self, now: float) -> None:
        self._unread_at = now

    def reads_again(self) -> None:
        self._unread_at = None

    def close(self, now: float) -> None:
        """Only the end of the connection is waited for from now on."""
        self._closed_at = now

    def broken(self, now: float, state: State, *, busy: bool, within_message: bool) -> Ending | None:
        """Which limit is passed; `busy`: the peer waits for us."""
        limits, silent_secs = self._limits, now - self._heard_at
        if self._closed_at is not None:
            return Ending.NEVER_CLOSED if now - self._closed_at > limits.artim_secs else None
        if self._unread_at is not None and now - self._unread_at > limits.stall_timeout_secs:
            return Ending.UNREAD
        if state is State.AWAITING_REQUEST:
            return Ending.NEVER_ASKED if silent_secs > limits.artim_secs else None
        if busy:
            return None
        if within_message:
            return Ending.FELL_SILENT if silent_secs > limits.stall_timeout_secs else None
        return Ending.IDLE if silent_secs > limits.idle_timeout_secs else None
