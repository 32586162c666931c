"""What does an imaging order schedule? The procedure step that the modality worklist hands out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from engine.clock import CHINA
from engine.identifiers import DICOM_UID, facility_system, is_uid, resource_id
from engine.pinyin import spoken, spoken_surname
from engine.store.worklist import Step
from engine.studies import MODALITY

Resource = dict[str, Any]

_OID = "urn:oid:"
_NUMBER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_SEX = {"male": "M", "female": "F", "other": "O"}
_STATES = {
    "revoked": "cancelled",
    "entered-in-error": "cancelled",
    "completed": "performed",
    "on-hold": "on-hold",
}
"""Of a step, by the status of its order; any other order is scheduled. Only scheduled steps stand on the worklist."""

LIMIT_ACCESSION = 16
"""Characters of a Short String (SH, DICOM PS3.5 §6.2)."""
LIMIT_CODE = 16
LIMIT_TEXT = 64
"""Characters of a Long String (LO) and of one group of a person name (PN)."""


def modality_of(order: Resource) -> str:
    """The modality an order asks for; empty when it is no imaging order."""
    for category in order.get("category", ()):
        for coding in category.get("coding", ()):
            if coding.get("system") == MODALITY and coding.get("code"):
                return str(coding["code"])
    return ""


def categories_of(order: Resource) -> frozenset[str]:
    """The codes and words an order is categorised by; routes name them."""
    return frozenset(
        word
        for category in order.get("category", ())
        for word in (category.get("text"), *(coding.get("code") for coding in category.get("coding", ())))
        if word
    )


def accessions_of(order: Resource) -> list[str]:
    """Every accession number an order has, the one it goes by first."""
    return [str(i.get("value", "")) for i in order.get("identifier", ()) if _type(i) == "ACSN" and i.get("value")]


def fits_worklist(value: str, limit: int) -> bool:
    """True when a modality gives this value back as it got it: short enough, no backslash and no control character."""
    return len(value) <= limit and "\\" not in value and value.isprintable()


def is_cancelled(order: Resource) -> bool:
    return _state(order) == "cancelled"


def is_awaited(order: Resource) -> bool:
    """Whether the examination is to be made: neither called off nor put off, nor over."""
    return _state(order) == "scheduled"


def study_uids_of(order: Resource) -> list[str]:
    """Every Study Instance UID that an order brings or goes by, the one it goes by first; what is no UID is none."""
    numbers = (str(i.get("value", "")) for i in order.get("identifier", ()) if i.get("system") == DICOM_UID)
    return [uid for number in numbers if number.startswith(_OID) and is_uid(uid := number.removeprefix(_OID))]


def study_uid_for(order: Resource, facility: str) -> str:
    """The Study Instance UID of an order, the same whenever it is asked for.

    A UUID-derived UID (DICOM PS3.5 §B.2): `2.25.` and the UUID as a decimal number.
    """
    return f"2.25.{UUID(resource_id('Study', facility, order['id'])).int}"


def numbered(order: Resource, facility: str, accession: str, study_uid: str) -> Resource:
    """The order with the accession number and the Study Instance UID that it goes by; other numbers stay behind it."""
    going_by = f"{_OID}{study_uid}"
    identifiers_before = order.get("identifier", ())
    known = [i for i in identifiers_before if i.get("system") != DICOM_UID]
    uids = [i for i in identifiers_before if i.get("system") == DICOM_UID and i.get("value") != going_by]
    goes_by = {
        "type": {"coding": [{"system": _NUMBER_TYPES, "code": "ACSN"}]},
        "system": facility_system(facility, "accession"),
        "value": accession,
    }
    identifiers = [
        *(i for i in known if _type(i) != "ACSN"),
        goes_by,
        *({**i, "use": "secondary"} for i in known if _type(i) == "ACSN" and i.get("value") != accession),
        {"system": DICOM_UID, "value": going_by},
        *({**i, "use": "secondary"} for i in uids),
    ]
    return {**order, "identifier": identifiers}


def schedule(
    order: Resource, patient: Resource, facility: str, accession: str, study_uid: str, ordered_at: datetime
) -> Step:
    """The step of an order. Unknown parts are empty; a step without a time is scheduled for when it was ordered."""
    local = _local_identifier(patient, facility)
    name = patient["name"][0] if patient.get("name") else {}
    code = order.get("code", {})
    coding = code["coding"][0] if code.get("coding") else {}
    return Step(
        service_request=order["id"],
        facility=facility,
        accession=accession,
        study_uid=study_uid,
        patient_id=local.get("value", ""),
        issuer=_issuer(local, facility),
        patient_name=dicom_name(name),
        patient_name_latin=latin_name(name),
        birth_on=_birth(patient.get("birthDate", "")),
        sex=_SEX.get(patient.get("gender", ""), ""),
        modality=modality_of(order),
        station_ae="",
        procedure_code=coding.get("code", ""),
        procedure_text=code.get("text") or coding.get("display", ""),
        body_part=_text(order.get("bodySite", ())),
        requested_by=order.get("requester", {}).get("display", ""),
        placer=_number(order, "PLAC"),
        scheduled_at=_moment(order.get("occurrenceDateTime", "")) or ordered_at,
        state=_state(order),
    )


def shortened(step: Step) -> tuple[Step, list[str]]:
    """The step as a worklist can hold it, and the columns that say less than before.

    Text is cut; a code that is too long is left out, because half a code is another code.
    """
    changes: dict[str, Any] = {
        column: value[:LIMIT_TEXT]
        for column in ("patient_name", "patient_name_latin", "procedure_text", "requested_by", "placer", "issuer")
        if len(value := str(getattr(step, column))) > LIMIT_TEXT
    }
    if len(step.procedure_code) > LIMIT_CODE:
        changes["procedure_code"] = ""
    return (replace(step, **changes), sorted(changes)) if changes else (step, [])


def performed(step: Step) -> Step:
    return replace(step, state="performed")


def following(step: Step, order: Resource, *, without_result: bool = False) -> Step:
    """The step as the state of its order asks, whoever said so; one that was performed stays so.

    without_result  a report says that the examination was called off, whatever its order says
    """
    if step.state == "performed":
        return step
    return replace(step, state="cancelled" if without_result else _state(order))


def latin_name(name: Resource) -> str:
    """A name in pinyin for a modality that shows no Chinese: 张三 is `Zhang^San`. A Latin name stays as it is."""
    family, given = name.get("family", ""), "".join(name.get("given", ()))
    if not family and not given:
        family = name.get("text", "")
    parts = [part.capitalize() for part in (spoken_surname(family), spoken(given)) if part]
    return "^".join("".join(c for c in part if " " < c < "\x7f" and c not in "^=\\") for part in parts)


def dicom_name(name: Resource) -> str:
    """A person name as PN components: family^given, carets and equal signs of the text removed."""
    family, given = name.get("family", ""), " ".join(name.get("given", ()))
    parts = [family, given] if given else [family or name.get("text", "")]
    return "^".join("".join(c for c in part if c >= " " and c not in "^=\\") for part in parts)


def _state(order: Resource) -> str:
    return _STATES.get(order.get("status", ""), "scheduled")


def _local_identifier(patient: Resource, facility: str) -> Resource:
    prefix = facility_system(facility, "patient")
    for identifier in patient.get("identifier", ()):
        if identifier.get("system", "").startswith(prefix):
            found: Resource = identifier
            return found
    return {}


def _issuer(identifier: Resource, facility: str) -> str:
    prefix = facility_system(facility, "patient") + ":"
    system: str = identifier.get("system", "")
    return system.removeprefix(prefix) if system.startswith(prefix) else ""


def _number(order: Resource, number_type: str) -> str:
    for identifier in order.get("identifier", ()):
        if _type(identifier) == number_type:
            return str(identifier.get("value", ""))
    return ""


def _type(identifier: Resource) -> str:
    for coding in identifier.get("type", {}).get("coding", ()):
        return str(coding.get("code", ""))
    return ""


def _text(concepts: list[Resource] | tuple[()]) -> str:
    for concept in concepts:
        coding = concept["coding"][0] if concept.get("coding") else {}
        return str(concept.get("text") or coding.get("display") or coding.get("code", ""))
    return ""


def _birth(text: str) -> date | None:
    """A whole date; a year or a month alone is no birthday."""
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    """A FHIR dateTime with a time of day, in +08:00 where it says no zone; one without is no moment."""
    try:
        moment = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
    return moment.replace(tzinfo=CHINA) if moment is not None and moment.tzinfo is None else moment
