"""history: every version of one resource, newest first, page by page."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from engine.api import disclosure
from engine.api.caller import CurrentCaller
from engine.api.fhir import bundle
from engine.api.fhir.exchange import MEDIA_TYPE, base, known_type
from engine.api.fhir.query import page_of_versions, pairs_of
from engine.api.fhir.read import well_formed
from engine.api.services import Hub
from engine.errors import NotFoundError
from engine.store import reading


async def history(resource_type: str, resource_id: str, request: Request, hub: Hub, caller: CurrentCaller) -> Response:
    """http://hl7.org/fhir/R4/http.html#history"""
    known_type(resource_type)
    asked = page_of_versions(pairs_of(request.url.query))
    async with reading.question(hub.pool) as connection:
        total = await reading.count_versions(connection, resource_type, well_formed(resource_id))
        if not total:
            raise NotFoundError("there is no such resource")
        versions = await reading.versions(connection, resource_type, resource_id, below=asked.below, limit=asked.count)
        detail: disclosure.Detail = {"resource": f"{resource_type}/{resource_id}", "versions": len(versions)}
        await disclosure.of_resources(connection, caller, "history", resource_type, versions, hub.clock(), detail)
    address = f"{base(request)}/{resource_type}/{resource_id}/_history"
    links = [("self", f"{address}?{urlencode(asked.applied)}" if asked.applied else address)]
    if versions and versions[-1].version > 1:
        following = {"_count": asked.count, "_before": versions[-1].version}
        links.append(("next", f"{address}?{urlencode(following)}"))
    return Response(bundle.history(base(request), links, versions, total), media_type=MEDIA_TYPE)
