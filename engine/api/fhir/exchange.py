"""How does a FHIR answer look on the wire? Media type, ETag, Last-Modified, and the addresses in it."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Final

from fastapi import Request
from starlette.responses import Response

from engine.errors import NotFoundError, ParseError
from engine.store.reading import Text
from engine.store.search_parameters import PARAMETERS

MEDIA_TYPE: Final = "application/fhir+json"
_ACCEPTED_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "application/fhir json"})
"""A plus sign in a URL is a blank to most servers, so the last one means application/fhir+json."""


def base(request: Request) -> str:
    """The address that this request reached the FHIR API by, without a slash at its end."""
    return f"{str(request.base_url).rstrip('/')}/fhir"


def known_type(resource_type: str) -> str:
    """Raises NotFoundError `unknown-type` for a type that is not served."""
    if resource_type not in PARAMETERS:
        raise NotFoundError("this resource type is not served here", code="unknown-type")
    return resource_type


def refuse_other_formats(format_asked: str | None) -> None:
    """Only JSON is spoken. Raises ParseError `unsupported-parameter`."""
    if format_asked is not None and format_asked.split(";")[0].strip() not in _ACCEPTED_FORMATS:
        raise ParseError("only JSON is served", location="_format", code="unsupported-parameter")


def etag(text: Text) -> str:
    """http://hl7.org/fhir/R4/http.html#versioning: the version id as a weak ETag."""
    return f'W/"{text.version}"'


def resource_response(request: Request, text: Text) -> Response:
    """One version of a resource, or 304 when the caller has just that one."""
    headers = {
        "ETag": etag(text),
        "Last-Modified": format_datetime(text.last_updated, usegmt=True),
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(text.json, headers=headers, media_type=MEDIA_TYPE)
