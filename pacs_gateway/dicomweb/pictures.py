"""What does a stored object look like? Rendered pictures (PS3.18 §8.7.4), and thumbnails that are kept once made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import ParseError
from engine.store.imaging_reading import Held
from engine.store.statements import edition
from pacs_gateway.apart import Apart, Died, Limits
from pacs_gateway.dicomweb.asking import caller_of
from pacs_gateway.dicomweb.instances import accept_of
from pacs_gateway.dicomweb.kept import Kept
from pacs_gateway.dicomweb.looking import Looking
from pacs_gateway.dicomweb.paths import Place
from pacs_gateway.dicomweb.sending import HEADERS
from pacs_gateway.dicomweb.unchanged import is_had, not_modified
from pacs_gateway.rendering.choices import JPEG, PNG, SVG, Asked, Layout, Viewport, Window

if TYPE_CHECKING:
    from pacs_gateway.rendering.drawing import Drawing

THUMBNAIL = Viewport(128, 128)
LARGEST_SIDE = 8192
"""Of a viewport that is asked for."""
LIMITS = Limits(processor_secs=30, wall_secs=120.0, memory_bytes=3 * 1024**3)
"""Of one picture. A radiograph takes half a second and a hundred megabytes; the largest mammogram a gigabyte."""
_TRIED = 3
"""Objects of a series that are tried for a thumbnail, from its middle: the first may be a report."""
_QUALITY = 80
_SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_FORMAT = b"1"
"""To be raised with every change of how thumbnails look."""


class Pictures:
    """`objects` is the object folder; thumbnails in `objects/thumbnails` may be deleted at any time."""

    def __init__(self, looking: Looking, objects: Path, apart: Apart, limits: Limits = LIMITS) -> None:
        self._looking = looking
        self._kept = Kept(objects / "thumbnails")
        self._apart = apart
        self._limits = limits

    async def rendered(self, place: Place, request: Request) -> Response:
        """PNG or JPEG of a frame, SVG of an ECG; or 304.

        Raises ParseError for choices that are none, `not-renderable` for what shows nothing, and `decoder-died`.
        """
        asked = _asked(place, request)
        (held,) = await self._looking.find(caller_of(request), place.wanted)
        etag = _etag(held, repr(asked).encode())
        if is_had(request, etag):
            return not_modified(etag)
        content, media_type = await self._drawn(held, asked)
        return _answer(content, media_type, etag)

    async def thumbnail(self, place: Place, request: Request) -> Response:
        """A small JPEG that stands for a study, a series, an instance or a frame (PS3.18 §10.4.1.1.5); or 304."""
        if accept_of(request).best((JPEG, SVG)) is None:
            raise ParseError("a thumbnail is an image/jpeg", code="not-acceptable")
        viewport = _viewport(request.query_params.get("viewport", "")) or THUMBNAIL
        if max(viewport.width, viewport.height) > THUMBNAIL.width:
            viewport = THUMBNAIL  # what is larger than a thumbnail is asked for as rendered
        asked = Asked(_frame(place), media_type=JPEG, viewport=viewport, quality=_QUALITY)
        found = await self._looking.find(caller_of(request), place.wanted)
        for held in _representatives(found):
            etag = _etag(held, repr(asked).encode())
            if is_had(request, etag):
                return not_modified(etag)
            try:
                content, media_type = await self._small(held, asked, etag.strip('"'))
            except ParseError:
                continue  # it shows nothing; another may
            return _answer(content, media_type, etag)
        raise HTTPException(404, "nothing of it can be shown")

    async def _small(self, held: Held, asked: Asked, name: str) -> tuple[bytes, str]:
        for media_type in (JPEG, SVG):
            if (kept := await self._kept.get(held.study_uid, f"{name}{_SUFFIXES[media_type]}")) is not None:
                return kept, media_type
        content, media_type = await self._drawn(held, asked)
        await self._kept.put(held.study_uid, f"{name}{_SUFFIXES[media_type]}", content)
        return content, media_type

    async def _drawn(self, held: Held, asked: Asked) -> tuple[bytes, str]:
        tags = await self._looking.tags_of(held)
        try:
            drawing = await self._apart.done(
                self._limits, _draw, held.charset, tags, asked, opened=partial(self._looking.open, held)
            )
        except Died as error:
            raise ParseError(f"no picture can be made of the object: {error}", code="decoder-died") from error
        return drawing.content, drawing.media_type


def _draw(file: BinaryIO, charset: str, tags: dict[str, str], asked: Asked) -> Drawing:
    from pacs_gateway.rendering.drawing import draw  # the decoders take 60 MB, and only the process that draws has them

    return draw(file, charset, tags, asked)


_SUFFIXES = {JPEG: ".jpg", SVG: ".svg"}


def _asked(place: Place, request: Request) -> Asked:
    given = request.query_params
    media_type = JPEG if _taken(request) == JPEG else PNG
    try:
        layout = Layout(given.get("layout") or Layout.THREE_BY_FOUR)
        quality = int(given.get("quality") or 90)
    except ValueError:
        raise ParseError("layout: expected 3x4 or 6x2; quality: a number", location="layout") from None
    if not 1 <= quality <= 100:
        raise ParseError("quality: expected a number from 1 to 100", location="quality")
    return Asked(
        _frame(place),
        _window(given.get("window", "")),
        layout,
        media_type,
        _viewport(given.get("viewport", "")),
        quality,
    )


def _taken(request: Request) -> str:
    """Raises ParseError where no picture is taken."""
    best = accept_of(request).best((PNG, JPEG, SVG))
    if best is None:
        raise ParseError("pictures are image/png, image/jpeg or image/svg+xml", code="not-acceptable")
    return best


def _frame(place: Place) -> int:
    """Counted from 0. Raises ParseError."""
    if place.rest[0] != "frames":
        return 0
    word = place.rest[1]
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise ParseError("frames: expected the number of a frame", location="frames")
    return int(word) - 1


def _window(value: str) -> Window | None:
    if not value:
        return None
    centre, _, rest = value.partition(",")
    width, _, function = rest.partition(",")
    try:
        chosen = Window(float(centre), float(width), function.upper().replace("-", "_") or "LINEAR")
    except ValueError:
        raise ParseError("window: expected centre,width[,function]", location="window") from None
    if not (chosen.width > 0 and math.isfinite(chosen.width) and math.isfinite(chosen.centre)):
        raise ParseError("window: expected a width above 0", location="window")
    return chosen


def _viewport(value: str) -> Viewport | None:
    """Width and height; a part of the image is not cut out."""
    if not value:
        return None
    words = value.split(",")
    if len(words) != 2 or not all(w.isascii() and w.isdigit() and 0 < int(w[:9]) <= LARGEST_SIDE for w in words):
        raise ParseError(f"viewport: expected width,height of 1 to {LARGEST_SIDE} pixels", location="viewport")
    return Viewport(int(words[0]), int(words[1]))


def _representatives(found: Sequence[Held]) -> list[Held]:
    """Which objects may stand for all, the best first: the middle of the first series, then what is beside it."""
    first = [held for held in found if held.series_uid == found[0].series_uid]
    middle = len(first) // 2
    others = [held for held in found if held.series_uid != found[0].series_uid]
    return (first[middle : middle + 1] + first[:1] + first[-1:] + others[len(others) // 2 :])[:_TRIED]


def _etag(held: Held, asked: bytes) -> str:
    return f'"{sha256(_FORMAT + held.sha256 + edition(held.location) + asked).hexdigest()[:40]}"'


def _answer(content: bytes, media_type: str, etag: str) -> Response:
    headers = {**HEADERS, "ETag": etag}
    if media_type == SVG:
        headers["Content-Security-Policy"] = _SVG_POLICY
    return Response(content, media_type=media_type, headers=headers)
