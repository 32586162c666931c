"""Which path is which transaction? Studies of PS3.18 §10, below /dicomweb."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from engine import clock
from engine.errors import NotFoundError
from engine.ports import ObjectStore
from engine.store.imaging_search import Level
from pacs_gateway import rendered
from pacs_gateway.dicomweb import instances, searching
from pacs_gateway.dicomweb.frames import Values
from pacs_gateway.dicomweb.looking import Looking, Wanted
from pacs_gateway.dicomweb.metadata import Documents
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.dicomweb.storing import Storing
from pacs_gateway.location import Objects
from pacs_gateway.missing import Missing

PREFIX = "/dicomweb"
_STUDY = "/studies/{study}"
_SERIES = f"{_STUDY}/series/{{series}}"
_INSTANCE = f"{_SERIES}/instances/{{sop}}"
_SEARCHED = (
    ("/studies", Level.STUDY),
    ("/series", Level.SERIES),
    ("/instances", Level.IMAGE),
    (f"{_STUDY}/series", Level.SERIES),
    (f"{_STUDY}/instances", Level.IMAGE),
    (f"{_SERIES}/instances", Level.IMAGE),
)
_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""What is taken into the store (`pacs_gateway.identify`)."""

_Endpoint = Callable[[Request], Awaitable[Response]]


def routers(
    pool: asyncpg.Pool,
    folder: Path,
    posted: Posted | None = None,
    *,
    store: ObjectStore | None = None,
    now: clock.Clock = clock.now,
) -> list[APIRouter]:
    """Everything below /dicomweb; to be called on the event loop.

    folder  the object folder
    posted  what takes objects; without it nothing can be stored
    store   where finished objects are, if not in the folder
    """
    objects = Objects(folder, store, Missing(pool, now).told)
    looking = Looking(pool, objects, now)
    told = [_reading_routes(looking, objects), rendered.router(pool, objects, now=now)]
    if posted is not None:
        told.append(_storing_routes(Storing(posted, looking)))
    return told


def _reading_routes(looking: Looking, objects: Objects) -> APIRouter:
    """What is looked for and fetched: matches, objects, metadata, frames and bulk data.

    Plain routes, whose parameters are only what stands in the path: for a viewer that asks for a thousand instances the
    work of reading declared ones would be a third of all.
    """
    documents, values = Documents(looking, objects.folder), Values(looking)

    async def retrieve(request: Request) -> Response:
        return await instances.retrieve(looking, _wanted(request), request, base_of(request))

    async def metadata(request: Request) -> Response:
        return await documents.answer(_wanted(request), request, base_of(request))

    async def frames(request: Request) -> Response:
        return await values.frames(_wanted(request), request.path_params["numbers"], request, base_of(request))

    async def bulk_data(request: Request) -> Response:
        return await values.bulk_data(_wanted(request), request.path_params["path"], request, base_of(request))

    def searches(level: Level) -> _Endpoint:
        async def search(request: Request) -> Response:
            return await searching.search(looking, level, _wanted(request), request, base_of(request))

        return search

    routes = APIRouter()
    for path, level in _SEARCHED:
        _get(routes, path, searches(level))
    for path in (_STUDY, _SERIES, _INSTANCE):
        _get(routes, path, retrieve)
        _get(routes, f"{path}/metadata", metadata)
    _get(routes, f"{_INSTANCE}/frames/{{numbers}}", frames)
    _get(routes, f"{_INSTANCE}/bulkdata/{{path:path}}", bulk_data)
    return routes


def _storing_routes(storing: Storing) -> APIRouter:
    """What is posted: objects of any study, or of one."""

    async def store(request: Request) -> Response:
        study = _wanted(request).study if "study" in request.path_params else ""
        return await storing.store(request, base_of(request), study)

    routes = APIRouter()
    for path in ("/studies", _STUDY):
        routes.add_route(f"{PREFIX}{path}", store, methods=["POST"], include_in_schema=False)
    return routes


def base_of(request: Request) -> str:
    """The address that this request reached the service by, without a slash at its end."""
    return f"{str(request.base_url).rstrip('/')}{PREFIX}"


def _get(routes: APIRouter, path: str, endpoint: _Endpoint) -> None:
    routes.add_route(f"{PREFIX}{path}", endpoint, methods=["GET"], include_in_schema=False)


def _wanted(request: Request) -> Wanted:
    """Raises NotFoundError for what cannot be a UID: nothing is stored under it."""
    uids = {name: uid for name, uid in request.path_params.items() if name in Wanted.__slots__}
    if not all(_UID.fullmatch(uid) for uid in uids.values()):
        raise NotFoundError("nothing is stored under these UIDs")
    return Wanted(**{"study": "", **uids})
