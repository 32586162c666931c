"""OBX: a value with its type and its unit, the reference range, and what stands around them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.mapping.functions.units import UCUM
from engine.mapping.lens.back import Back, Field
from engine.mapping.puts.codes import Written
from engine.mapping.puts.texts import text_or_none
from engine.mapping.puts.times import written_period, written_time
from engine.mapping.registry import Options, Put, puts

_ATTACHMENT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"
_SUB_ID = "http://hl7.org/fhir/StructureDefinition/observation-v2-subid"
KINDS = {
    "application/pdf": ("AP", "PDF"),
    "image/jpeg": ("IM", "JPEG"),
    "image/png": ("IM", "PNG"),
    "image/gif": ("IM", "GIF"),
    "image/tiff": ("IM", "TIFF"),
    "application/dicom": ("AP", "DICOM"),
    "application/xml": ("TEXT", "XML"),
    "text/html": ("TEXT", "HTML"),
    "text/rtf": ("TEXT", "RTF"),
}
"""Content types as HL7 tables 0191 and 0291 name them."""
_NOT_ASKED = "N"
_LONGEST_LINE = 200
_CODED_WITH_EXCEPTIONS = (2, 5)
"""The version that brought CWE, whose ninth component holds the words as they were written."""


def written_number(value: Any) -> str:
    """A number with its digits, never with an exponent; empty where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return ""
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def written_unit(quantity: Any) -> Field:
    unit, code = quantity.get("unit", ""), quantity.get("code", "")
    if quantity.get("system") == UCUM and code:
        return (code, "" if unit == code else unit, "UCUM")
    return unit if unit == " ".join(unit.split()) else ("", unit)


@puts("observation_value")
def write_value(options: Options) -> Put:
    """Value, type and unit: OBX-5, OBX-2, OBX-6; and OBX-11 where it says why there is none."""
    concepts = Written(options, None)

    def put(resource: Any, back: Back) -> dict[int, Field] | None:
        coded = "CWE" if back.version >= _CODED_WITH_EXCEPTIONS else "CE"
        if quantity := resource.get("valueQuantity"):
            return _quantity(quantity)
        if text := resource.get("valueString"):
            return {0: text, 1: "FT" if "\n" in text or len(text) > _LONGEST_LINE else "ST"}
        if concept := resource.get("valueCodeableConcept"):
            value = concepts.of(concept)
            return {0: value, 1: coded} if value is not None else None
        if at := written_time(resource.get("valueDateTime")):
            return {0: at, 1: "TS" if len(at) > len("20260401") else "DT"}
        if at := resource.get("valueTime"):
            return {0: at.replace(":", ""), 1: "TM"}
        if "valuePeriod" in resource:
            return {0: written_period(resource["valuePeriod"]), 1: "DR"}
        if "valueRange" in resource:
            return _range(resource["valueRange"])
        if "valueRatio" in resource:
            return _ratio(resource["valueRatio"])
        if attached := _attached(resource):
            return attached
        if components := resource.get("component"):
            values = [concepts.of(each.get("valueCodeableConcept", {})) for each in components]
            return {0: [value for value in values if value is not None], 1: coded} if all(values) else None
        reasons = resource.get("dataAbsentReason", {}).get("coding", ())
        return {4: _NOT_ASKED} if any(each.get("code") == "not-asked" for each in reasons) else None

    return put


def _quantity(quantity: Any) -> dict[int, Field] | None:
    number, comparator = written_number(quantity.get("value")), quantity.get("comparator", "")
    if not number:
        return None
    if comparator:
        return {0: (comparator, number), 1: "SN", 2: written_unit(quantity)}
    return {0: number, 1: "NM", 2: written_unit(quantity)}


def _range(limits: Any) -> dict[int, Field]:
    low, high = limits.get("low", {}), limits.get("high", {})
    numbers = written_number(low.get("value")), written_number(high.get("value"))
    if all(numbers):
        return {0: ("", numbers[0], "-", numbers[1]), 1: "SN", 2: written_unit(low)}
    return {0: numbers, 1: "NR", 2: written_unit(low or high)}


def _ratio(ratio: Any) -> dict[int, Field] | None:
    over, under = ratio.get("numerator", {}), ratio.get("denominator", {})
    numbers = written_number(over.get("value")), written_number(under.get("value"))
    return {0: ("", numbers[0], ":", numbers[1]), 1: "SN", 2: written_unit(over)} if all(numbers) else None


def _attached(resource: Any) -> dict[int, Field] | None:
    """ED for what the message carries itself, RP for what it points to."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == _ATTACHMENT:
            attachment = extension.get("valueAttachment", {})
            kind, subtype = KINDS.get(attachment.get("contentType", ""), (attachment.get("contentType", ""), ""))
            if attachment.get("data"):
                return {0: ("", kind, subtype, "Base64", attachment["data"]), 1: "ED"}
            if attachment.get("url"):
                return {0: (attachment["url"], "", kind, subtype), 1: "RP"}
    return None


@puts("result_status", inverts=True)
def write_result_status(options: Options) -> Put:
    """OBX-11; where a code of the sender stands beside the status, that one."""
    table = options.needed_table

    def put(resource: Any, back: Back) -> Field | None:
        for extension in (resource.get("_status") or {}).get("extension", ()):
            for coding in extension.get("valueCodeableConcept", {}).get("coding", ()):
                if table.find(coding.get("code", "")) is not None:
                    return str(coding["code"])
        return table.back(resource.get("status", "")) or None

    return put


@puts("reference_range")
def write_reference_range(options: Options) -> Put:
    def put(ranges: Any, back: Back) -> Field | None:
        first = ranges[0] if ranges else {}
        if text := text_or_none(first.get("text")):
            return text
        low, high = (written_number(first.get(side, {}).get("value")) for side in ("low", "high"))
        if low and high:
            return f"{low}-{high}"
        return f"<{high}" if high else f">{low}" if low else None

    return put


@puts("device")
def write_device(options: Options) -> Put:
    return lambda reference, back: reference.get("identifier", {}).get("value") or None


@puts("parent_result")
def write_parent_result(options: Options) -> Put:
    """OBR-26: the code and the sub-id of the result that this one came of; OBR-29 has a row of its own."""
    written = Written(options, None)

    def put(reference: Any, back: Back) -> dict[int, Field] | None:
        parent = back.resource(reference)
        if not parent:
            display = reference.get("display", "")
            return {0: ("", "", display)} if display else None
        code = written.of(parent.get("code", {})) or ()
        sub_id = next(
            (
                part["valueString"]
                for each in parent.get("extension", ())
                if each.get("url") == _SUB_ID
                for part in each.get("extension", ())
                if "valueString" in part
            ),
            "",
        )
        shown = parent.get("valueCodeableConcept", {}).get("text") or parent.get("valueString", "")
        return {0: (code[:3], sub_id, shown)}

    return put
