"""AL1 and IAM: what a patient does not tolerate."""

from __future__ import annotations

from typing import Any

from engine.mapping.functions.codes import concept
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
