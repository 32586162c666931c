"""How is a study sent to another hub? What it has already is not sent, and what was cut off goes on where it broke.

One piece after another over one connection; pieces are as long as the line takes in a second or so.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import msgspec

from engine.errors import DeliveryError, Disposition
from pacs_gateway.sending.line import Line
from pacs_gateway.transfer import chunks
from pacs_gateway.transfer.contents import Contents, name_of, starts_of
from pacs_gateway.transfer.stream import Stream

FIRST_CHUNK_BYTES = 256 * 1024
SMALLEST_CHUNK_BYTES = 16 * 1024
QUICK_SECS, SLOW_SECS = 1.0, 4.0
"""A piece that was taken faster may be longer next time, one that took longer is shorter."""
TRIES = 6
"""Of one request, before the attempt ends and the courier waits."""
FIRST_PAUSE_SECS, LONGEST_PAUSE_SECS = 0.1, 5.0
ROUNDS = 8
_WRONG = frozenset({400, 406, 413, 415, 422})
"""Answers that say that the same request will never be taken."""

_DAMAGED = "chunk-damaged"
_UNKNOWN = "transfer-unknown"
_CODE = re.compile(r"[a-z0-9-]{1,64}")

Progress = Callable[[str, int, int], Awaitable[None]]
"""Told the name of a transfer, how many bytes are there, and how many will be: before each piece, and at the end."""

_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class _Refused(msgspec.Struct, frozen=True):
    object: int
    why: str


class Stands(msgspec.Struct, frozen=True):
    """What the receiver says of a transfer."""

    whole: bool
    needed: list[int] = []
    offset: int = 0
    refused: list[_Refused] = []


class _Offset(msgspec.Struct, frozen=True):
    offset: int


@dataclass(frozen=True, slots=True)
class Sent:
    """How an attempt ended.

    refused  why objects are not taken, by their places in the contents
    paused   it may not go on now
    """

    whole: bool
    moved_bytes: int
    refused: Mapping[int, str] = field(default_factory=dict)
    paused: bool = False


class Outgoing:
    """Sends studies to one hub.

    url, token  of the hub, and of a user of it who may store
    line        what limits how fast it is filled, where something does
    transport   what carries requests, if not the network
    """

    def __init__(
        self,
        url: str,
        token: str,
        timeout_secs: float,
        line: Line | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout_secs = timeout_secs
        self._line = line
        self._tls = tls
        self._transport = transport
        self._chunk_bytes = FIRST_CHUNK_BYTES

    async def send(
        self,
        study: Contents,
        stream: Stream,
        may_go_on: Callable[[], bool],
        progress: Progress,
    ) -> Sent:
        """One attempt.

        Raises DeliveryError: RETRY when line or hub fail for longer than a moment, HOLD when the hub never takes it;
        and as `Stream.read` does.
        """
        written = study.written()
        attempt = _Attempt(name_of(written), written, study, stream, may_go_on, progress)
        async with httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=self._timeout_secs,
            limits=httpx.Limits(max_connections=1),
            verify=self._tls if self._tls is not None else True,
            transport=self._transport,
            trust_env=False,
            follow_redirects=False,
        ) as client:
            return await self._send(client, attempt)

    async def _send(self, client: httpx.AsyncClient, attempt: _Attempt) -> Sent:
        refused: dict[int, str] = {}
        stands = await self._announce(client, attempt)
        for _ in range(ROUNDS):
            if stands.whole:
                return Sent(whole=not refused, moved_bytes=attempt.moved_bytes, refused=refused)
            try:
                if not await self._send_stream(client, attempt, stands):
                    return Sent(whole=False, moved_bytes=attempt.moved_bytes, paused=True)
                stands = await self._asked(client, attempt, "POST", "/finish")
            except DeliveryError as error:
                if error.code != _UNKNOWN:
                    raise
                stands = await self._announce(client, attempt)  # it ended, and the answer that said so was lost
            refused |= {one.object: one.why for one in stands.refused}
            if refused and not stands.needed:
                return Sent(whole=False, moved_bytes=attempt.moved_bytes, refused=refused)
        raise DeliveryError("the hub does not get whole what it is sent", code="transfer-damaged")

    async def _announce(self, client: httpx.AsyncClient, attempt: _Attempt) -> Stands:
        body = await asyncio.to_thread(zlib.compress, attempt.written)
        return await self._asked(client, attempt, "PUT", "", body, {chunks.ENCODING: chunks.DEFLATE})

    async def _asked(
        self,
        client: httpx.AsyncClient,
        attempt: _Attempt,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Stands:
        answer = await self._request(client, method, f"/api/transfers/{attempt.name}{path}", body, headers or {})
        stands = _read(answer, Stands)
        told = (*stands.needed, *(one.object for one in stands.refused))
        if not all(0 <= index < len(attempt.study.objects) for index in told):
            raise DeliveryError("the hub tells of objects that were not announced", code="answer-unreadable")
        return stands

    async def _send_stream(self, client: httpx.AsyncClient, attempt: _Attempt, stands: Stands) -> bool:
        """Sends the rest of the stream; False when it may not go on."""
        starts = starts_of(attempt.study.objects, stands.needed)
        offset = stands.offset
        while offset < starts[-1]:
            if not attempt.may_go_on():
                return False
            await attempt.progress(attempt.name, offset, starts[-1])
            piece = await asyncio.to_thread(attempt.stream.read, stands.needed, starts, offset, self._chunk_bytes)
            here = await self._send_piece(client, attempt, offset, piece)
            attempt.moved_bytes += max(0, here - offset)
            offset = here
        await attempt.progress(attempt.name, offset, starts[-1])
        return True

    async def _send_piece(self, client: httpx.AsyncClient, attempt: _Attempt, offset: int, piece: bytes) -> int:
        """How much of the stream is there then: the hub's word counts, whatever became of the piece."""
        sent, compressed = await asyncio.to_thread(chunks.packed, piece)
        if self._line is not None:
            await self._line.turn(len(sent))
        headers = {chunks.OFFSET: str(offset), chunks.DIGEST: chunks.digest_of(sent)}
        if compressed:
            headers[chunks.ENCODING] = chunks.DEFLATE
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer = await self._request(client, "PATCH", f"/api/transfers/{attempt.name}", sent, headers)
        self._adapt(len(piece), loop.time() - began)
        return _read(answer, _Offset).offset

    def _adapt(self, sent: int, secs: float) -> None:
        if secs > SLOW_SECS:
            self._chunk_bytes = max(SMALLEST_CHUNK_BYTES, self._chunk_bytes // 2)
        elif secs < QUICK_SECS and sent >= self._chunk_bytes:
            self._chunk_bytes = min(chunks.CHUNK_LIMIT_BYTES, self._chunk_bytes * 2)

    async def _request(
        self, client: httpx.AsyncClient, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        """Tried again a few times, ever later and never at the same moments, when the line breaks or damages it."""
        for tried in range(1, TRIES + 1):
            try:
                answer = await client.request(method, path, content=body, headers=headers)
                if answer.is_success or answer.status_code == httpx.codes.CONFLICT:
                    return answer
                failure = _refusal(answer)
            except httpx.TransportError as error:
                failure = DeliveryError(f"the hub cannot be reached: {type(error).__name__}", code="unreachable")
            if tried == TRIES or failure.code not in ("unreachable", _DAMAGED):
                raise failure
            self._chunk_bytes = max(SMALLEST_CHUNK_BYTES, self._chunk_bytes // 2)
            pause = min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2**tried)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        raise AssertionError("the last try returns or raises")


@dataclass(slots=True)
class _Attempt:
    name: str
    written: bytes
    study: Contents
    stream: Stream
    may_go_on: Callable[[], bool]
    progress: Progress
    moved_bytes: int = 0


def _refusal(answer: httpx.Response) -> DeliveryError:
    """What was damaged on its way is sent again, and so is what a full disk did not take."""
    try:
        code = str(answer.json().get("code", ""))
    except (ValueError, AttributeError):
        code = ""
    if not _CODE.fullmatch(code):
        code = f"http-{answer.status_code}"
    for_good = answer.status_code in _WRONG and code != _DAMAGED
    disposition = Disposition.HOLD if for_good else Disposition.RETRY
    return DeliveryError(f"the hub answers {answer.status_code}, {code}", code=code, disposition=disposition)


def _read(answer: httpx.Response, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DeliveryError("the hub answers something else than a transfer", code="answer-unreadable") from error
