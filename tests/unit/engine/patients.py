"""Patients of the tests, as source systems name them; nobody of them exists."""

from __future__ import annotations

from typing import Any

from engine.identifiers import HEALTH_CARD, ID_CARD

CARD = "110105196305121226"
OTHER_CARD = "110105199001011234"

Patient = dict[str, Any]


def patient(
    name: str = "石秀英",
    born: str = "1963-05-12",
    *,
    card: str = "",
    health_card: str = "",
    use: str = "official",
    phone: str = "",
    source: str = "p1",
) -> Patient:
    made: Patient = {"resourceType": "Patient", "id": source}
    identifiers = [{"use": use, "system": ID_CARD, "value": card}] if card else []
    identifiers += [{"system": HEALTH_CARD, "value": health_card}] if health_card else []
    if identifiers:
        made["identifier"] = identifiers
    if name:
        made["name"] = [{"family": name[0], "given": [name[1:]]}]
    if born:
        made["birthDate"] = born
    if phone:
        made["telecom"] = [{"system": "phone", "value": phone}]
    return made
