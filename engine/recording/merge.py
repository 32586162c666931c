"""What does a resource say after a message? What the message leaves out stays, what it deletes goes."""

from __future__ import annotations

from typing import Any

from engine.identifiers import ID_CARD
from engine.identity.personal import NOT_TO_MATCH_ON
from engine.recording.visit_parts import OF_A_VISIT

Resource = dict[str, Any]

_VISIT = "Encounter"
WHOLE = "final"
"""A report in this state says all of its results; a correction names those it corrects."""


def merge(current: Resource | None, incoming: Resource) -> Resource:
    """The resource after `incoming`: absent elements stay, an element of None (HL7 v2 `""`) is deleted.

    Identifiers are gathered, never dropped, and so are the results of a report that is corrected or not final yet and
    what is known of a visit (`visit_parts`); every other element is taken whole from `incoming`. A person has one
    居民身份证 number: when another one comes, the one known before is kept as `old`, and matches nobody any more.
    """
    if current is None:
        return _said_first(incoming) if _deletes(incoming) else incoming
    merged, visit = dict(current), incoming.get("resourceType") == _VISIT
    for element, value in incoming.items():
        if value is None:
            merged.pop(element, None)
        elif element == "identifier" and element in current:
            merged[element] = _gathered(current[element], value)
        elif element == "content" and _holds_data(current.get(element)) and not _holds_data(value):
            continue  # what only tells of a document's state never takes the document away
        elif element == "result" and element in current and incoming.get("status") != WHOLE:
            merged[element] = [*current[element], *(each for each in value if each not in current[element])]
        elif visit and current.get(element) and element in OF_A_VISIT:
            merged[element] = _said(OF_A_VISIT[element](current[element], value))
        else:
            merged[element] = _said(value)
    return merged


def _deletes(incoming: Resource) -> bool:
    """Whether anything of it is deleted. Asked of every resource that is new, of which hardly one does."""
    for value in incoming.values():
        if value is None:
            return True
        if isinstance(value, dict):
            for part in value.values():
                if part is None:
                    return True
    return False


def _said_first(incoming: Resource) -> Resource:
    return {element: _said(value) for element, value in incoming.items() if value is not None}


def _said(value: Any) -> Any:
    """An element without those of its parts that the sender deletes."""
    if isinstance(value, dict) and None in value.values():
        return {part: said for part, said in value.items() if said is not None}
    return value


def _holds_data(content: Any) -> bool:
    """Whether any attachment of a DocumentReference says more than that there is one."""
    entries = content if isinstance(content, list) else []
    return any(part in each.get("attachment", {}) for each in entries for part in ("data", "url"))


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
