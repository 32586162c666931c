"""ORC and OBR of an order: its numbers, its state, and which examination it asks for."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.codes import Concepts, coding_of, doubt_unlisted, looked_up
from engine.mapping.functions.patients import typed
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope

MODALITY = "http://dicom.nema.org/resources/ontology/DCM"
SERVICE_SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
RECOGNITION_ITEM = "urn:hutong:recognition-item"
"""System of the codes by which results of different facilities are compared."""
BODY_PART = "urn:hutong:body-part"
"""System of DICOM Body Part Examined terms (PS3.16 Annex L)."""
LIMIT_ITEM = 64
"""Longer than any code of an item: what stands there is something else, and not repeated in a finding."""
SETTLED = frozenset({"final", "amended", "corrected", "appended"})
"""States of a report after which nobody is at work on it."""
_KIND = {"PLAC": "placer", "FILL": "filler", "ACSN": "accession"}


@function(parts={"value": 1})
def order_number(options: Options) -> Apply:
    """A number of the order (Identifier); `as` says whose: PLAC the placer's, FILL the filler's, ACSN the accession."""
    kind = options.argument or "PLAC"
    system, what = facility_system(options.facility, _KIND.get(kind, kind.lower())), typed(kind)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"type": what, "system": system, "value": value} if value else None

    return apply


@function()
def parent_order(options: Options) -> Apply:
    """The order that this one came of (EIP: the placer's number, else the filler's), by its number."""
    facility = options.facility

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        for part, kind in zip(raw.split("^"), ("PLAC", "FILL"), strict=False):
            value = scope.first(part)
            if value:
                number = {"type": typed(kind), "system": facility_system(facility, _KIND[kind]), "value": value}
                return {"type": "ServiceRequest", "identifier": number}
        return None

    return apply


@function(2, remember=True)
def order_status(options: Options) -> Apply:
    """The state of the order from ORC-1 and ORC-5: cancelling wins, then ORC-5, then what ORC-1 means alone.

    Of a control that the table does not list nobody knows what it does to the order.
    """
    return _State(options).read


@function(3, remember=True)
def reported_order_status(options: Options) -> Apply:
    """As order_status; completed where ORC-5 is empty and the report (OBR-25) is final or corrected."""
    state, reports = _State(options), options.tables["report_status"]

    def apply(control: str, status: str, report: str, scope: Scope) -> str:
        found = state.read(control, status, scope)
        if found != "active" or scope.first(status):
            return found
        row = reports.find(scope.first(report))
        return "completed" if row is not None and row["code"] in SETTLED else found

    return apply


class _State:
    """Says how an order stands."""

    __slots__ = ("_controls", "_states")

    def __init__(self, options: Options) -> None:
        self._controls, self._states = options.tables["order_control"], options.tables["order_status"]

    def read(self, control: str, status: str, scope: Scope) -> str:
        """From ORC-1 and ORC-5."""
        doing = scope.first(control)
        row = looked_up(self._controls, doing, scope) if doing else None
        if row is not None and row["decides"] == "yes":
            return row["code"]
        stated = scope.first(status)
        stated_row = looked_up(self._states, stated, scope) if stated else None
        if stated_row is not None and stated_row["code"]:
            return stated_row["code"]
        if doing and row is None:
            return "unknown"
        return row["code"] if row is not None and row["code"] else "active"


def item_of(service: str, scope: Scope) -> str:
    """What a table is asked for: the code of a service (OBR-4), else its words."""
    code = scope.first(service)
    if code or "^" not in service:
        return code
    return scope.components(service)[1]


@function(table=True, remember=True)
def examination(options: Options) -> Apply:
    """What is asked for (CodeableConcept), with the code of mutual recognition where the table has one."""
    concepts, table = Concepts(options), options.needed_table

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = concepts.read(raw, scope)
        if not found.codings and not found.text:
            return None
        value = found.as_json()
        row = table.find(found.codings[0]["code"] if found.codings else found.text)
        if row is not None:
            if row["recognition"]:
                recognised = {"system": RECOGNITION_ITEM, "code": row["recognition"]}
                if row["display"]:
                    recognised["display"] = row["display"]
                value["coding"] = [*value.get("coding", ()), recognised]
            if row["display"]:
                value.setdefault("text", row["display"])
        return value

    return apply


@function(2, table=True, remember=True)
def examination_category(options: Options) -> Apply:
    """The kind of examination from OBR-4 (table) and OBR-24: the DICOM modality first, then the service section."""
    categories = _Categories(options)

    def apply(service: str, section: str, scope: Scope) -> list[dict[str, Any]] | None:
        return categories.of("", service, section, scope)

    return apply


@function(3, table=True, remember=True)
def imaging_category(options: Options) -> Apply:
    """The same as examination_category where the order names its modality itself (IPC-5), which then decides."""
    categories = _Categories(options)

    def apply(service: str, section: str, modality: str, scope: Scope) -> list[dict[str, Any]] | None:
        return categories.of(scope.first(modality).upper(), service, section, scope)

    return apply


class _Categories:
    """Says what kind of examination an order asks for."""

    __slots__ = ("_modalities", "_procedures", "_sections")

    def __init__(self, options: Options) -> None:
        self._procedures = options.needed_table
        self._sections = options.tables["diagnostic_services"]
        self._modalities = options.tables["modalities"]

    def of(self, stated: str, service: str, section: str, scope: Scope) -> list[dict[str, Any]] | None:
        """`stated` is the modality that the sender names; else the procedure has one, else the section."""
        categories: list[dict[str, Any]] = []
        item = item_of(service, scope)
        known = self._procedures.find(item)
        sections = self._sections
        local = scope.first(section)
        section_row = sections.find(local) if local else None
        if local and section_row is None:
            doubt_unlisted(sections, scope)
        modality = stated or (known["modality"] if known is not None else "")
        modality = modality or (section_row["modality"] if section_row else "")
        if modality and (known is None or not known["recognition"]):
            self._doubt_recognition(item, scope)
        if modality:
            named = self._modalities.find(modality)
            coding = {"system": MODALITY, "code": modality}
            if named is not None and named["display"]:
                coding["display"] = named["display"]
            categories.append({"coding": [coding]})
        if section_row is not None:
            categories.append({"coding": [coding_of(section_row)]})
        elif local:
            categories.append({"text": local})
        return categories or None

    def _doubt_recognition(self, item: str, scope: Scope) -> None:
        """Without a code of recognition, results of this item are compared with nobody's order."""
        shown = item if len(item) <= LIMIT_ITEM else ""
        text = (
            f"OBR-4 {shown or 'names no code'}: mutual recognition (互认) is off, nobody is offered its results; "
            f"add a row with a recognition code to the facility's table {self._procedures.name}"
        )
        scope.doubt("recognition-off", text, once=f"OBR-4 {shown}".strip())


@function(table=True, remember=True)
def examination_site(options: Options) -> Apply:
    """The part of the body that the examination of the table looks at."""
    table = options.needed_table

    def apply(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        row = table.find(item_of(raw, scope))
        if row is None or not row["body_part"]:
            return None
        coding = {"system": BODY_PART, "code": row["body_part"]}
        if row["body_part_display"]:
            coding["display"] = row["body_part_display"]
        return [{"coding": [coding], "text": row["body_part_display"] or row["body_part"]}]

    return apply


@function(remember=True)
def report_category(options: Options) -> Apply:
    """The service section of a report (OBR-24) as its category."""
    sections = options.tables["diagnostic_services"]

    def apply(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        local = scope.first(raw)
        row = looked_up(sections, local, scope) if local else None
        if row is not None and row["code"]:
            return [{"coding": [coding_of(row)]}]
        return [{"text": local}] if local else None

    return apply
