"""SPM: what was taken, and when."""

from __future__ import annotations

from typing import Any

from engine.identifiers import facility_system
from engine.mapping.functions.codes import Concepts, is_words
from engine.mapping.functions.numbers import folded, number, quantity
from engine.mapping.functions.patients import typed
from engine.mapping.functions.powers import amount_and_unit
from engine.mapping.functions.times import period_of, read_moment
from engine.mapping.functions.units import Units
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope


@function(repeats=True)
def specimen_number(options: Options) -> Apply:
    """The numbers of a specimen (EIP): the placer's and the filler's."""
    facility = options.facility

    def apply(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        found = []
        parts = raw.split("~", 1)[0].split("^")
        for part, kind in zip(parts, ("PLAC", "FILL"), strict=False):
            value = scope.first(part)
            if value:
                found.append({"type": typed(kind), "system": facility_system(facility, "specimen"), "value": value})
        return found or None

    return apply


@function(repeats=True)
def parent_specimens(options: Options) -> Apply:
    """The specimens that this one was taken of (EIP in SPM-3), by their numbers."""
    numbers = specimen_number(options)

    def apply(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        named = [found[0] for each in raw.split("~") if each and (found := numbers(each, scope))]
        return [{"type": "Specimen", "identifier": number} for number in named] or None

    return apply


@function()
def related_specimen(options: Options) -> Apply:
    """The specimen that something was found in (EIP in OBX-33), by its number."""
    numbers = specimen_number(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = numbers(raw, scope)
        return {"type": "Specimen", "identifier": found[0]} if found else None

    return apply


@function()
def other_specimen_number(options: Options) -> Apply:
    """A further number of a specimen; `as` says which: the shipment (SHIP), else whatever the sender says."""
    system, kind = facility_system(options.facility, "specimen"), options.argument or ""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(raw), *[""] * 4]
        if not parts[0]:
            return None
        named = kind or parts[4]
        return {**({"type": typed(named)} if named else {}), "system": system, "value": parts[0]}

    return apply


@function()
def coded_remark(options: Options) -> Apply:
    """A comment (Annotation) that is a coded value: its words."""
    concepts = Concepts(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = concepts.read(raw, scope)
        words = found.text or (found.codings[0]["code"] if found.codings else "")
        return {"text": words} if words else None

    return apply


_FASTING = {
    "F": ("F", "Patient was fasting prior to the procedure."),
    "NF": ("NF", "The patient indicated they did not fast prior to the procedure."),
    "NG": ("NG", "Not Given - Patient was not asked at the time of the procedure."),
    "空腹": ("F", "Patient was fasting prior to the procedure."),
    "非空腹": ("NF", "The patient indicated they did not fast prior to the procedure."),
}
_FASTING_SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-0916"


@function(remember=True)
def fasting(options: Options) -> Apply:
    """Whether the patient had fasted, where OBR-13 says it (HL7 table 0916); any other information gives nothing."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        known = _FASTING.get(scope.first(raw).upper())
        if known is None:
            return None
        return {"coding": [{"system": _FASTING_SYSTEM, "code": known[0], "display": known[1]}]}

    return apply


@function(elements=True)
def collected(options: Options) -> Apply:
    """When the specimen was taken (DR): a moment, or a period where there is an end."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        parts = [*scope.components(raw), ""]
        if parts[1] and parts[1] != parts[0]:
            period = period_of(parts[0], parts[1], scope, 1)
            return {"collectedPeriod": period} if period else None
        at = read_moment(parts[0], scope, 1).date_time if parts[0] else ""
        return {"collectedDateTime": at} if at else None

    return apply


@function(2)
def container(options: Options) -> Apply:
    """What a specimen is in (container), from the type of the container (SPM-27) and the additive (SPM-6)."""
    concepts = Concepts(options)

    def apply(kind: str, additive: str, scope: Scope) -> dict[str, Any] | None:
        found = {}
        for element, raw in (("type", kind), ("additiveCodeableConcept", additive)):
            value = concepts.read(raw, scope) if raw else None
            if value is not None and (value.codings or value.text):
                found[element] = value.as_json()
        return found or None

    return apply


@function(2, elements=True)
def collected_between(options: Options) -> Apply:
    """When the specimen was taken, from two fields (OBR-7, OBR-8): a moment, or a period where there is an end."""

    def apply(start: str, end: str, scope: Scope) -> dict[str, Any] | None:
        began, ended = scope.first(start), scope.first(end)
        if ended and ended != began:
            period = period_of(began, ended, scope, 0)
            return {"collectedPeriod": period} if period else None
        at = read_moment(began, scope).date_time if began else ""
        return {"collectedDateTime": at} if at else None

    return apply


@function()
def coded_part(options: Options) -> Apply:
    """A coded value (CodeableConcept) that stands in one component, its parts as subcomponents (OBR-15.1)."""
    concepts = Concepts(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = concepts.read(raw.replace("&", "^"), scope)
        return found.as_json() if found.codings or found.text else None

    return apply


@function(parts={"coding": 1, "text": 2})
def source_type(options: Options) -> Apply:
    """What kind of specimen it is (SPS in OBR-15): its first component; words in the second are those of its code.

    HL7 has additives there; systems that write `SER^血清` write a code and its words, as they do everywhere else.
    """
    concepts = Concepts(options)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        kind, _, rest = raw.partition("^")
        words = rest.partition("^")[0]
        named = kind if "&" in kind or not is_words(scope.plain(words)) else f"{kind}^{words}"
        found = concepts.read(named.replace("&", "^"), scope)
        return found.as_json() if found.codings or found.text else None

    return apply


@function()
def amount(options: Options) -> Apply:
    """A quantity with its unit (CQ)."""
    units = Units(options, local=True)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        much, of_what = amount_and_unit(raw)
        exact = number(folded(scope.plain(much)))
        if exact is None:
            scope.doubt("number-unreadable", "a quantity that is no number", 1)
            return None
        return quantity(exact, units.read(of_what, scope))

    return apply


@function()
def accession(options: Options) -> Apply:
    """The accession number of the specimen."""
    system = facility_system(options.facility, "accession")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = scope.first(raw)
        return {"type": typed("ACSN"), "system": system, "value": value} if value else None

    return apply
