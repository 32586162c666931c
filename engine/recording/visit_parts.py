"""Which parts of what is known of a visit stay when a message says others? Those of which it says nothing.

Each part comes from a field of its own: who attends is PV1-7, who referred PV1-8, a diagnosis a DG1. A discharge that
names the discharge diagnoses says nothing of why the patient was admitted, nor of where the patient came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Entry = dict[str, Any]
Entries = list[Entry]
Gather = Callable[[Any, Any], Any]
"""Takes what is known of an element and what arrived; neither is empty, and neither is changed."""

_LEFT = "completed"
"""Status of a place where the patient is no more."""


def diagnoses(known: Entries, arrived: Entries) -> Entries:
    """Each diagnosis in each of its uses once: as the message has it, else as it was known.

    A message that says nothing of the use leaves the one that is known.
    """
    by_use = {_diagnosis(each): each for each in known}
    uses: dict[str, list[tuple[str, object]]] = {}
    for use in by_use:
        uses.setdefault(use[0], []).append(use)
    for each in arrived:
        own = _diagnosis(each)
        for use in [own] if "use" in each else uses.get(own[0], [own]):
            by_use[use] = {**by_use.get(use, {}), **each}
    return list(by_use.values())


def participants(known: Entries, arrived: Entries) -> Entries:
    """The message says everybody who takes part in the ways that it names; of other ways it says nothing."""
    named = {kind for each in arrived for kind in _kinds(each)}
    return [*(each for each in known if named.isdisjoint(_kinds(each))), *arrived]


def places(known: Entries, arrived: Entries) -> Entries:
    """Where the patient is now is as the message has it; where he was before stays, unless it says that place anew."""
    named = {_target(each.get("location")) for each in arrived}
    left = (each for each in known if each.get("status") == _LEFT and _target(each.get("location")) not in named)
    return [*arrived, *left]


def stay(known: Entry, arrived: Entry) -> Entry:
    """How the patient came and went, field by field."""
    return {**known, **arrived}


def period(known: Entry, arrived: Entry) -> Entry:
    """A discharge need not say again when the visit began. Only who says when it ended says that it did."""
    began = {"start": known["start"]} if "start" in known else {}
    return {**began, **arrived}


OF_A_VISIT: Mapping[str, Gather] = MappingProxyType(
    {
        "diagnosis": diagnoses,
        "participant": participants,
        "location": places,
        "hospitalization": stay,
        "period": period,
    }
)
"""By element of Encounter."""


def _diagnosis(entry: Entry) -> tuple[str, object]:
    return _target(entry.get("condition")), _codes(entry.get("use") or {})


def _kinds(entry: Entry) -> list[tuple[str, ...]]:
    kinds: Entries = entry.get("type") or [{}]
    return [_codes(kind) for kind in kinds]


def _target(reference: Any) -> str:
    found = reference or {}
    return str(found.get("reference") or found.get("display", ""))


def _codes(concept: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells one kind from another: its first code, else its words."""
    for coding in concept.get("coding", ()):
        return str(coding.get("system", "")), str(coding.get("code", ""))
    return ("", str(concept.get("text", "")))
