"""DG1 and PR1: what a patient has, and what was done."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.codes import concept, single_blanks
from engine.mapping.functions.people import People
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_CONDITION_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_SNOMED = "http://snomed.info/sct"
LONGEST_MINUTES = 100_000
"""Ten weeks; a procedure that takes longer is a slip of the keyboard."""


@function()
def entity_identifier(options: Options) -> Apply:
    """A number of something (EI) in the system of its authority; `as` says what it numbers."""
    facility, kind = options.facility, options.argument or "entity"

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = scope.components(raw)
        parts += [""] * (4 - len(parts))
        if not parts[0]:
            return None
        return {"system": facility_system(facility, kind, parts[1] or parts[2]), "value": parts[0]}

    return apply


@function()
def belongs_to(options: Options) -> Apply:
    """A reference to something of the kind that `as` names (Condition, Procedure), by its number (EI)."""
    kind = options.argument or "Condition"
    read = entity_identifier(Options(options.facility, options.tables, kind.lower()))

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        number = read(raw, scope)
        return {"type": kind, "identifier": number} if number is not None else None

    return apply


_DUE_TO = "http://hl7.org/fhir/StructureDefinition/condition-dueTo"


@function()
def due_to(options: Options) -> Apply:
    """The diagnosis that this one comes of (DG1-22), by its number (extension)."""
    parent = belongs_to(Options(options.facility, options.tables, "Condition"))

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = parent(raw, scope)
        return {"url": _DUE_TO, "valueReference": found} if found is not None else None

    return apply


@function(2)
def described_code(options: Options) -> Apply:
    """A coded value (CodeableConcept) whose words stand in a field of their own (DG1-4, PR1-4)."""
    coded = concept(options)

    def apply(code: str, words: str, scope: Scope) -> dict[str, Any] | None:
        found = coded(code, scope) if code else None
        described = scope.first(words)
        if not described:
            return found
        return {**(found or {}), "text": described}

    return apply


@function(3)
def procedure_code(options: Options) -> Apply:
    """What was done (PR1-3) with its words (PR1-4); modified by PR1-16, code and modifier stand together as well."""
    described = described_code(options)
    system = facility_system(options.facility, "code", "modified-procedure")

    def apply(code: str, words: str, modifier: str, scope: Scope) -> dict[str, Any] | None:
        found: dict[str, Any] | None = described(code, words, scope)
        modified, whole = scope.first(modifier), scope.first(code)
        if not modified or not whole:
            return found
        coding = {"system": system, "code": single_blanks(f"{whole}:{modified}")}
        return {**(found or {}), "coding": [*(found or {}).get("coding", ()), coding]}

    return apply


@function(2, table=True)
def diagnosis_use(options: Options) -> Apply:
    """What a diagnosis is to the visit (Encounter.diagnosis): its use from a table, and its rank."""
    use, table = concept(Options(options.facility, options.tables, None, options.table)), options.needed_table

    def apply(kind: str, rank: str, scope: Scope) -> dict[str, Any] | None:
        found: dict[str, Any] = {}
        if kind:
            row = table.find(scope.first(kind))
            value = use(kind, scope) if row is None or row["code"] else concept_of(kind, scope)
            if value is not None:
                found["use"] = value
        number = scope.first(rank)
        if number.isdecimal() and number.isascii() and int(number) > 0:
            found["rank"] = int(number)
        return found or None

    concept_of = concept(Options(options.facility, options.tables))
    return apply


@function(0)
def encounter_diagnosis(options: Options) -> Apply:
    """The category of a diagnosis that belongs to a visit."""
    return lambda scope: [{"coding": [{"system": _CONDITION_CATEGORY, "code": "encounter-diagnosis"}]}]


@function()
def diagnosis_verification(options: Options) -> Apply:
    """The state of a diagnosis from its action code (DG1-21): a deleted one was entered in error."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        if scope.first(raw).upper() != "D":
            return None
        return {"coding": [{"system": _VERIFICATION, "code": "entered-in-error"}]}

    return apply


@function(2, elements=True)
def performed(options: Options) -> Apply:
    """When it was done: a moment (PR1-5), or a period when the minutes it took are known (PR1-7)."""

    def apply(start: str, minutes: str, scope: Scope) -> dict[str, Any] | None:
        at = read_moment(scope.first(start), scope) if start else None
        if at is None or not at.date_time:
            return None
        took = scope.first(minutes)
        if at.has_time and took.isdecimal() and took.isascii() and 0 < int(took) <= LONGEST_MINUTES:
            began = datetime.fromisoformat(at.date_time)
            ended = (began + timedelta(minutes=int(took))).isoformat()
            return {"performedPeriod": {"start": at.date_time, "end": ended}}
        return {"performedDateTime": at.date_time}

    return apply


_FUNCTIONS = {
    "anesthetist": ("88189002", "Anesthesiologist"),
    "surgeon": ("304292004", "Surgeon"),
}


def function_of_performer(name: str | None) -> tuple[str, str] | None:
    """Code and display of what a performer does; None where nobody says it."""
    return _FUNCTIONS.get(name or "")


@function()
def performer(options: Options) -> Apply:
    """Who did it (Procedure.performer); `as` says in which function: surgeon, anesthetist."""
    people, known = People(options), function_of_performer(options.argument)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        person = people.read(raw, scope)
        if person is None:
            return None
        if known is None:
            return {"actor": person}
        code, display = known
        return {"function": {"coding": [{"system": _SNOMED, "code": code, "display": display}]}, "actor": person}

    return apply
