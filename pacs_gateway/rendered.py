"""What does a stored object look like? Pictures for a browser.

Who is asking is settled before a request comes here; every look at a person's object is in the
audit before it is answered.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import asyncpg
from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from engine import clock
from engine.errors import AccessError, NotFoundError, ParseError
from engine.store import audit, imaging
from engine.store.imaging import Instance
from pacs_gateway.location import Objects, open_object
from pacs_gateway.rendering.choices import Asked, Layout, Window

_RENDERINGS = 2
"""At once: decoding a radiograph fills a core and takes a hundred megabytes for a moment."""
_SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_PRIVATE = "private, max-age=600"
"""The picture of an object never changes, and it is one person's."""


class _Caller(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Found:
    instance: Instance
    file: BinaryIO


def router(pool: asyncpg.Pool, objects: Objects, *, now: clock.Clock = clock.now) -> APIRouter:
    """Routes below /dicomweb."""
    routes = APIRouter(prefix="/dicomweb", tags=["dicomweb"])
    turns = asyncio.Semaphore(_RENDERINGS)

    async def find(request: Request, study: str, series: str, sop: str, action: str) -> _Found:
        async with pool.acquire() as connection:
            instance = await imaging.find_instance(connection, study, series, sop)
            if instance is None:
                raise NotFoundError("no such instance")
            detail: dict[str, str | int | bool | None] = {"instance": sop}
            act = audit.Audited(_caller_name(request), action, f"ImagingStudy/{study}", detail)
            await audit.write(connection, [act], now())
        return _Found(instance, await asyncio.to_thread(open_object, objects, instance.location))

    async def render(request: Request, found: _Found, asked: Asked) -> Response:
        """Draws in a thread, and closes the object's file."""
        with found.file:
            return await drawn(request, found, asked)

    async def drawn(request: Request, found: _Found, asked: Asked) -> Response:
        etag = f'"{found.instance.sha256.hex()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": _PRIVATE, "Vary": "Authorization"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        try:
            async with turns:
                response = await asyncio.to_thread(_draw, found, asked)
        except ParseError as error:
            raise HTTPException(406, error.message) from error
        response.headers.update(headers)
        return response

    @routes.get("/studies/{study}/series/{series}/instances/{sop}/rendered")
    async def rendered(
        request: Request, study: str, series: str, sop: str, window: str = "", layout: Layout = Layout.THREE_BY_FOUR
    ) -> Response:
        """PNG of an image's first frame, SVG of an ECG; `window=centre,width[,function]` as in PS3.18 §8.3.5."""
        asked = Asked(0, _window(window), layout)
        return await render(request, await find(request, study, series, sop, "read"), asked)

    @routes.get("/studies/{study}/series/{series}/instances/{sop}/frames/{frame}/rendered")
    async def frame_rendered(
        request: Request, study: str, series: str, sop: str, frame: int, window: str = ""
    ) -> Response:
        """PNG of one frame, counted from 1."""
        asked = Asked(frame - 1, _window(window))
        return await render(request, await find(request, study, series, sop, "read"), asked)

    return routes


def _caller_name(request: Request) -> str:
    caller: _Caller | None = request.scope.get("caller")
    if caller is None:
        raise AccessError("a bearer token is required", code="unauthenticated")
    return caller.name


def _draw(found: _Found, asked: Asked) -> Response:
    # Loaded with the first picture: the decoders take 60 MB that a hub where nobody looks does not need.
    from pacs_gateway.rendering.drawing import SVG, draw

    drawing = draw(found.instance, found.file, asked)
    policy = {"Content-Security-Policy": _SVG_POLICY} if drawing.media_type == SVG else {}
    return Response(drawing.content, media_type=drawing.media_type, headers=policy)


def _window(value: str) -> Window | None:
    if not value:
        return None
    centre, _, rest = value.partition(",")
    width, _, function = rest.partition(",")
    try:
        chosen = Window(float(centre), float(width), function.upper().replace("-", "_") or "LINEAR")
    except ValueError:
        raise ParseError("window: expected centre,width[,function]", location="window") from None
    if not chosen.width > 0:
        raise ParseError("window: expected a width above 0", location="window")
    return chosen
