"""How do HL7 v2 messages go out? One kept connection to an endpoint: send a frame, read the answer to it."""

from __future__ import annotations

import asyncio
import ssl

from engine.codecs import acknowledgment
from engine.codecs.mllp import MllpDecoder, frame
from engine.errors import DeliveryError, Disposition, FramingError, ParseError

_ANSWER_LIMIT_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024


class MllpSender:
    """Implements `Sender`. One message is under way at a time, so answers cannot be confused."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_timeout_secs: float = 10.0,
        answer_timeout_secs: float = 30.0,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._connect_timeout_secs = connect_timeout_secs
        self.answer_timeout_secs = answer_timeout_secs
        self._tls = tls
        self._server_name = server_name
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def send(self, payload: bytes, control_id: str) -> bytes:
        """Sends these exact bytes; returns the answer's bytes once they prove acceptance of control_id.

        Raises DeliveryError: RETRY `unreachable`, `untrusted`, `connection-lost`, `no-answer`, `not-an-answer`,
        `ack-mismatch`, `refused-for-now`; HOLD `refused`. After any error but a refusal the connection is closed,
        because what arrives on it later could no longer be told apart.
        """
        async with self._turn:
            reader, writer = await self._connected()
            try:
                receipt = await self._exchanged(reader, writer, frame(payload))
                answer = _read(receipt, control_id)
            except BaseException:
                self._drop()
                raise
        if answer.positive:
            return receipt
        raise _refusal(answer)

    async def close(self) -> None:
        async with self._turn:
            if self._streams is None:
                return
            writer = self._streams[1]
            self._drop()
            try:
                await writer.wait_closed()
            except OSError:
                return  # it was gone already

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The kept connection, or a new one when the other side has closed it or has said something unasked."""
        if self._streams is not None:
            reader, writer = self._streams
            if not reader.at_eof() and reader.exception() is None and not writer.is_closing():
                return self._streams
            self._drop()
        try:
            async with asyncio.timeout(self._connect_timeout_secs):
                self._streams = await asyncio.open_connection(
                    self._host,
                    self._port,
                    limit=_ANSWER_LIMIT_BYTES,
                    ssl=self._tls,
                    server_hostname=(self._server_name or self._host) if self._tls else None,
                )
        except TimeoutError:
            raise DeliveryError("the endpoint did not accept a connection in time", code="unreachable") from None
        except ssl.SSLError as error:
            reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            raise DeliveryError(f"no trusted connection to the endpoint: {reason}", code="untrusted") from error
        except OSError as error:
            raise DeliveryError(f"the endpoint cannot be reached: {_reason(error)}", code="unreachable") from error
        return self._streams

    async def _exchanged(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, block: bytes) -> bytes:
        decoder = MllpDecoder(_ANSWER_LIMIT_BYTES)
        try:
            async with asyncio.timeout(self.answer_timeout_secs):
                writer.write(block)
                await writer.drain()
                while (answer := decoder.next_frame()) is None:
                    data = await reader.read(_READ_BYTES)
                    if not data:
                        raise DeliveryError("the endpoint closed the connection unanswered", code="connection-lost")
                    decoder.receive_data(data)
        except TimeoutError:
            raise DeliveryError("the endpoint did not answer in time", code="no-answer") from None
        except OSError as error:
            raise DeliveryError(f"the connection broke: {_reason(error)}", code="connection-lost") from error
        except FramingError as error:
            raise DeliveryError(f"the answer is no frame: {error.message}", code="not-an-answer") from error
        if decoder.buffered:
            raise DeliveryError("the endpoint sent more than one answer", code="not-an-answer")
        return answer

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _read(receipt: bytes, control_id: str) -> acknowledgment.Answer:
    try:
        answer = acknowledgment.read(receipt)
    except ParseError as error:
        raise DeliveryError(f"the answer is no acknowledgment: {error.message}", code="not-an-answer") from error
    if answer.control_id != control_id:
        raise DeliveryError("the answer is to another message", code="ack-mismatch", location="MSA-2")
    return answer


def _refusal(answer: acknowledgment.Answer) -> DeliveryError:
    """What the other side says stays in the receipt and out of the error: it may name a patient."""
    condition = answer.error_code if answer.error_code.isdecimal() else "none"
    if answer.transient:
        return DeliveryError(f"refused for now: {answer.code}, condition {condition}", code="refused-for-now")
    return DeliveryError(f"refused: {answer.code}, condition {condition}", disposition=Disposition.HOLD, code="refused")


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
