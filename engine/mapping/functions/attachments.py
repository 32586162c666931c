"""OBX with ED or RP: the report as its sender printed it, and the study that it points to."""

from __future__ import annotations

import base64
from hashlib import sha1
from typing import Any

from engine.identifiers import is_uid
from engine.mapping.functions.embedded import EmbeddedUnreadable, embedded, pointer
from engine.mapping.functions.imaging import study_number
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope

LIMIT_TWICE = 2_000_000
"""Characters of base64 that stand in the report as well as in the result: 1.5 MB are many pages. What is longer stands
in the result alone, and the report says how long it is and its hash."""
_EMBEDDED, _POINTER = "ED", "RP"


@makes_id(1, only=(_EMBEDDED, _POINTER))
def the_attached(options: Options) -> MakeId:
    """The resource named by `within`, of which an ED or RP (OBX-2) says more; none for any other type of value."""

    def make(kind: str, within: str, scope: Scope) -> str | None:
        return within if within and kind in (_EMBEDDED, _POINTER) else None

    return make


@function(3)
def presented_form(options: Options) -> Apply:
    """The report as it was printed (DiagnosticReport.presentedForm): OBX-5 by its type (OBX-2), titled by OBX-3."""

    def apply(raw: str, kind: str, title: str, scope: Scope) -> dict[str, Any] | None:
        noted = len(scope.doubts)
        found = _embedded(raw, scope) if kind == _EMBEDDED else _pointed(raw, scope)
        del scope.doubts[noted:]  # the row of the result says them
        if found is None:
            return None
        named = scope.components(title)
        words = (named[1] if len(named) > 1 else "") or named[0]
        return {**found, "title": words} if words else found

    return apply


def _embedded(raw: str, scope: Scope) -> dict[str, Any] | None:
    try:
        found = embedded(raw, scope)
    except EmbeddedUnreadable:
        return None
    if found is None or len(found["data"]) <= LIMIT_TWICE:
        return found
    content = base64.b64decode(found["data"])
    digest = base64.b64encode(sha1(content, usedforsecurity=False).digest()).decode("ascii")
    return {"contentType": found["contentType"], "size": len(content), "hash": digest}


def _pointed(raw: str, scope: Scope) -> dict[str, Any] | None:
    address, media = pointer(raw, scope)
    return {"contentType": media, "url": address} if ":" in address else None


@function(2)
def study_pointed(options: Options) -> Apply:
    """A reference to the study whose Study Instance UID a pointer (RP) holds; any other pointer gives nothing."""

    def apply(raw: str, kind: str, scope: Scope) -> dict[str, Any] | None:
        if kind != _POINTER or not is_uid(scope.first(raw)):
            return None
        return {"type": "ImagingStudy", "identifier": study_number(raw, scope)}

    return apply
