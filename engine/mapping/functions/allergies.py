"""AL1 and IAM: what a patient does not tolerate."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.codes import code as code_of
from engine.mapping.functions.codes import concept
from engine.mapping.functions.names import called
from engine.mapping.functions.people import mention_practitioner
from engine.mapping.functions.times import read_moment
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
_STATES = {
    "ACTIVE": ("clinicalStatus", _CLINICAL, "active"),
    "INACTIVE": ("clinicalStatus", _CLINICAL, "inactive"),
    "RESOLVED": ("clinicalStatus", _CLINICAL, "resolved"),
    "U": ("verificationStatus", _VERIFICATION, "unconfirmed"),
    "P": ("verificationStatus", _VERIFICATION, "unconfirmed"),
    "S": ("verificationStatus", _VERIFICATION, "unconfirmed"),
    "C": ("verificationStatus", _VERIFICATION, "confirmed"),
    "I": ("verificationStatus", _VERIFICATION, "unconfirmed"),
    "D": ("verificationStatus", _VERIFICATION, "unconfirmed"),
    "E": ("verificationStatus", _VERIFICATION, "entered-in-error"),
}
"""HL7 table 0438: unconfirmed, pending, suspect, confirmed, confirmed but inactive, doubt raised, erroneous."""
_INACTIVE = "I"
_DELETE = frozenset({"D"})
"""HL7 table 0206."""


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@function(0)
def active_allergy(options: Options) -> Apply:
    """The state of an allergy of which nothing more is said than that it is there: active."""
    return lambda scope: _concept(_CLINICAL, "active")


@function(3, elements=True)
def allergy_status(options: Options) -> Apply:
    """Whether the allergy (IAM-3) holds, from IAM-17 and IAM-6: a deleted one was an error; else it is active."""

    def apply(stated: str, acted: str, allergen: str, scope: Scope) -> dict[str, Any]:
        state = scope.first(stated).upper()
        if scope.first(acted).upper() in _DELETE:
            # FHIR gives what was recorded in error no clinical status.
            return {"verificationStatus": _concept(_VERIFICATION, "entered-in-error")}
        found: dict[str, Any] = {"clinicalStatus": _concept(_CLINICAL, "active")}
        if state in _STATES:
            element, system, code = _STATES[state]
            found[element] = _concept(system, code)
            if code == "entered-in-error":
                del found["clinicalStatus"]
            elif state == _INACTIVE:
                found = {
                    "clinicalStatus": _concept(_CLINICAL, "inactive"),
                    "verificationStatus": _concept(_VERIFICATION, "confirmed"),
                }
        elif state:
            scope.doubt("code-unmapped", "a state of an allergy that HL7 table 0438 does not list", 1)
        return found

    return apply


_ORIGINAL = "http://hl7.org/fhir/StructureDefinition/alternate-codes"


@function(elements=True, table=True)
def allergen_category(options: Options) -> Apply:
    """The category of what somebody does not tolerate, from a table, with the sender's code beside it."""
    return _with_original(options, "category", many=True)


@function(elements=True, table=True)
def allergy_criticality(options: Options) -> Apply:
    """How dangerous an allergy is, from a table, with the sender's code beside it."""
    return _with_original(options, "criticality", many=False)


def _with_original(options: Options, element: str, *, many: bool) -> Apply:
    code, original = code_of(options), concept(Options(options.facility, options.tables))

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = code(raw, scope)
        if value is None:
            return None
        said = original(raw, scope)
        beside = {"extension": [{"url": _ORIGINAL, "valueCodeableConcept": said}]}
        return {element: [value], f"_{element}": [beside]} if many else {element: value, f"_{element}": beside}

    return apply


@function(2, elements=True)
def onset(options: Options) -> Apply:
    """When it began: the time (IAM-11), else in words (IAM-12)."""

    def apply(at: str, words: str, scope: Scope) -> dict[str, Any] | None:
        began = read_moment(scope.first(at), scope).date_time if at else ""
        if began:
            return {"onsetDateTime": began}
        told = scope.plain(words)
        return {"onsetString": told} if told else None

    return apply


_SELF = frozenset({"SEL", "SELF", "ONESELF", "本人"})


@function(3)
def allergy_recorder(options: Options) -> Apply:
    """Who told of the allergy: the name (IAM-14) of the patient or a relative (IAM-15), else who stated it (IAM-18)."""
    facility = options.facility
    relation = concept(Options(facility, options.tables, None, options.tables["relationship"]))

    def apply(name: str, kind: str, stated_by: str, scope: Scope) -> Resource | None:
        told = called(scope.components(name), scope) if name else None
        if not told:
            return mention_practitioner(scope.components(stated_by), facility, scope) if stated_by else None
        words = told["text"]
        if not kind:
            return mention_practitioner(["", *scope.components(name)], facility, scope)
        if scope.first(kind).upper() in _SELF:
            return {"type": "Patient", "display": words}
        return {"type": "RelatedPerson", "display": f"{words} ({_words(relation(kind, scope))})"}

    return apply


def _words(found: dict[str, Any] | None) -> str:
    """A coded value in a word."""
    if not found:
        return ""
    coding = found.get("coding", [{}])[0]
    return str(found.get("text") or coding.get("display") or coding.get("code", ""))


@function(2, repeats=True, table=True)
def reaction(options: Options) -> Apply:
    """A reaction (AllergyIntolerance.reaction) with its manifestations and, from a table, how severe it was."""
    manifestation, severities = concept(Options(options.facility, options.tables)), options.needed_table

    def apply(reactions: str, severity: str, scope: Scope) -> list[dict[str, Any]] | None:
        shown = []
        for each in reactions.split("~"):
            if not each:
                continue
            # AL1-5 is text: what stands without a name and a system is the reaction in words.
            value = manifestation(each, scope) if "^" in each else {"text": scope.plain(each)}
            if value is not None and (value.get("text") or value.get("coding")):
                shown.append(value)
        if not shown:
            return None
        found: dict[str, Any] = {"manifestation": shown}
        row = severities.find(scope.first(severity)) if severity else None
        if row is not None and row["code"]:
            found["severity"] = row["code"]
        return [found]

    return apply
