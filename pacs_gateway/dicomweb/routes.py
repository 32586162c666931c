"""Which request is which transaction? Everything below /dicomweb (PS3.18), as one ASGI application.

Paths are taken apart here and not by the routes of the hub: a viewer asks for a thousand instances, and trying one
route after another was a third of what each of them cost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import asyncpg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine import clock
from engine.ports import ObjectStore
from engine.store.imaging_query import Level
from pacs_gateway.apart import Apart
from pacs_gateway.dicomweb import searching
from pacs_gateway.dicomweb.anew import Anew
from pacs_gateway.dicomweb.capabilities import capabilities
from pacs_gateway.dicomweb.frames import Values
from pacs_gateway.dicomweb.instances import Instances
from pacs_gateway.dicomweb.looking import Looking
from pacs_gateway.dicomweb.metadata import Documents
from pacs_gateway.dicomweb.paths import PREFIX, Place, place_of
from pacs_gateway.dicomweb.pictures import Pictures
from pacs_gateway.dicomweb.preparing import Preparing
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.dicomweb.recollection import Recollection
from pacs_gateway.dicomweb.storing import Storing
from pacs_gateway.location import Objects
from pacs_gateway.missing import Missing

_Transaction = Callable[[Place, Request], Awaitable[Response]]
_READ = ("GET", "HEAD")
MOUNTED = (PREFIX, f"{PREFIX}/", f"{PREFIX}/studies", f"{PREFIX}/series", f"{PREFIX}/instances")
"""Workitems are the reading room's."""
_USUAL_PORTS = {"http": 80, "https": 443}


class DicomWeb:
    """To be made on the event loop, behind whoever puts the caller into the scope and tells errors over HTTP.

    folder  the object folder
    posted  what takes objects; without it nothing can be stored
    store   where finished objects are, if not in the folder
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        folder: Path,
        posted: Posted | None = None,
        *,
        store: ObjectStore | None = None,
        now: clock.Clock = clock.now,
    ) -> None:
        objects = Objects(folder, store, Missing(pool, now).told)
        self._looking = Looking(pool, objects, now)
        self._documents = Documents(self._looking, objects.folder)
        self._preparing = Preparing(pool, self._documents)
        self._apart = Apart()
        self._values = Values(self._looking, self._apart)
        self._instances = Instances(self._looking, Anew(self._looking, self._apart))
        self._pictures = Pictures(self._looking, objects.folder, self._apart)
        self._storing = Storing(posted, self._looking) if posted is not None else None
        self._read: Mapping[tuple[int, tuple[str, ...]], _Transaction] = {
            (0, ("studies",)): self._searches(Level.STUDY),
            (0, ("series",)): self._searches(Level.SERIES),
            (0, ("instances",)): self._searches(Level.IMAGE),
            (1, ("series",)): self._searches(Level.SERIES),
            (1, ("instances",)): self._searches(Level.IMAGE),
            (2, ("instances",)): self._searches(Level.IMAGE),
            **{(levels, ()): self._retrieve for levels in (1, 2, 3)},
            **{(levels, ("metadata",)): self._metadata for levels in (1, 2, 3)},
            **{(levels, ("thumbnail",)): self._pictures.thumbnail for levels in (1, 2, 3)},
            (3, ("rendered",)): self._pictures.rendered,
        }

    def mounts(self) -> Mapping[str, DicomWeb]:
        """By the first two segments of the paths that it answers."""
        return dict.fromkeys(MOUNTED, self)

    @property
    def recollection(self) -> Recollection:
        return self._looking.recollection

    def start(self) -> None:
        """Prepares, from now on, what will be asked for."""
        self._preparing.start()

    async def close(self) -> None:
        """Ends what it began; to be called when nothing is asked of it any more."""
        await self._preparing.close()
        await self._apart.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        """Raises HTTPException 404 and 405 for what is no transaction."""
        if request.method == "OPTIONS":
            return capabilities(base_of(request), request.headers.get("accept"))
        place = place_of(request.scope["path"])
        if request.method in _READ:
            return await self._reader_of(place)(place, request)
        if self._storing is not None and (place.levels, place.rest) in ((0, ("studies",)), (1, ())):
            if request.method != "POST":
                raise HTTPException(405, headers={"Allow": "GET, POST"})
            return await self._storing.store(request, base_of(request), place.wanted.study)
        self._reader_of(place)
        raise HTTPException(405, headers={"Allow": "GET"})

    def _reader_of(self, place: Place) -> _Transaction:
        if (reader := self._read.get((place.levels, place.rest))) is not None:
            return reader
        match place.levels, place.rest:
            case 3, ("frames", _):
                return self._frames
            case 3, ("frames", _, "rendered"):
                return self._pictures.rendered
            case 3, ("frames", _, "thumbnail"):
                return self._pictures.thumbnail
            case 3, ("bulkdata", *path) if path:
                return self._bulk_data
        raise HTTPException(404)

    async def _retrieve(self, place: Place, request: Request) -> Response:
        return await self._instances.retrieve(place.wanted, request, base_of(request))

    async def _metadata(self, place: Place, request: Request) -> Response:
        return await self._documents.answer(place.wanted, request, base_of(request))

    async def _frames(self, place: Place, request: Request) -> Response:
        return await self._values.frames(place.wanted, place.rest[1], request, base_of(request))

    async def _bulk_data(self, place: Place, request: Request) -> Response:
        return await self._values.bulk_data(place.wanted, "/".join(place.rest[1:]), request, base_of(request))

    def _searches(self, level: Level) -> _Transaction:
        async def search(place: Place, request: Request) -> Response:
            return await searching.search(self._looking, level, place.wanted, request, base_of(request))

        return search


def base_of(request: Request) -> str:
    """The address that this request reached the service by, without a slash at its end."""
    scope = request.scope
    host = next((value for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        return f"{str(request.base_url).rstrip('/')}{PREFIX}"
    return f"{scope['scheme']}://{_with_port(host.decode('latin-1'), scope)}{PREFIX}"


def _with_port(host: str, scope: Scope) -> str:
    """dicomweb-client leaves the port out of `Host`: who names the very address of this connection means its port.

    Behind a proxy that passes `Host` on the two differ, and what it says stands; one that is asked for by the same
    address as we are has to pass the port on, too.
    """
    address, port = scope.get("server") or ("", None)
    loopback = address in ("127.0.0.1", "::1")
    own = {f"[{address}]" if ":" in address else address, *(("localhost",) if loopback else ())}
    return f"{host}:{port}" if host in own and port not in (None, _USUAL_PORTS[scope["scheme"]]) else host
