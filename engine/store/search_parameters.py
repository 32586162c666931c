"""By which parameters can each resource type be searched? One table; what it names gets tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How the value of a search parameter is read; the names of FHIR R4 §3.1.1.4 where one exists."""

    IDENTIFIER = "identifier"
    CONCEPT = "concept"
    CODE = "code"
    REFERENCE = "reference"
    NAME = "name"
    DATE = "date"

    @property
    def fhir_type(self) -> str:
        return _FHIR_TYPES[self]


_FHIR_TYPES = {
    Kind.IDENTIFIER: "token",
    Kind.CONCEPT: "token",
    Kind.CODE: "token",
    Kind.REFERENCE: "reference",
    Kind.NAME: "string",
    Kind.DATE: "date",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of a resource type.

    element   the top-level element it looks at, or a part of one (`participant.actor`)
    token     the name its tokens begin with; parameters that mean the same share one (patient and subject)
    target    the type a bare id means, for a reference
    """

    name: str
    kind: Kind
    element: str
    token: str
    target: str = ""


def _identifier() -> Parameter:
    return Parameter("identifier", Kind.IDENTIFIER, "identifier", "identifier")


def _concept(name: str, element: str = "") -> Parameter:
    return Parameter(name, Kind.CONCEPT, element or name, name)


def _reference(name: str, element: str, target: str, token: str = "") -> Parameter:
    return Parameter(name, Kind.REFERENCE, element, token or name, target)


def _person(element: str = "subject") -> tuple[Parameter, Parameter]:
    return _reference("patient", element, "Patient", "subject"), _reference("subject", element, "Patient")


def _date(name: str, element: str) -> Parameter:
    return Parameter(name, Kind.DATE, element, name)


def _visit(name: str = "encounter", element: str = "") -> Parameter:
    """Whatever the parameter is called, its token is the one by which the things of a visit are found."""
    return _reference(name, element or name, "Encounter", "encounter")


_PATIENT = _reference("patient", "patient", "Patient", "subject")
_STATUS = Parameter("status", Kind.CODE, "status", "status")
_NAME = Parameter("name", Kind.NAME, "name", "name")

PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    "Patient": (_identifier(), _NAME, Parameter("birthdate", Kind.DATE, "birthDate", "birthdate")),
    "ServiceRequest": (
        _identifier(),
        *_person(),
        _STATUS,
        _concept("code"),
        _concept("category"),
        _reference("encounter", "encounter", "Encounter"),
        _reference("requester", "requester", "Organization"),
    ),
    "ImagingStudy": (
        _identifier(),
        *_person(),
        _STATUS,
        _concept("modality"),
        _reference("basedon", "basedOn", "ServiceRequest", "based-on"),
        _reference("encounter", "encounter", "Encounter"),
    ),
    "DiagnosticReport": (
        _identifier(),
        *_person(),
        _STATUS,
        _concept("code"),
        _concept("category"),
        _reference("based-on", "basedOn", "ServiceRequest"),
        _reference("encounter", "encounter", "Encounter"),
    ),
    "Observation": (
        _identifier(),
        *_person(),
        _STATUS,
        _concept("code"),
        _concept("category"),
        _reference("based-on", "basedOn", "ServiceRequest"),
        _reference("encounter", "encounter", "Encounter"),
    ),
    "Task": (
        _identifier(),
        *_person("for"),
        _STATUS,
        _concept("business-status", "businessStatus"),
        _concept("code"),
        _reference("based-on", "basedOn", "ServiceRequest"),
        _reference("focus", "focus", "ServiceRequest"),
        _reference("owner", "owner", "Organization"),
        _reference("requester", "requester", "Organization"),
    ),
    "Encounter": (_identifier(), *_person(), _STATUS),
    "Specimen": (_identifier(), *_person()),
    "Practitioner": (_identifier(), _NAME),
    "PractitionerRole": (
        _identifier(),
        _reference("practitioner", "practitioner", "Practitioner"),
        _reference("organization", "organization", "Organization"),
    ),
    "Organization": (_identifier(), _NAME),
    "Appointment": (
        _identifier(),
        _reference("patient", "participant.actor", "Patient", "actor"),
        _reference("practitioner", "participant.actor", "Practitioner", "actor"),
        _reference("location", "participant.actor", "Location", "actor"),
        _reference("actor", "participant.actor", "Practitioner"),
        _STATUS,
        _date("date", "start"),
        _concept("service-type", "serviceType"),
        _reference("based-on", "basedOn", "ServiceRequest"),
    ),
    "DocumentReference": (
        _identifier(),
        *_person(),
        _STATUS,
        _date("date", "date"),
        _concept("type"),
        _reference("author", "author", "Practitioner"),
        _reference("related", "context.related", "ServiceRequest"),
        _visit(element="context.encounter"),
    ),
    "MedicationRequest": (
        _identifier(),
        *_person(),
        _STATUS,
        _date("authoredon", "authoredOn"),
        _concept("code", "medicationCodeableConcept"),
        _reference("medication", "medicationReference", "Medication"),
        _reference("requester", "requester", "Practitioner"),
        _visit(),
    ),
    "MedicationDispense": (
        _identifier(),
        *_person(),
        _STATUS,
        _date("whenhandedover", "whenHandedOver"),
        _concept("code", "medicationCodeableConcept"),
        _reference("medication", "medicationReference", "Medication"),
        _reference("prescription", "authorizingPrescription", "MedicationRequest"),
        _visit("context"),
    ),
    "MedicationAdministration": (
        _identifier(),
        *_person(),
        _STATUS,
        _date("effective-time", "effectiveDateTime"),
        _concept("code", "medicationCodeableConcept"),
        _reference("medication", "medicationReference", "Medication"),
        _visit("context"),
    ),
    "Medication": (_identifier(), _concept("code")),
    "ChargeItem": (
        _identifier(),
        *_person(),
        _STATUS,
        _date("occurrence", "occurrenceDateTime"),
        _date("entered-date", "enteredDate"),
        _concept("code"),
        _reference("account", "account", "Account"),
        _visit("context"),
    ),
    "Account": (_identifier(), *_person(), _STATUS),
    "Immunization": (
        _identifier(),
        _PATIENT,
        _STATUS,
        _date("date", "occurrenceDateTime"),
        _concept("vaccine-code", "vaccineCode"),
        _visit(),
    ),
    "Condition": (_identifier(), *_person(), _concept("code"), _concept("category"), _visit()),
    "Procedure": (_identifier(), *_person(), _STATUS, _concept("code"), _date("date", "performedDateTime"), _visit()),
    "AllergyIntolerance": (_identifier(), _PATIENT, _concept("code"), _visit()),
    "Coverage": (
        _identifier(),
        _reference("patient", "beneficiary", "Patient", "subject"),
        _reference("beneficiary", "beneficiary", "Patient", "subject"),
        _STATUS,
    ),
    "RelatedPerson": (_identifier(), _PATIENT, _NAME),
    "Schedule": (_identifier(), _reference("actor", "actor", "Practitioner")),
    "Slot": (_identifier(), _STATUS, _reference("schedule", "schedule", "Schedule"), _date("start", "start")),
    "Device": (_identifier(),),
    "Location": (_identifier(), _NAME),
}
"""What each resource type can be searched by, and so what it gets tokens of; `_id` and `_lastUpdated` are columns."""

OTHERS: tuple[Parameter, ...] = (_identifier(), _reference("encounter", "encounter", "Encounter"))
"""What a type without an entry is found by."""
