"""read and vread: one resource, current or as it once was."""

from __future__ import annotations

import re

from fastapi import Request
from starlette.responses import Response

from engine.api import disclosure
from engine.api.caller import CurrentCaller
from engine.api.fhir.exchange import known_type, refuse_other_formats, resource_response
from engine.api.services import Hub
from engine.errors import NotFoundError
from engine.store import reading

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""http://hl7.org/fhir/R4/datatypes.html#id"""
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def well_formed(resource_id: str) -> str:
    """Raises NotFoundError for what cannot be an id: no resource has it."""
    if not _ID.fullmatch(resource_id):
        raise NotFoundError("there is no such resource")
    return resource_id


async def read(resource_type: str, resource_id: str, request: Request, hub: Hub, caller: CurrentCaller) -> Response:
    """http://hl7.org/fhir/R4/http.html#read"""
    refuse_other_formats(request.query_params.get("_format"))
    known_type(resource_type)
    async with reading.question(hub.pool) as connection:
        text = await reading.current(connection, resource_type, well_formed(resource_id))
        if text is None:
            raise NotFoundError("there is no such resource")
        detail: disclosure.Detail = {"resource": text.reference, "version": text.version}
        await disclosure.of_resources(connection, caller, "read", resource_type, [text], hub.clock(), detail)
    return resource_response(request, text)


async def vread(
    resource_type: str, resource_id: str, version: str, request: Request, hub: Hub, caller: CurrentCaller
) -> Response:
    """http://hl7.org/fhir/R4/http.html#vread"""
    refuse_other_formats(request.query_params.get("_format"))
    known_type(resource_type)
    if not _VERSION.fullmatch(version):
        raise NotFoundError("there is no such version")
    async with reading.question(hub.pool) as connection:
        text = await reading.version(connection, resource_type, well_formed(resource_id), int(version))
        if text is None:
            raise NotFoundError("there is no such version")
        detail: disclosure.Detail = {"resource": text.reference, "version": text.version}
        await disclosure.of_resources(connection, caller, "read", resource_type, [text], hub.clock(), detail)
    return resource_response(request, text)
