"""Which facility gave a resource its numbers?"""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system

_MARK = "\x00"
_BEFORE, _AFTER = facility_system(_MARK, "").split(_MARK)


def facility_that_numbered(resource: dict[str, Any]) -> str:
    """The facility of the first local identifier; empty when the resource carries none."""
    for identifier in resource.get("identifier", []):
        system = identifier.get("system", "")
        if system.startswith(_BEFORE):
            facility: str = system[len(_BEFORE) :].partition(_AFTER)[0]
            return facility
    return ""
