"""What does the golden Patient say? The person, gathered from the source Patients it links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.identifiers import resource_id
from engine.identity.personal import personal_keys

GOLDEN_TAG = {"system": "urn:hutong:patient", "code": "golden"}


def golden_id(source: str) -> str:
    """The golden Patient that a source Patient gets when it is nobody we know."""
    return resource_id("Patient", "golden", source)


def golden_patient(golden: str, sources: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The golden Patient over its sources, the latest written first: its demographics are the latest that are known."""
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "id": golden,
        "meta": {"tag": [GOLDEN_TAG]},
        "link": [
            {"other": {"reference": f"Patient/{source}"}, "type": "seealso"}
            for source in sorted(source["id"] for source in sources)
        ],
    }
    keys = sorted({key for source in sources for key in personal_keys(source)})
    if keys:
        patient["identifier"] = [{"system": system, "value": value} for system, value in keys]
    for element in ("name", "gender", "birthDate"):
        known = next((source[element] for source in sources if source.get(element)), None)
        if known:
            patient[element] = known
    return patient


def replaced_golden(golden: dict[str, Any], by: str) -> dict[str, Any]:
    """A golden Patient without sources: it turned out to be the person of another, which it points to."""
    left = {element: value for element, value in golden.items() if element != "identifier"}
    return left | {"active": False, "link": [{"other": {"reference": f"Patient/{by}"}, "type": "replaced-by"}]}
