"""TXA: which document this is, in what state, and what it replaces or is added to."""

from __future__ import annotations

from typing import Any

from engine.finding import Severity
from engine.identifiers import facility_system, resource_id
from engine.mapping.functions.codes import looked_up
from engine.mapping.functions.events import event_of
from engine.mapping.functions.times import read_moment
from engine.mapping.registry import Apply, MakeId, Options, function, makes_id
from engine.mapping.scope import Scope
from engine.terminology import Row

DATE = "http://hl7.org/fhir/6.0/StructureDefinition/extension-date"
_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
AVAILABILITY = "http://terminology.hl7.org/CodeSystem/v2-0273"
_AVAILABLE = "AV"
_WRONG = "entered-in-error"
_FINAL = "final"


@makes_id(1)
def document_id(options: Options) -> MakeId:
    """From the facility and the number of the document (TXA-12)."""
    facility = options.facility

    def make(number: str, within: str, scope: Scope) -> str | None:
        found = scope.first(number)
        return resource_id("DocumentReference", facility, found) if found else None

    return make


def _number(raw: str, facility: str, scope: Scope) -> dict[str, Any] | None:
    parts = [*scope.components(raw), "", ""]
    if not parts[0]:
        return None
    return {"system": facility_system(facility, "document", parts[1] or parts[2]), "value": parts[0]}


@function(parts={"value": 1})
def document_number(options: Options) -> Apply:
    """The number of a document (EI) as an Identifier."""
    return lambda raw, scope: _number(raw, options.facility, scope)


@function()
def file_name(options: Options) -> Apply:
    """The name of the file that holds a document (TXA-16), as an Identifier."""
    system = facility_system(options.facility, "document-file")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        name = scope.first(raw)
        return {"system": system, "value": name} if name else None

    return apply


class _Events:
    def __init__(self, options: Options) -> None:
        self._table = options.tables["document_events"]

    def row(self, message_type: str, scope: Scope) -> Row | None:
        event = event_of(message_type, scope)
        return looked_up(self._table, event, scope) if event else None


@function(2, elements=True)
def document_status(options: Options) -> Apply:
    """Whether the document holds (status): cancelled by its event, else from TXA-19, whose other codes are kept."""
    events, table = _Events(options), options.tables["document_availability"]

    def apply(availability: str, message_type: str, scope: Scope) -> dict[str, Any]:
        event = events.row(message_type, scope)
        code = scope.first(availability)
        row = looked_up(table, code, scope) if code else None
        status = row["code"] if row is not None and row["code"] else "current"
        if event is not None and event["code"] == _WRONG:
            status = _WRONG
        if row is None or code.upper() == _AVAILABLE:
            return {"status": status}
        coding = {"system": AVAILABILITY, "code": code.upper(), "display": row["display"]}
        return {
            "status": status,
            "_status": {"extension": [{"url": _CODES, "valueCodeableConcept": {"coding": [coding]}}]},
        }

    return apply


@function(2)
def document_completion(options: Options) -> Apply:
    """How far the document is (docStatus) from TXA-17; one that is edited after it was final is amended."""
    events, table = _Events(options), options.tables["document_status"]

    def apply(completion: str, message_type: str, scope: Scope) -> str | None:
        noted = len(scope.doubts)
        event = events.row(message_type, scope)
        del scope.doubts[noted:]  # the row of the status says them
        if event is not None and event["code"] == _WRONG:
            return _WRONG
        code = scope.first(completion)
        row = looked_up(table, code, scope) if code else None
        status = row["code"] if row is not None and row["code"] else None
        edited = event is not None and event["code"] and status == _FINAL
        return event["code"] if edited and event is not None else status

    return apply


@function(2)
def document_relation(options: Options) -> Apply:
    """What the document is to an earlier one (TXA-13): added to it or in its place, as the event says."""
    events = _Events(options)

    def apply(parent: str, message_type: str, scope: Scope) -> dict[str, Any] | None:
        noted = len(scope.doubts)
        event = events.row(message_type, scope)
        del scope.doubts[noted:]  # the row of the status says them
        relation = event["relation"] if event is not None else ""
        number = _number(parent, options.facility, scope)
        if number is None:
            if relation:
                scope.doubt("parent-document-missing", "an addendum or a replacement that names no document before it")
            return None
        if not relation:
            text = "an earlier document is named, but neither addendum nor replacement is told of; not recorded"
            scope.doubt("parent-document-unrelated", text, 0, Severity.INFORMATION)
            return None
        return {"code": relation, "target": {"type": "DocumentReference", "identifier": number}}

    return apply


@function(elements=True)
def document_date(options: Options) -> Apply:
    """When the document was made (TXA-6); a date without a time has no place in R4, so R6's extension carries it."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = read_moment(scope.first(raw), scope)
        if found.has_time:
            return {"date": found.date_time}
        if found.date:
            return {"extension": [{"url": DATE, "valueDateTime": found.date}]}
        return None

    return apply
