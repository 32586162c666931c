"""How does another hub reach us with a study? Announce it, send its pieces, finish; below /api/transfers."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.errors import NotFoundError, ParseError
from pacs_gateway.dicomweb.asking import storing_caller_of
from pacs_gateway.transfer import chunks
from pacs_gateway.transfer.contents import WRITTEN_LIMIT_BYTES
from pacs_gateway.transfer.incoming import Incoming
from pacs_gateway.transfer.standing import Sender, Stands

PREFIX = "/api/transfers"
_NAME = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"\d{1,15}")

_Endpoint = Callable[[Request], Awaitable[Response]]


def router(incoming: Incoming) -> APIRouter:
    async def announce(request: Request) -> Response:
        sender, name = _sender_of(request), _name_of(request)
        body = await request.body()
        written = await asyncio.to_thread(_inflated, body) if _is_compressed(request) else body
        return _told(await incoming.announce(sender, name, written))

    async def append(request: Request) -> Response:
        sender, name, offset = _sender_of(request), _name_of(request), _offset_of(request)
        piece = chunks.unpacked(
            await request.body(), request.headers.get(chunks.DIGEST, ""), compressed=_is_compressed(request)
        )
        here = await incoming.append(sender, name, offset, piece)
        return JSONResponse({"offset": here}, 200 if here == offset + len(piece) else 409)

    async def finish(request: Request) -> Response:
        sender, name = _sender_of(request), _name_of(request)
        await request.body()
        return _told(await incoming.finish(sender, name))

    routes = APIRouter()
    for path, method, endpoint in (("", "PUT", announce), ("", "PATCH", append), ("/finish", "POST", finish)):
        routes.add_route(f"{PREFIX}/{{name}}{path}", endpoint, methods=[method], include_in_schema=False)
    return routes


def _told(stands: Stands) -> Response:
    return JSONResponse(
        {
            "whole": stands.whole,
            "needed": list(stands.needed),
            "offset": stands.offset,
            "refused": [{"object": index, "why": why} for index, why in stands.refused],
        }
    )


def _sender_of(request: Request) -> Sender:
    """Raises AccessError unless objects may be stored for the caller's facility."""
    caller = storing_caller_of(request)
    host, port = request.client or ("", 0)
    return Sender(caller.name, caller.facility, f"{host}:{port}")


def _name_of(request: Request) -> str:
    name: str = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise NotFoundError("no transfer has such a name", code="transfer-unknown")
    return name


def _offset_of(request: Request) -> int:
    offset = request.headers.get(chunks.OFFSET, "")
    if not _NUMBER.fullmatch(offset):
        raise ParseError(f"expected the place of the piece in {chunks.OFFSET}", code="chunk-damaged")
    return int(offset)


def _is_compressed(request: Request) -> bool:
    encoding = request.headers.get(chunks.ENCODING, "").lower()
    if encoding not in ("", chunks.DEFLATE):
        raise ParseError(f"pieces are compressed with {chunks.DEFLATE}, or not", code="unsupported-media-type")
    return encoding == chunks.DEFLATE


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        written = inflater.decompress(body, WRITTEN_LIMIT_BYTES)
    except zlib.error as error:
        raise ParseError("the list of objects cannot be inflated", code="chunk-damaged") from error
    if not inflater.eof:
        raise ParseError("the list of objects breaks off, or is too long", code="chunk-damaged")
    return written
