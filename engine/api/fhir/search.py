"""search-type: which resources of one type answer these parameters, by GET or by POST _search."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from engine.api import disclosure
from engine.api.caller import Caller, CurrentCaller
from engine.api.fhir import bundle
from engine.api.fhir.exchange import MEDIA_TYPE, base, known_type
from engine.api.fhir.query import Asked, Pair, PersonGroup, asked, cursor, pairs_of
from engine.api.services import Hub, Services
from engine.errors import ParseError
from engine.store import reading, search
from engine.store.database import Connection
from engine.store.tokens import of_reference

_FORM = "application/x-www-form-urlencoded"
_LARGEST_FORM_BYTES = 65_536
_MOST_PEOPLE = 1000
"""An identifier names a handful of Patients; a search that names more than this asks for nobody in particular."""


async def search_by_get(resource_type: str, request: Request, hub: Hub, caller: CurrentCaller) -> Response:
    """http://hl7.org/fhir/R4/http.html#search"""
    return await _answer(resource_type, pairs_of(request.url.query), request, hub, caller)


async def search_by_post(resource_type: str, request: Request, hub: Hub, caller: CurrentCaller) -> Response:
    """The same, with the parameters in the body: an identifier in an address is written into every proxy's log."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != _FORM:
        raise ParseError(f"expected a body of {_FORM}", location="Content-Type", code="bad-content-type")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM_BYTES:
            raise ParseError("the parameters are too long", code="too-long")
    try:
        form = body.decode("ascii")
    except UnicodeDecodeError:
        raise ParseError("the parameters must be percent-encoded", code="bad-parameter") from None
    return await _answer(resource_type, [*pairs_of(request.url.query), *pairs_of(form)], request, hub, caller)


async def _answer(
    resource_type: str, pairs: Sequence[Pair], request: Request, hub: Services, caller: Caller
) -> Response:
    address = base(request)
    lenient = "handling=lenient" in request.headers.get("prefer", "").replace(" ", "").split(",")
    understood = asked(known_type(resource_type), pairs, address, lenient=lenient)
    async with reading.question(hub.pool) as connection:
        wanted = await _resolved(connection, understood)
        page, total = await _found(connection, understood, wanted)
        detail: disclosure.Detail = {"parameters": understood.names, "told": len(page.resources), "total": total}
        await disclosure.of_resources(connection, caller, "search", resource_type, page.resources, hub.clock(), detail)
    links = _links(f"{address}/{resource_type}", understood, page)
    return Response(bundle.searchset(address, links, page.resources, total), media_type=MEDIA_TYPE)


async def _found(connection: Connection, understood: Asked, wanted: search.Search) -> tuple[search.Page, int | None]:
    """The page asked for, and the total when it was asked for or is known anyway."""
    if understood.only_count:
        return search.Page((), None), await search.total(connection, wanted)
    page = await search.page(connection, wanted, understood.count)
    if page.next is None and wanted.after is None:
        return page, len(page.resources)
    return page, await search.total(connection, wanted) if understood.accurate_total else None


async def _resolved(connection: Connection, understood: Asked) -> search.Search:
    """With every person replaced by all the Patients that are linked to the same golden Patient."""
    people = [await _person_tokens(connection, group) for group in understood.people]
    return search.Search(
        understood.type,
        (*understood.groups, *people),
        understood.ids,
        understood.updated_from,
        understood.updated_until,
        understood.after,
    )


async def _person_tokens(connection: Connection, group: PersonGroup) -> tuple[str, ...]:
    patients: Sequence[str] = group.patients
    if group.identifiers:
        patients = await search.ids_with(connection, "Patient", group.identifiers, _MOST_PEOPLE)
    linked = await reading.same_person(connection, patients)
    return tuple(of_reference(group.token, f"Patient/{patient}") for patient in linked)


def _links(address: str, understood: Asked, page: search.Page) -> list[bundle.Link]:
    applied = urlencode(understood.applied)
    links = [("self", f"{address}?{applied}" if applied else address)]
    if page.next is not None:
        links.append(("next", f"{address}?{urlencode([*understood.applied, cursor(page.next)])}"))
    return links
