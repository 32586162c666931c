"""Which answer holds the instances of a study, a series or one? As stored, or encoded anew (PS3.18 §10.4.1.1)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from io import BytesIO

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import ParseError
from engine.store.imaging_reading import Held
from engine.store.remembered import Remembered
from engine.store.statements import as_sent, is_restated
from pacs_gateway.dicomweb import sending
from pacs_gateway.dicomweb.accepting import Accepted, accepted
from pacs_gateway.dicomweb.anew import TARGETS, Anew, target_of
from pacs_gateway.dicomweb.asking import caller_of
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.sending import Made, Part, StoredFile, Whole
from pacs_gateway.dicomweb.unchanged import unless_had

DICOM = "application/dicom"
AS_SENT = "as-sent"
"""A parameter of the query: `true` asks for the bytes that came, whatever was repaired or decided of them since."""
_FAILED_MOST = 10_000
_FAILED_SECS = 600.0
"""What could not be encoded is not tried again in this time: a study that broke off at it is asked for again."""


class Instances:
    """Objects as they are stored; encoded anew for who names another transfer syntax and does not take theirs."""

    def __init__(self, looking: Looking, anew: Anew) -> None:
        self._looking = looking
        self._anew = anew
        self._failed: Remembered[tuple[bytes, str, str], bool] = Remembered(_FAILED_MOST, _FAILED_SECS, trusted=True)

    async def retrieve(self, wanted: Wanted, request: Request, base: str) -> Response:
        """200, 206 where some cannot be had in a transfer syntax that is taken, 406 where none can; or 304.

        One instance goes by itself to whoever asks for `application/dicom`, and else, as everything, in parts.
        """
        held = await self._looking.find(caller_of(request), wanted)
        if request.query_params.get(AS_SENT) == "true":
            held = [replace(one, location=as_sent(one.location)) for one in held]
        return await unless_had(request, held, partial(self._answer, wanted, held, accept_of(request), base))

    async def _answer(self, wanted: Wanted, held: Sequence[Held], takes: Accepted, base: str) -> Response:
        if wanted.sop and takes.single(DICOM, held[0].transfer_syntax):
            return await _alone(self._looking, held[0], base)
        if wanted.sop and (target := target_of(takes, DICOM)) and not takes.parts(DICOM, held[0].transfer_syntax):
            return await self._one_anew(held[0], target, takes, base)
        parts = await self._parts(held, takes, base)
        if not parts:
            raise ParseError("it is kept in another transfer syntax, and cannot be had in one", code="not-acceptable")
        if (missing := len(held) - len(parts)) == 0:
            return await sending.multipart(DICOM, parts, boundary_of(held))
        answer = await sending.multipart(DICOM, parts, boundary_of(held), 206)
        answer.headers["Warning"] = (
            f'299 hutong "{missing} of {len(held)} instances are left out: they cannot be had in an accepted encoding"'
        )
        return answer

    async def _parts(self, held: Sequence[Held], takes: Accepted, base: str) -> list[Part | Made]:
        """What goes into an answer, in its order; what is encoded anew when its turn comes, but the first of them now.

        One that then cannot be breaks the answer off, which has begun as a whole one, and is left out of the next.
        """
        target = next((uid for uid in TARGETS if takes.parts(DICOM, uid)), "")
        parts: list[Part | Made] = []
        begun = False
        for one in held:
            if takes.parts(DICOM, one.transfer_syntax):
                parts.append(part_of(self._looking, one, base))
            elif target and self._failed.get(_key(one, target)) is None:
                content_type, location = f"{DICOM}; transfer-syntax={target}", _location(one, base)
                if begun:
                    parts.append(Made(content_type, location, partial(self._made, one, target)))
                    continue
                try:
                    made = await self._made(one, target)
                except ParseError:
                    continue
                parts.append(Part(content_type, location, partial(BytesIO, made)))
                begun = True
        return parts

    async def _made(self, held: Held, target: str) -> bytes:
        try:
            return await self._anew.made(held, target)
        except ParseError:
            self._failed.put(self._failed.begin(), _key(held, target), True)
            raise

    async def _one_anew(self, held: Held, target: str, takes: Accepted, base: str) -> Response:
        made = await self._anew.made(held, target)
        part = Part(f"{DICOM}; transfer-syntax={target}", _location(held, base), partial(BytesIO, made))
        if takes.single(DICOM, target):
            return await sending.single(part)
        return await sending.multipart(DICOM, [part], f"hutong-{sha256(made).hexdigest()[:48]}")


def accept_of(request: Request) -> Accepted:
    """What a request takes; a parameter `accept` goes before the header (PS3.18 §8.3.3.1)."""
    asked = request.query_params.get("accept") if request.scope["query_string"] else None
    return accepted(asked or request.headers.get("accept"))


def part_of(looking: Looking, held: Held, base: str) -> Part:
    return Part(
        content_type=f"{DICOM}; transfer-syntax={held.transfer_syntax}",
        location=_location(held, base),
        opened=partial(looking.open, held),
        path="" if is_restated(held.location) else os.fspath(looking.stored_file(held)),
    )


def boundary_of(held: Sequence[Held]) -> str:
    """Objects do not hold a digest of themselves."""
    return f"hutong-{sha256(b''.join(one.sha256 for one in held)).hexdigest()[:48]}"


def _location(held: Held, base: str) -> str:
    return base + Wanted(held.study_uid, held.series_uid, held.sop_uid).path


def _key(held: Held, target: str) -> tuple[bytes, str, str]:
    return held.sha256, held.location, target


async def _alone(looking: Looking, held: Held, base: str) -> Response:
    if is_restated(held.location):
        return await sending.single(part_of(looking, held, base))
    path = looking.stored_file(held)
    media_type = f"{DICOM}; transfer-syntax={held.transfer_syntax}"
    if (whole := sending.at_hand(os.fspath(path))) is not None:
        return Whole(whole, media_type)
    try:
        size = os.stat(path).st_size
    except OSError:  # still in the spool, or the store is away
        return await sending.single(part_of(looking, held, base))
    return StoredFile(path, size, media_type)
