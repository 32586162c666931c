"""How do the gateway's tests reach its web side? The routes as the hub serves them, for one caller."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from engine.api.refusals import refusal_of, response_of
from engine.config import Role
from engine.errors import HutongError
from engine.ports import ObjectStore
from pacs_gateway.dicomweb.receiving import Posted
from pacs_gateway.dicomweb.routes import DicomWeb


@dataclass(frozen=True)
class Somebody:
    name: str = "wang"
    facility: str = "county"
    roles: Sequence[Role] = (Role.READER,)


def application(
    pool: asyncpg.Pool,
    objects: Path,
    caller: Somebody | None,
    posted: Posted | None = None,
    store: ObjectStore | None = None,
) -> FastAPI:
    """A caller in the scope, errors told by the hub's own table; `app.state.imaging` is to be closed by who encodes."""
    app = FastAPI()
    app.state.imaging = DicomWeb(pool, objects, posted, store=store)
    app.mount("/", app.state.imaging)

    async def tell(request: Request, error: Exception) -> Response:
        return response_of(refusal_of(error), request.scope)

    app.add_exception_handler(HutongError, tell)

    @app.middleware("http")
    async def ask(request: Request, answer: RequestResponseEndpoint) -> Response:
        if caller is not None:
            request.scope["caller"] = caller
        return await answer(request)

    return app


@asynccontextmanager
async def viewing(
    pool: asyncpg.Pool, objects: Path, caller: Somebody, store: ObjectStore | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the routes for as long as they may encode something for it."""
    app = application(pool, objects, caller, store=store)
    try:
        async with client_of(app) as client:
            yield client
    finally:
        await app.state.imaging.close()


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hub")
