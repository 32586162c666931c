"""How is the HTTP application put together? Routers under their prefixes, one boundary around them, the page last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from engine.api import account, health
from engine.api.boundary import PROTECTED, Boundary, first_segment, is_open
from engine.api.console import (
    alerts,
    archive,
    deliveries,
    envelopes,
    findings,
    held,
    joins,
    mapped,
    provenance,
    reconcile,
    replay,
    status,
    studies,
    trace,
    transfers,
)
from engine.api.fhir import router as fhir
from engine.api.refusals import refusal_of, response_of
from engine.api.services import Services
from engine.errors import ConfigurationError, HutongError

_OWN_ROUTERS = (
    health.router,
    account.router,
    alerts.router,
    status.router,
    archive.router,
    findings.router,
    deliveries.router,
    envelopes.router,
    mapped.router,
    joins.router,
    held.router,
    reconcile.router,
    replay.router,
    trace.router,
    studies.router,
    transfers.router,
    provenance.router,
    fhir.router,
)


def create_app(
    services: Services,
    extra_routers: Sequence[APIRouter] = (),
    *,
    mounted: Mapping[str, ASGIApp] = MappingProxyType({}),
    static_folder: Path | None = None,
) -> FastAPI:
    """The ASGI application. Nothing has to be started besides what is in Services.

    Routers say their whole prefix. `mounted` are applications by the first two segments of what is theirs.
    Raises ConfigurationError for a route outside the prefixes that ask for a token.
    """
    # The interactive pages of FastAPI load scripts from the internet, which a hospital network does not have.
    app = FastAPI(title="hutong", version="0.1.0", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.state.services = services
    for kind in (HutongError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _tell)
    for router in (*extra_routers, *_OWN_ROUTERS):
        _refuse_unprotected(router)
        app.include_router(router)
    if static_folder is not None:
        app.mount("/", StaticFiles(directory=static_folder, html=True))
    for path in mounted:
        if first_segment(path) not in PROTECTED:
            raise ConfigurationError("stands outside the prefixes that ask for a token", location=path)
    app.add_middleware(Boundary, services=lambda: services, mounted=mounted)
    return app


async def _tell(request: Request, error: Exception) -> Response:
    return response_of(refusal_of(error), request.scope)


def _refuse_unprotected(router: APIRouter) -> None:
    for route in router.routes:
        path = route.path if isinstance(route, APIRoute) else getattr(route, "path", "/")
        if first_segment(path) not in PROTECTED and not is_open(path):
            raise ConfigurationError("a route stands outside the prefixes that ask for a token", location=path)
