"""What becomes of objects that are posted? STOW-RS (PS3.18 §10.5): streamed into the reception that C-STORE uses.

An object is answered as stored when its flush has returned. Objects of one request are flushed side by side; of each at
most one chunk of the network is in memory, whatever length it claims.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.errors import FramingError, HutongError, ParseError, StorageError
from pacs_gateway import status
from pacs_gateway.dicomweb.accepting import MULTIPART, accepted, parameters
from pacs_gateway.dicomweb.asking import Caller, storing_caller_of
from pacs_gateway.dicomweb.file_head import FileHead, FileHeadReader
from pacs_gateway.dicomweb.instances import DICOM
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.multipart import Begun, Content, MultipartReader
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.scp.reception import Announced, Arriving, Reception
from pacs_gateway.storage_classes import STORAGE_CLASSES
from pacs_gateway.transfer_syntaxes import TRANSFER_SYNTAXES

JSON = "application/dicom+json"
REQUESTS_AT_ONCE = 32
FLUSHES_AT_ONCE = 8
"""Of one request."""
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122
"""PS3.18 §I.2.2."""
_AE_TITLE = 16
_SILENCE_SECS = 60.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outcome:
    """What became of one part. `failure` is a reason of PS3.18 §I.2.2, 0 for an object that is stored."""

    head: FileHead | None = None
    failure: int = status.SUCCESS


@dataclass(slots=True)
class _Posted:
    """One part on its way: nothing, then its file head, then an object in the reception."""

    outcome: _Outcome
    reader: FileHeadReader = field(default_factory=FileHeadReader)
    arriving: Arriving | None = None

    def abandon(self) -> None:
        if self.arriving is not None:
            self.arriving.abandon()
            self.arriving = None

    def fail(self, error: HutongError) -> None:
        self.abandon()
        self.outcome.failure = (
            TRANSFER_SYNTAX_NOT_SUPPORTED if error.code == "transfer-syntax-unknown" else status.status_of(error)
        )


class Storing:
    """Stores what is posted."""

    def __init__(self, posted: Posted, looking: Looking) -> None:
        self._posted = posted
        self._looking = looking
        self._under_way = 0

    async def store(self, request: Request, base: str, study: str = "") -> Response:
        """200 when everything is stored, 202 when some of it is, 409 when nothing is; what became of each is told.

        Raises FramingError for a body that is no multipart from its first byte, StorageError when too many are under
        way. A body that breaks off later loses the part at which it did and what would have followed, told as one.
        """
        caller = storing_caller_of(request)
        if accepted(request.headers.get("accept")).best((JSON, "application/json")) is None:
            raise ParseError("what was stored is told as application/dicom+json", code="not-acceptable")
        parts = _parts_of(request)
        if self._under_way >= REQUESTS_AT_ONCE:
            raise StorageError("too many are storing at once")
        self._under_way += 1
        try:
            reception = await self._posted.reception()
            outcomes = await _Post(reception, caller, _peer(caller, request), study).take(parts)
        finally:
            self._under_way -= 1
        stored = [one.head.sop_uid for one in outcomes if not one.failure and one.head is not None]
        if not stored:
            return _answer(outcomes, {}, base)
        await self._posted.settled()
        return _answer(outcomes, await self._looking.stored(caller, stored), base)


class _Post:
    """One request being stored."""

    def __init__(self, reception: Reception, caller: Caller, peer: str, study: str) -> None:
        self._reception = reception
        self._caller = caller
        self._peer = peer
        self._study = study
        self._outcomes: list[_Outcome] = []
        self._flushing: deque[asyncio.Task[None]] = deque()

    async def take(self, parts: AsyncIterator[Begun | memoryview | None]) -> list[_Outcome]:
        """`parts` brings what begins a part, its bytes, and None behind its last one."""
        posted: _Posted | None = None
        try:
            async for event in parts:
                if isinstance(event, Begun):
                    posted = self._begin(event)
                elif posted is not None and isinstance(event, memoryview):
                    self._write(posted, event)
                elif posted is not None:
                    await self._end(posted)
                    posted = None
        except (FramingError, ClientDisconnect, TimeoutError) as error:
            if not self._outcomes:
                raise FramingError("the body broke off before its first part", code="multipart-malformed") from error
            _log.warning("a STOW-RS request of %s broke off: %s", self._peer, type(error).__name__)
            if posted is not None:
                posted.fail(ParseError("the body broke off", code="dicom-truncated"))
            else:  # between two parts: nobody knows how many were to come
                self._outcomes.append(_Outcome(failure=status.CANNOT_UNDERSTAND))
        finally:
            if posted is not None:
                posted.abandon()
            await asyncio.gather(*self._flushing)
        return self._outcomes

    def _begin(self, begun: Begun) -> _Posted:
        outcome = _Outcome()
        self._outcomes.append(outcome)
        posted = _Posted(outcome)
        kind = parameters(begun.headers.get("content-type", DICOM))[0]
        if kind != DICOM:
            posted.fail(ParseError("a part is no DICOM file", code="dicom-unparsable"))
        return posted

    def _write(self, posted: _Posted, piece: memoryview) -> None:
        if posted.outcome.failure:
            return
        try:
            rest = posted.reader.receive(piece)
            if posted.reader.head is None:
                return
            if posted.arriving is None:
                posted.outcome.head = posted.reader.head
                posted.arriving = self._reception.begin(self._announced(posted.reader.head))
            if rest:
                posted.arriving.write((rest,))
        except HutongError as error:
            self._refused(posted, error)

    async def _end(self, posted: _Posted) -> None:
        if posted.outcome.failure:
            return
        if posted.arriving is None:
            self._refused(posted, ParseError("a part is no DICOM file", code="dicom-unparsable"))
            return
        self._flushing.append(asyncio.create_task(self._finish(posted, posted.arriving)))
        posted.arriving = None
        if len(self._flushing) >= FLUSHES_AT_ONCE:
            await self._flushing.popleft()

    async def _finish(self, posted: _Posted, arriving: Arriving) -> None:
        try:
            await arriving.finish()
        except HutongError as error:
            self._refused(posted, error)

    def _refused(self, posted: _Posted, error: HutongError) -> None:
        posted.fail(error)
        _log.warning("refused an object of %s: %s", self._peer, error.message)

    def _announced(self, head: FileHead) -> Announced:
        if head.sop_class not in STORAGE_CLASSES:
            raise ParseError("SOP class not supported", code="sop-class-unknown")
        if head.transfer_syntax not in TRANSFER_SYNTAXES:
            raise ParseError("transfer syntax not supported", code="transfer-syntax-unknown")
        return Announced(
            sop_class_uid=head.sop_class,
            sop_instance_uid=head.sop_uid,
            transfer_syntax_uid=head.transfer_syntax,
            calling_ae=self._caller.name.upper()[:_AE_TITLE],
            called_ae="",
            facility=self._caller.facility,
            peer=self._peer,
            study_uid=self._study,
        )


async def _parts_of(request: Request) -> AsyncIterator[Begun | memoryview | None]:
    """The body as it comes. Raises ParseError for a media type that is not taken."""
    kind, given = parameters(request.headers.get("content-type", ""))
    if kind == DICOM:
        yield Begun({})
        async for chunk in _chunks(request):
            yield memoryview(chunk)
        yield None
        return
    if kind != MULTIPART or given.get("type", DICOM).lower() != DICOM:
        raise ParseError("objects are taken as multipart/related of application/dicom", code="unsupported-media-type")
    reader = MultipartReader(given.get("boundary", ""))
    async for chunk in _chunks(request):
        for event in reader.receive(chunk):
            if isinstance(event, Begun):
                yield event
            else:
                yield event.piece if isinstance(event, Content) else None
    reader.finish()


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Raises TimeoutError when nothing comes for long, ClientDisconnect when the client has left."""
    stream = request.stream()
    while True:
        async with asyncio.timeout(_SILENCE_SECS):
            chunk = await anext(stream, None)
        if chunk is None:
            return
        yield chunk


def _peer(caller: Caller, request: Request) -> str:
    """As a modality's: `NAME@host:port`."""
    host, port = request.client or ("", 0)
    return f"{caller.name}@{host}:{port}"


def _answer(outcomes: list[_Outcome], places: Mapping[str, Wanted], base: str) -> Response:
    stored = [one.head for one in outcomes if not one.failure and one.head is not None]
    failed = [one for one in outcomes if one.failure]
    told: dict[str, Any] = {}
    if len(studies := {place.study for place in places.values()}) == 1:
        told["00081190"] = _address(base + Wanted(studies.pop()).path)
    if failed:
        told["00081198"] = {"vr": "SQ", "Value": [_failed(one) for one in failed]}
    if stored:
        told["00081199"] = {"vr": "SQ", "Value": [_stored(head, places.get(head.sop_uid), base) for head in stored]}
    code = (202 if failed else 200) if stored else 409
    return Response(json.dumps(told), code, media_type=JSON)


def _failed(outcome: _Outcome) -> dict[str, Any]:
    head = outcome.head or FileHead("", "", "")
    return {**_reference(head), "00081197": {"vr": "US", "Value": [outcome.failure]}}


def _stored(head: FileHead, place: Wanted | None, base: str) -> dict[str, Any]:
    """Without an address while the index cannot be reached: the object is safe, and will be found."""
    return _reference(head) | ({"00081190": _address(base + place.path)} if place is not None else {})


def _reference(head: FileHead) -> dict[str, Any]:
    return {
        tag: {"vr": "UI", "Value": [uid]} if uid else {"vr": "UI"}
        for tag, uid in (("00081150", head.sop_class), ("00081155", head.sop_uid))
    }


def _address(url: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [url]}
