"""Which answer holds some frames of an image, or one long value of an object? Stretches of it, as they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache, partial
from hashlib import sha256
from io import BytesIO

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import NotFoundError, ParseError
from engine.store.imaging_reading import Held
from pacs_gateway.apart import Apart
from pacs_gateway.dicomweb import sending
from pacs_gateway.dicomweb.accepting import OCTET_STREAM, Accepted
from pacs_gateway.dicomweb.asking import caller_of
from pacs_gateway.dicomweb.data_set import PIXEL_DATA, DataSet, Element
from pacs_gateway.dicomweb.decoding import Decoding
from pacs_gateway.dicomweb.instances import accept_of
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.pixels import Frames, frames_of
from pacs_gateway.dicomweb.sending import Made, Part
from pacs_gateway.dicomweb.unchanged import unless_had
from pacs_gateway.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
)

MOST_FRAMES = 10_000
"""Of one request."""
_REMEMBERED = 16
"""Objects whose frames need not be looked for again: viewers ask for one frame after another.

By the content of a data set and what is served otherwise of it: places within that never change.
"""


class Values:
    """Frames and bulk data. `apart` decodes the pixels of who does not take them compressed."""

    def __init__(self, looking: Looking, apart: Apart) -> None:
        self._looking = looking
        self._decoding = Decoding(looking, apart)
        self._remembered = lru_cache(_REMEMBERED)(self._look_for_frames)

    async def frames(self, wanted: Wanted, numbers: str, request: Request, base: str) -> Response:
        """Frames by number, from 1 (PS3.18 §10.4.1.1.6): a part for each, in the order asked for."""
        found = await self._looking.find(caller_of(request), wanted)
        return await unless_had(request, found, partial(self._some_frames, found[0], wanted, numbers, request, base))

    async def _some_frames(self, held: Held, wanted: Wanted, numbers: str, request: Request, base: str) -> Response:
        asked = _numbers(numbers)
        frames = await asyncio.to_thread(self._frames, held)
        if any(number > len(frames.places) for number in asked):
            raise NotFoundError("the object has no such frame")
        root = base + wanted.path
        return await self._told(held, frames, asked, root, accept_of(request))

    async def bulk_data(self, wanted: Wanted, path: str, request: Request, base: str) -> Response:
        """A value that metadata name by address; encapsulated pixels frame by frame."""
        found = await self._looking.find(caller_of(request), wanted)
        return await unless_had(request, found, partial(self._value, found[0], wanted, path, request, base))

    async def _value(self, held: Held, wanted: Wanted, path: str, request: Request, base: str) -> Response:
        place = await asyncio.to_thread(self._place, held, path)
        root = f"{base}{wanted.path}"
        if isinstance(place, Frames):
            return await self._told(held, place, range(1, len(place.places) + 1), root, accept_of(request))
        part = Part(OCTET_STREAM, f"{root}/bulkdata/{path}", partial(self._looking.open, held), (place,))
        takes = accept_of(request)
        if takes.single(OCTET_STREAM):
            return await sending.single(part)
        if not takes.parts(OCTET_STREAM):
            raise ParseError("bulk data are application/octet-stream", code="not-acceptable")
        return await sending.multipart(OCTET_STREAM, [part], _boundary(held))

    async def _told(self, held: Held, frames: Frames, numbers: Sequence[int], root: str, takes: Accepted) -> Response:
        """Frames as they are kept, as images or octets, to who takes them so; else, of compressed ones, the pixels."""
        for kind in dict.fromkeys((frames.media_type, OCTET_STREAM)):
            alone = len(numbers) == 1 and takes.single(kind, frames.transfer_syntax)
            if not alone and not takes.parts(kind, frames.transfer_syntax):
                continue
            content_type = f"{kind}; transfer-syntax={frames.transfer_syntax}"
            opened = partial(self._looking.open, held)
            parts = [Part(content_type, _frame(root, one), opened, frames.places[one - 1]) for one in numbers]
            return await (sending.single(parts[0]) if alone else sending.multipart(kind, parts, _boundary(held)))
        alone = len(numbers) == 1 and takes.single(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN)
        if not alone and not takes.parts(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN):
            raise ParseError("the frames are kept in another transfer syntax", code="not-acceptable")
        return await self._pixels(held, numbers, root, alone=alone)

    async def _pixels(self, held: Held, numbers: Sequence[int], root: str, *, alone: bool) -> Response:
        """The first frame is decoded before anything is answered: one that cannot be is mostly not the only one."""
        content_type = f"{OCTET_STREAM}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}"
        first = Part(
            content_type, _frame(root, numbers[0]), partial(BytesIO, await self._decoding.pixels(held, numbers[0]))
        )
        if alone:
            return await sending.single(first)
        rest = [Made(content_type, _frame(root, one), partial(self._decoding.pixels, held, one)) for one in numbers[1:]]
        return await sending.multipart(OCTET_STREAM, [first, *rest], _boundary(held))

    def _frames(self, held: Held) -> Frames:
        try:
            return self._remembered(held)
        except ParseError as error:
            raise ParseError(error.message, code="not-acceptable") from error

    def _look_for_frames(self, held: Held) -> Frames:
        _refuse_deflated(held)
        with self._looking.open(held) as file:
            return frames_of(DataSet(file, held.transfer_syntax), held.transfer_syntax)

    def _place(self, held: Held, path: str) -> tuple[int, int] | Frames:
        _refuse_deflated(held)
        with self._looking.open(held) as file:
            data_set = DataSet(file, held.transfer_syntax)
            element = _at(data_set, path)
        if element.tag == PIXEL_DATA and element.open:
            return self._frames(held)
        if element.vr == "SQ":
            raise NotFoundError("a sequence has no value of its own")
        if held.transfer_syntax == EXPLICIT_VR_BIG_ENDIAN and element.vr not in ("OB", "UN"):
            raise ParseError("big endian values are served in their object only", code="not-acceptable")
        return element.at - data_set.start, element.length


def _frame(root: str, number: int) -> str:
    return f"{root}/frames/{number}"


def _numbers(text: str) -> list[int]:
    """Raises ParseError for what is no list of frame numbers."""
    words = text.split(",")
    if len(words) > MOST_FRAMES:
        raise ParseError("too many frames at once", code="too-long", location="frames")
    if not all(word.isascii() and word.isdigit() and len(word) < 10 and int(word) > 0 for word in words):
        raise ParseError("frames: expected numbers from 1 with commas between", location="frames")
    return [int(word) for word in words]


def _at(data_set: DataSet, path: str) -> Element:
    """The element at a path such as `7FE00010` or `54000100/0/54001010`. Raises NotFoundError."""
    words = path.split("/")
    elements = data_set.top()
    for position in range(0, len(words), 2):
        element = next((one for one in elements if f"{one.tag:08X}" == words[position].upper()), None)
        if element is None:
            break
        if position == len(words) - 1:
            return element
        wanted = words[position + 1]
        item = next((place for number, place in enumerate(_items(data_set, element)) if str(number) == wanted), None)
        if item is None:
            break
        elements = data_set.within(*item, element.layout)
    raise NotFoundError("the object has no such value")


def _items(data_set: DataSet, element: Element) -> list[tuple[int, int]]:
    return list(data_set.items(element)) if element.vr == "SQ" else []


def _refuse_deflated(held: Held) -> None:
    if held.transfer_syntax == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        raise ParseError("values of a deflated data set are served in their object only", code="not-acceptable")


def _boundary(held: Held) -> str:
    """Not to be foreseen by whoever made the object."""
    return f"hutong-{sha256(held.sha256).hexdigest()[:48]}"
