"""What does a resource say after a message? What the message leaves out stays, what it deletes goes."""

from __future__ import annotations

from typing import Any

from engine.finding import Finding
from engine.identifiers import ID_CARD
from engine.identity.personal import NOT_TO_MATCH_ON

Resource = dict[str, Any]

_SETTLED = frozenset({"final", "amended", "corrected", "appended", "cancelled", "entered-in-error"})
_UNSETTLED = frozenset({"registered", "partial", "preliminary"})


def merge(current: Resource | None, incoming: Resource) -> Resource:
    """The resource after `incoming`: absent elements stay, an element of None (HL7 v2 `""`) is deleted.

    Identifiers are gathered, never dropped; every other element is taken whole from `incoming`. A person has one
    居民身份证 number: when another one comes, the one known before is kept as `old`, and matches nobody any more.
    """
    if current is None:
        return {element: value for element, value in incoming.items() if value is not None}
    merged = dict(current)
    for element, value in incoming.items():
        if value is None:
            merged.pop(element, None)
        elif element == "identifier" and element in current:
            merged[element] = _gathered(current[element], value)
        else:
            merged[element] = value
    return merged


def comes_too_late(current: Resource | None, incoming: Resource) -> Finding | None:
    """A preliminary result never replaces a final one."""
    if current is None or incoming["resourceType"] not in ("DiagnosticReport", "Observation"):
        return None
    if current.get("status") in _SETTLED and incoming.get("status") in _UNSETTLED:
        return Finding(
            "late-preliminary",
            f"A {incoming['status']} {incoming['resourceType']} came after the {current['status']} one; not recorded.",
            location="OBR-25" if incoming["resourceType"] == "DiagnosticReport" else "OBX-11",
        )
    return None


def _gathered(known: list[Resource], arrived: list[Resource]) -> list[Resource]:
    """Known identifiers in their order, each replaced by its new statement; new ones behind."""
    cards = {identifier.get("value") for identifier in arrived if _is_card(identifier)}
    by_value = {
        (identifier.get("system"), identifier.get("value")): {**identifier, "use": "old"}
        if cards and _is_card(identifier) and identifier.get("value") not in cards
        else identifier
        for identifier in known
    }
    by_value |= {(identifier.get("system"), identifier.get("value")): identifier for identifier in arrived}
    return list(by_value.values())


def _is_card(identifier: Resource) -> bool:
    """A 居民身份证 number to match on: one with a wrong check character supersedes nothing."""
    return identifier.get("system") == ID_CARD and identifier.get("use") not in NOT_TO_MATCH_ON
