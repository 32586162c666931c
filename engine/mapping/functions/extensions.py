"""What R4 has no element for: extensions that HL7 defines, with the URL in `as`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from html import escape
from typing import Any

from engine.mapping.functions.codes import coding, concept
from engine.mapping.functions.names import person_name
from engine.mapping.functions.texts import text
from engine.mapping.functions.times import date_time
from engine.mapping.registry import Apply, Options, Value, function
from engine.mapping.scope import Scope


def _extension(options: Options, element: str, read: Callable[[str, Scope], Value]) -> Apply:
    url = options.argument
    if not url:
        raise TypeError("the row names no URL of the extension ('as')")

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        value = read(raw, scope)
        return {"url": url, element: value} if value is not None else None

    return apply


@function()
def concept_extension(options: Options) -> Apply:
    """An extension with a coded value (CodeableConcept); `as` is its URL."""
    return _extension(options, "valueCodeableConcept", concept(options))


@function()
def coding_extension(options: Options) -> Apply:
    """An extension with a single code (Coding); `as` is its URL."""
    return _extension(options, "valueCoding", coding(options))


@function()
def text_extension(options: Options) -> Apply:
    """An extension with a text; `as` is its URL."""
    return _extension(options, "valueString", text(options))


@function()
def name_extension(options: Options) -> Apply:
    """An extension with a person's name as text; `as` is its URL."""
    read = person_name(options)

    def name(raw: str, scope: Scope) -> str | None:
        found = read(raw, scope)
        return found["text"] if found is not None else None

    return _extension(options, "valueString", name)


@function()
def code_extension(options: Options) -> Apply:
    """An extension that holds a coded value as its part `code` (citizenship, nationality); `as` is its URL."""
    read = concept(options)

    def parts(raw: str, scope: Scope) -> list[dict[str, Any]] | None:
        value = read(raw, scope)
        return [{"url": "code", "valueCodeableConcept": value}] if value is not None else None

    return _extension(options, "extension", parts)


_ANIMAL = "http://hl7.org/fhir/StructureDefinition/patient-animal"


@function(2)
def animal(options: Options) -> Apply:
    """What animal the patient is, where it is one (extension): species (PID-35) and breed (PID-36)."""
    read = concept(options)

    def apply(species: str, breed: str, scope: Scope) -> dict[str, Any] | None:
        said = [(name, read(raw, scope)) for name, raw in (("species", species), ("breed", breed)) if raw]
        parts = [{"url": name, "valueCodeableConcept": value} for name, value in said if value is not None]
        return {"url": _ANIMAL, "extension": parts} if parts else None

    return apply


@function()
def narrative(options: Options) -> Apply:
    """A description in words (Narrative)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        words = scope.plain(raw)
        if not words:
            return None
        return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{escape(words)}</div>'}

    return apply


_BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"


@function()
def birth_place(options: Options) -> Apply:
    """The place of birth (extension with an address in words)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        place = scope.first(raw)
        return {"url": _BIRTH_PLACE, "valueAddress": {"text": place}} if place else None

    return apply


@function()
def time_extension(options: Options) -> Apply:
    """An extension with a date and time; `as` is its URL."""
    return _extension(options, "valueDateTime", date_time(options))


@function()
def days(options: Options) -> Apply:
    """A number of days (Duration)."""

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        try:
            value = Decimal(scope.first(raw))
        except InvalidOperation:
            value = Decimal("NaN")
        if not value.is_finite():
            scope.doubt("number-unreadable", "expected a number of days", 1)
            return None
        return {"value": value, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}

    return apply
