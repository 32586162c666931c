"""AL1: the signs of an allergy, what numbers something has, and whether a diagnosis was taken back."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written
from engine.mapping.registry import Options, Put, puts

_DELETED = "D"


@puts("reaction")
def write_reaction(options: Options) -> Put:
    """The signs; how severe they were stands in the field that also says how dangerous the allergy is."""
    written = Written(options, None)

    def put(reactions: Any, back: Back) -> dict[int, Field] | None:
        signs = [sign for each in reactions for sign in each.get("manifestation", ())]
        found = [sign.get("text", "") if "coding" not in sign else _apart(written.of(sign)) for sign in signs]
        return {0: [each for each in found if each]} if any(found) else None

    return put


def _apart(code: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """A code without name and system stands as the other code, for alone it would be a sign in words."""
    return ("", "", "", code[0]) if code is not None and code[0] and not any(code[1:]) else code


@puts("entity_identifier")
def write_entity_identifier(options: Options) -> Put:
    prefix = facility_system(options.facility, options.argument or "entity")

    def put(identifier: Any, back: Back) -> Field | None:
        system = identifier.get("system", "")
        if "type" in identifier or not (system == prefix or system.startswith(f"{prefix}:")):
            return None
        authority = "" if system == prefix else system.removeprefix(f"{prefix}:")
        return (identifier["value"], authority) if identifier.get("value") else None

    return put


@puts("diagnosis_verification")
def write_diagnosis_verification(options: Options) -> Put:
    def put(state: Any, back: Back) -> Field | None:
        wrong = any(each.get("code") == "entered-in-error" for each in state.get("coding", ()))
        return _DELETED if wrong else None

    return put


@puts("allergen_category", inverts=True)
def write_allergen_category(options: Options) -> Put:
    return _with_original(options, "category")


@puts("allergy_criticality", inverts=True)
def write_allergy_criticality(options: Options) -> Put:
    return _with_original(options, "criticality")


def _with_original(options: Options, element: str) -> Put:
    """The sender's code where it stands beside ours, else the one that the table writes."""
    written, table = Written(options, None), options.needed_table

    def put(resource: Any, back: Back) -> Field | None:
        value, beside = resource.get(element), resource.get(f"_{element}")
        value, beside = (each[0] if isinstance(each, list) and each else each for each in (value, beside))
        for extension in (beside or {}).get("extension", ()):
            return written.of(extension.get("valueCodeableConcept", {}))
        return table.back(value) or None if isinstance(value, str) else None

    return put
