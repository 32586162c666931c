"""Which answer holds the instances of a study, a series or one? Objects as they are stored (PS3.18 §10.4.1.1)."""

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
from engine.store.statements import as_sent, is_restated
from pacs_gateway.dicomweb import sending
from pacs_gateway.dicomweb.accepting import Accepted, accepted
from pacs_gateway.dicomweb.anew import Anew, target_of
from pacs_gateway.dicomweb.asking import caller_of
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.sending import Part, StoredFile, Whole
from pacs_gateway.dicomweb.unchanged import unless_had

DICOM = "application/dicom"
AS_SENT = "as-sent"
"""A parameter of the query: `true` asks for the bytes that came, whatever was repaired or decided of them since."""


async def retrieve(looking: Looking, anew: Anew, wanted: Wanted, request: Request, base: str) -> Response:
    """200, 206 where some are stored in transfer syntaxes that are not taken, 406 where all are; or 304.

    One instance goes by itself to whoever asks for `application/dicom`, and else, as everything, in parts. It alone is
    encoded anew where its client does not take it as it is stored.
    """
    held = await looking.find(caller_of(request), wanted)
    if request.query_params.get(AS_SENT) == "true":
        held = [replace(one, location=as_sent(one.location)) for one in held]
    return await unless_had(request, held, partial(_answer, looking, anew, wanted, held, accept_of(request), base))


async def _answer(
    looking: Looking, anew: Anew, wanted: Wanted, held: Sequence[Held], takes: Accepted, base: str
) -> Response:
    if wanted.sop and takes.single(DICOM, held[0].transfer_syntax):
        return await _alone(looking, held[0], base)
    taken = [one for one in held if takes.parts(DICOM, one.transfer_syntax)]
    if not taken and wanted.sop and (target := target_of(takes, DICOM)):
        return await _anew(anew, held[0], target, takes, base)
    if not taken:
        raise ParseError("it is kept in another transfer syntax, and is not encoded anew", code="not-acceptable")
    parts = [part_of(looking, one, base) for one in taken]
    return await sending.multipart(DICOM, parts, boundary_of(taken), 200 if len(taken) == len(held) else 206)


def accept_of(request: Request) -> Accepted:
    """What a request takes; a parameter `accept` goes before the header (PS3.18 §8.3.3.1)."""
    asked = request.query_params.get("accept") if request.scope["query_string"] else None
    return accepted(asked or request.headers.get("accept"))


def part_of(looking: Looking, held: Held, base: str) -> Part:
    return Part(
        content_type=f"{DICOM}; transfer-syntax={held.transfer_syntax}",
        location=base + Wanted(held.study_uid, held.series_uid, held.sop_uid).path,
        opened=partial(looking.open, held),
        path="" if is_restated(held.location) else os.fspath(looking.stored_file(held)),
    )


def boundary_of(held: Sequence[Held]) -> str:
    """Objects do not hold a digest of themselves."""
    return f"hutong-{sha256(b''.join(one.sha256 for one in held)).hexdigest()[:48]}"


async def _anew(anew: Anew, held: Held, target: str, takes: Accepted, base: str) -> Response:
    made = await anew.made(held, target)
    location = base + Wanted(held.study_uid, held.series_uid, held.sop_uid).path
    part = Part(f"{DICOM}; transfer-syntax={target}", location, partial(BytesIO, made))
    if takes.single(DICOM, target):
        return await sending.single(part)
    return await sending.multipart(DICOM, [part], f"hutong-{sha256(made).hexdigest()[:48]}")


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
