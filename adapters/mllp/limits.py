"""How much may one receiver hold, and how long may a client be silent?"""

from __future__ import annotations

from dataclasses import dataclass

from engine.codecs.mllp import DEFAULT_LIMIT_BYTES

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """Bounds of one receiver; `max_message_bytes`, `max_connections` and `idle_timeout_secs` are the channel's.

    max_unanswered         messages of one connection between reading and acknowledgment; then it is not read from
    max_unfinished_bytes   of messages not yet complete, over all connections; then the greediest is closed
    max_unanswered_bytes   of messages not yet answered, over all connections; then nobody is read from for a while
    idle_timeout_secs      without a byte, nothing owed in either direction
    stall_timeout_secs     inside a message, for a client that does not read its acknowledgments, and for goodbyes
    """

    max_message_bytes: int = DEFAULT_LIMIT_BYTES
    max_connections: int = 500
    idle_timeout_secs: float = 3600.0
    stall_timeout_secs: float = 60.0
    max_unanswered: int = 128
    max_unfinished_bytes: int = 128 * MEBIBYTE
    max_unanswered_bytes: int = 64 * MEBIBYTE
