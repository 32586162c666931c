"""OBX and OBR: what stands around a value. Its device, its own number, how it was grouped, and what it came of."""

from __future__ import annotations

import re
from typing import Any

from engine.finding import Severity
from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.addresses import address
from engine.mapping.functions.codes import Concepts, concept
from engine.mapping.functions.codes import code as code_of
from engine.mapping.functions.orders import examination
from engine.mapping.functions.patients import typed
from engine.mapping.functions.people import mention_organization
from engine.mapping.functions.times import date_time
from engine.mapping.mapped import Resource
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

_SUB_ID = "http://hl7.org/fhir/StructureDefinition/observation-v2-subid"
_ANALYSED = "http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time"
_ABNORMAL_NATURE = "http://hl7.org/fhir/StructureDefinition/observation-nature-of-abnormal-test"
_ALTERNATE = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
_RESULT_STATUS = "http://terminology.hl7.org/CodeSystem/v2-0085"
_LOINC = "http://loinc.org"
_NO_RESULT = "X"
_DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


@function()
def sub_id(options: Options) -> Apply:
    """The sub-id by which results of one report belong together (OBX-4), as it was written."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.plain(raw)
        if not value:
            return None
        return {"url": _SUB_ID, "extension": [{"url": "original-sub-identifier", "valueString": value}]}

    return apply


@function()
def analysed_at(options: Options) -> Apply:
    """When the analysis was done (OBX-19)."""
    read = date_time(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        at = read(raw, scope)
        return {"url": _ANALYSED, "valueDateTime": at} if at else None

    return apply


@function()
def abnormal_nature(options: Options) -> Apply:
    """What the reference range depends on: age, sex, race (OBX-10, HL7 table 0080)."""
    read = concept(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = read(raw, scope)
        return {"url": _ABNORMAL_NATURE, "valueCodeableConcept": found} if found else None

    return apply


@function(elements=True, table=True, remember=True)
def result_status(options: Options) -> Apply:
    """The status of a result (OBX-11) from a table; X, no result can be had, is kept beside it: FHIR's says less."""
    code = code_of(options)
    coding = {"system": _RESULT_STATUS, "code": _NO_RESULT}
    beside = {"extension": [{"url": _ALTERNATE, "valueCodeableConcept": {"coding": [coding]}}]}

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        status = code(raw, scope)
        if status is None:
            return None
        return {"status": status, "_status": beside} if scope.first(raw) == _NO_RESULT else {"status": status}

    return apply


@function(0)
def living_will(options: Options) -> Apply:
    """The code of an observation that says whether there is a living will."""
    return lambda scope: {"coding": [{"system": _LOINC, "code": "75320-2", "display": "Advance directive"}]}


@function(2)
def performing_laboratory(options: Options) -> Apply:
    """The laboratory that did it (XON in OBX-23) with its address (OBX-24), which becomes an Organization."""
    facility, where = options.facility, address(options)

    def apply(raw: str, addresses: str, scope: Scope) -> Resource | None:
        seat = where(addresses.split("~", 1)[0], scope) if addresses else None
        return mention_organization(scope.components(raw), facility, scope, address=[seat] if seat else [])

    return apply


@function()
def result_number(options: Options) -> Apply:
    """The number of the result itself (EI in OBX-21)."""
    system = facility_system(options.facility, "result")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"type": typed("FILL"), "system": system, "value": value} if value else None

    return apply


@function()
def device(options: Options) -> Apply:
    """The device that measured, by its number (EI in OBX-18)."""
    system = facility_system(options.facility, "device")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"type": "Device", "identifier": {"system": system, "value": value}} if value else None

    return apply


_PARTS_OF_A_PARENT = 3
"""PRL: the code of the parent result, its sub-id, and its value in words."""
_SHORTEST_CODE = 3
"""Shorter ones are states and priorities of the fields beside OBR-26."""
_TIME = re.compile(r"\d{8}(?:\d{4,6}(?:\.\d+)?(?:[+-]\d{4})?)?", re.ASCII)


def _names_a_result(raw: str, parts: list[str]) -> bool:
    """Whether a field can be a PRL: some system writes OBR one field off, with the state of the report here."""
    code, *_ = raw.split("^")
    if any(parts[_PARTS_OF_A_PARENT:]):
        return False
    if parts[2] or (parts[0] and "&" in code):
        return True
    return len(parts[0]) >= _SHORTEST_CODE and not _TIME.fullmatch(parts[0])


@function(2)
def parent_result(options: Options) -> Apply:
    """The result that this one came of (OBR-26, and OBR-29 for its order): the germ of a susceptibility."""
    facility = options.facility

    def apply(result: str, orders: str, scope: Scope) -> dict[str, Any] | None:
        if not result:
            return None
        parts = [*scope.components(result), "", ""]
        numbers = [number for part in orders.split("^") if (number := scope.first(part))]
        reports = {
            report: None
            for number, known in scope.reports.items()
            if not numbers or number in numbers
            for report in known
        }
        found = [
            identity
            for report in reports
            if (identity := resource_id("Observation", facility, report, parts[0], parts[1])) in scope.ids
        ]
        if len(found) == 1:
            return {"reference": f"Observation/{found[0]}"}
        if not _names_a_result(result, parts):
            scope.doubt("no-parent-result", "what stands here cannot name a result; it is left out", 1)
            return None
        scope.doubt(
            "parent-result-unknown", "the result that this one came of is not in the message", 0, Severity.INFORMATION
        )
        words = parts[2] or parts[0]
        return {"type": "Observation", "display": words} if words else None

    return apply


@function(2, table=True, remember=True)
def reported_service(options: Options) -> Apply:
    """What a report is about (OBR-4); where nothing says it, that it is missing is said and the rest recorded."""
    read = examination(options)

    def apply(service: str, message_type: str, scope: Scope) -> dict[str, Any]:
        found = read(service, scope) if service else None
        if found is not None:
            return dict(found)
        scope.doubt("report-without-code", "nothing says which service this report is about; recorded without it")
        return {"extension": [{"url": _DATA_ABSENT, "valueCode": "unknown"}]}

    return apply


@function(parts={"display": 2}, remember=True)
def producer(options: Options) -> Apply:
    """The laboratory that produced the result (CE in OBX-15), by its code."""
    concepts = Concepts(options, numbers=True)
    system = facility_system(options.facility, "organization")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = concepts.read(raw, scope)
        if not found.codings:
            return {"type": "Organization", "display": found.text} if found.text else None
        code = found.codings[0]["code"]
        reference: dict[str, Any] = {"type": "Organization", "identifier": {"system": system, "value": code}}
        return {**reference, "display": found.text} if found.text else reference

    return apply
