"""Where does a message begin and end in a stream? MLLP block framing, by bytes, before any decoding.

A block is 0x0B, the payload, 0x1C 0x0D (HL7 v2.5.1 Implementation Support Guide, Appendix C). None of the three is
ever part of a multi-byte character in UTF-8 or GB 18030, so framing needs no charset.
"""

from __future__ import annotations

from engine.errors import FramingError

START = 0x0B
END = 0x1C
_END_BLOCK = b"\x1c\r"
_RESTART = b"\x0bMSH"
_BETWEEN_BLOCKS = b" \t\r\n\x00\x1c"
"""Seen between blocks: line ends of people typing, and end blocks sent twice."""

DEFAULT_LIMIT_BYTES = 16 * 1024 * 1024
"""A report with an embedded PDF fits; a stream that never ends its block does not fill the memory."""


def frame(payload: bytes) -> bytes:
    """One block around exact payload bytes."""
    return b"\x0b" + payload + _END_BLOCK


class MllpDecoder:
    """Takes bytes in any chunking, hands out exact payloads.

    `receive_data` stores, `next_frame` parses. After a FramingError the stream is lost: the connection must close.
    """

    __slots__ = ("_buffer", "_limit", "_position", "_scanned", "_whole")

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._buffer = bytearray()
        self._position = 0  # start of what was not handed out yet
        self._scanned = 0  # no end block begins before this
        self._whole: bytes | None = (
            None  # a chunk that is exactly one block, the usual case: never copied to the buffer
        )

    @property
    def buffered(self) -> int:
        """Bytes held: complete blocks not handed out, and an unfinished one."""
        return len(self._buffer) - self._position + (len(self._whole) if self._whole is not None else 0)

    def receive_data(self, data: bytes) -> None:
        if (
            not self._buffer
            and self._whole is None
            and data.startswith(b"\x0b")
            and data.endswith(_END_BLOCK)
            and data.find(END) == len(data) - 2
        ):
            self._whole = data
            return
        if self._whole is not None:
            self._buffer += self._whole
            self._whole = None
        elif self._position:
            del self._buffer[: self._position]
            self._scanned -= self._position
            self._position = 0
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """The next payload, or None until more arrives.

        Raises FramingError: bytes outside a block, a block beyond the limit, a block begun inside another.
        """
        if self._whole is not None:
            whole, self._whole = self._whole, None
            return self._checked(whole[1:-2])
        if self._position >= len(self._buffer) or not self._at_start():
            return None
        end, after = self._find_end()
        if end < 0:
            if len(self._buffer) - self._position > self._limit:
                raise FramingError("a block is longer than this channel allows", code="frame-too-large")
            return None
        payload = bytes(memoryview(self._buffer)[self._position + 1 : end])
        self._position = self._scanned = after
        if after == len(self._buffer):
            self._buffer.clear()
            self._position = self._scanned = 0
        return self._checked(payload)

    def _at_start(self) -> bool:
        """Moves over what may stand between blocks; True when a block has begun."""
        buffer = self._buffer
        if buffer[self._position] == START:
            return True
        start = buffer.find(START, self._position)
        stop = start if start >= 0 else len(buffer)
        if bytes(buffer[self._position : stop]).strip(_BETWEEN_BLOCKS):
            raise FramingError("bytes outside an MLLP block", code="frame-missing")
        self._position = self._scanned = stop
        return start >= 0

    def _find_end(self) -> tuple[int, int]:
        """Where the payload ends, and where the next block may begin; (-1, -1) when the end has not arrived.

        0x1C with LF or the next 0x0B in place of CR is an end too: such senders exist, and waiting for their CR
        would join two messages. 0x1C before anything else is part of the payload.
        """
        buffer, length = self._buffer, len(self._buffer)
        at = buffer.find(END, self._scanned)
        while at >= 0:
            if at + 1 == length:
                break
            follower = buffer[at + 1]
            if follower in (0x0D, 0x0A):
                return at, at + 2
            if follower == START:
                return at, at + 1
            at = buffer.find(END, at + 1)
        self._scanned = at if at >= 0 else length
        return -1, -1

    def _checked(self, payload: bytes) -> bytes:
        if len(payload) > self._limit:
            raise FramingError("a block is longer than this channel allows", code="frame-too-large")
        if _RESTART in payload:
            # The sender gave up one message and began another: handing out both as one would acknowledge a torn one.
            raise FramingError("a block begins inside another", code="frame-restarted")
        return payload
