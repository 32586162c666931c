"""How does an outside system frame HL7 v2 on TCP? Written apart from the hub's codec, so that they share no mistake."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType

from conformance.errors import NoAnswerError, UnexpectedAnswerError

START = b"\x0b"
END = b"\x1c\r"
FRAME_LIMIT_BYTES = 64 * 1024 * 1024
"""More than any message a simulator is sent; a stream that never ends a block must end somewhere."""


def framed(payload: bytes) -> bytes:
    """One MLLP block: <VT> payload <FS><CR>."""
    return START + payload + END


async def read_block(reader: asyncio.StreamReader) -> bytes | None:
    """The payload of the next block, or None when the other side closed between blocks.

    Raises UnexpectedAnswerError for bytes that are no block or a block that the other side left unfinished.
    """
    try:
        block = await reader.readuntil(END)
    except asyncio.IncompleteReadError as error:
        if error.partial.strip(b"\r\n"):
            raise UnexpectedAnswerError("the connection closed within an MLLP block") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise UnexpectedAnswerError(f"no end of an MLLP block within {FRAME_LIMIT_BYTES} bytes") from error
    block = block.lstrip(b"\r\n")
    if not block.startswith(START):
        raise UnexpectedAnswerError("an MLLP block that does not begin with <VT>")
    return block[len(START) : -len(END)]


class MllpConnection:
    """One connection of a client: sends a payload, waits for the one answer to it. With `tls` it is protected."""

    def __init__(self, host: str, port: int, *, timeout_secs: float = 30, tls: ssl.SSLContext | None = None) -> None:
        self._host, self._port, self._timeout_secs, self._tls = host, port, timeout_secs, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, payload: bytes, *, timeout_secs: float | None = None) -> bytes:
        """Sends these bytes and returns the payload that answers them. Raises NoAnswerError when nothing does."""
        within = self._timeout_secs if timeout_secs is None else min(timeout_secs, self._timeout_secs)
        try:
            async with asyncio.timeout(within):
                reader, writer = await self._connected()
                writer.write(framed(payload))
                await writer.drain()
                answer = await read_block(reader)
        except TimeoutError as error:
            await self.close()
            raise NoAnswerError(f"{self._host}:{self._port} gave no answer in {within:g} s") from error
        except ssl.SSLCertVerificationError as error:
            await self.close()
            raise NoAnswerError(f"{self._host}:{self._port} is not trusted: {error.verify_message}") from error
        except OSError as error:
            await self.close()
            raise NoAnswerError(f"{self._host}:{self._port}: {error.strerror or type(error).__name__}") from error
        if answer is None:
            await self.close()
            perhaps = "" if self._tls else " (does it want TLS? then mllps://; or are only others allowed?)"
            raise NoAnswerError(f"{self._host}:{self._port} closed the connection instead of answering{perhaps}")
        return answer

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.close()

    async def __aenter__(self) -> MllpConnection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(
                self._host, self._port, limit=FRAME_LIMIT_BYTES, ssl=self._tls
            )
        return self._streams
