"""ORC and OBR: the numbers of an order, its state, what it asks for and of which kind that is."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.orders import MODALITY, RECOGNITION_ITEM, SERVICE_SECTION, SETTLED
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Coding, system_names, written_coded
from engine.mapping.puts.patients import type_code
from engine.mapping.registry import Options, Put, puts
from engine.terminology import Table

_ANYBODYS = ("PLAC", "FILL", "PGN")
_KIND = {"PLAC": "placer", "FILL": "filler", "ACSN": "accession"}
_RESULTS = ("ORU", "OUL", "MDM", "REF")
"""Messages that bring results: ORC-1 says so, whatever the state of the order."""
_RESULTS_FOLLOW, _STATUS_CHANGED = "RE", "SC"


@puts("order_number")
def write_order_number(options: Options) -> Put:
    kind = options.argument or "PLAC"
    system, own = (
        facility_system(options.facility, _KIND.get(kind, kind.lower())),
        facility_system(options.facility, ""),
    )

    def put(identifier: Any, back: Back) -> Field | None:
        known = type_code(identifier) or (kind if identifier.get("system") == system else "")
        if not known and not identifier.get("system", "").startswith(own):
            # Nobody says whose number it is: that of who orders, or else of who fills the order.
            known = kind if kind in _ANYBODYS else ""
        return identifier.get("value") or None if known == kind else None

    return put


@puts("parent_order")
def write_parent_order(options: Options) -> Put:
    def put(reference: Any, back: Back) -> Field | None:
        known = back.resource(reference).get("identifier", ())
        numbers = [each for each in known if type_code(each) in ("PLAC", "FILL")]
        identifier = reference.get("identifier") or (numbers[0] if numbers else {})
        value = identifier.get("value", "")
        if not value:
            return None
        return ("", value) if type_code(identifier) == "FILL" else (value,)

    return put


@puts("order_status")
def write_order_status(options: Options) -> Put:
    controls, states = options.tables["order_control"], options.tables["order_status"]

    def put(status: Any, back: Back) -> dict[int, Field] | None:
        stated = states.back(status)
        if back.message_type.startswith(_RESULTS):
            return {0: _RESULTS_FOLLOW, 1: "" if status == "active" else stated}
        control = controls.back(status)
        if control:
            return {0: control}
        return {0: _STATUS_CHANGED, 1: stated} if stated else None

    return put


@puts("reported_order_status")
def write_reported_order_status(options: Options) -> Put:
    """ORC-5 says how the order stands where the reports on such orders (OBR-25) do not say it, or say otherwise."""
    plain, states = write_order_status(options), options.tables["order_status"]

    def put(status: Any, back: Back) -> dict[int, Field] | None:
        found: dict[int, Field] | None = plain(status, back)
        if found is None or status not in ("active", "completed"):
            return found
        settled = [
            each.get("status") in SETTLED for each in back.of_type("DiagnosticReport") if _is_on(each, status, back)
        ]
        understood = all(settled) and bool(settled) if status == "completed" else not any(settled)
        return {**found, 1: "" if understood else states.back(status)}

    return put


def _is_on(report: Any, status: str, back: Back) -> bool:
    """Whether it is a report on an order in this state."""
    return any(back.resource(order).get("status") == status for order in report.get("basedOn", ()))


@puts("reported_service")
def write_reported_service(options: Options) -> Put:
    write = write_examination(options)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        found = write(value, back)
        return {0: found} if found is not None else None

    return put


@puts("examination")
def write_examination(options: Options) -> Put:
    table, names = options.needed_table, system_names(options)

    def put(value: Any, back: Back) -> Field | None:
        codings = [
            each for each in value.get("coding", ()) if each.get("system") != RECOGNITION_ITEM and each.get("code")
        ]
        text = value.get("text", "")
        row = table.find(codings[0]["code"]) if codings else None
        if row is not None and text == row["display"] and not codings[0].get("display"):
            text = ""
        return written_coded(codings, text, names)

    return put


def _section(category: Any, sections: Table, modality: str) -> str:
    """The local code of a service section, where several are by the modality that the order names as well."""
    for coding in category.get("coding", ()):
        if coding.get("system") == SERVICE_SECTION:
            rows = [row for row in sections.rows.values() if row["code"] == coding.get("code")]
            fitting = [row["from"] for row in rows if row["modality"] == modality]
            marked = sections.back(coding.get("code", ""), SERVICE_SECTION)
            return marked if marked in fitting or not fitting else fitting[0]
    return "" if category.get("coding") else str(category.get("text", ""))


def _kinds(categories: Any, sections: Table) -> tuple[str, str]:
    """Modality and service section of the categories of an order."""
    codings: list[Coding] = [coding for each in categories for coding in each.get("coding", ())]
    modality = next((str(each.get("code", "")) for each in codings if each.get("system") == MODALITY), "")
    section = next((local for each in categories if (local := _section(each, sections, modality))), "")
    return modality, section


@puts("examination_category")
def write_examination_category(options: Options) -> Put:
    sections = options.tables["diagnostic_services"]

    def put(categories: Any, back: Back) -> dict[int, Field] | None:
        _, section = _kinds(categories, sections)
        return {1: section} if section else None

    return put


@puts("imaging_category")
def write_imaging_category(options: Options) -> Put:
    sections = options.tables["diagnostic_services"]

    def put(categories: Any, back: Back) -> dict[int, Field] | None:
        modality, section = _kinds(categories, sections)
        return {1: section, 2: modality} if modality or section else None

    return put


@puts("report_category")
def write_report_category(options: Options) -> Put:
    sections = options.tables["diagnostic_services"]
    return lambda categories, back: _kinds(categories, sections)[1] or None
