"""How does a FHIR element become an HL7 v2 field? The functions that outbound mappings may name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.clock import CHINA
from engine.codecs.er7 import Component, Repetition, Value
from engine.identifiers import ID_CARD
from engine.mapping.functions.orders import RECOGNITION_ITEM, SERVICE_SECTION
from engine.terminology import Table, Tables

Element = Any
Write = Callable[[Element], Value]

_FACILITY_SYSTEM = "urn:hutong:facility:"
_ID_CARD_AUTHORITY = ("CN", "NNCHN")
"""Authority and type under which a 居民身份证 number is written into PID-3."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What an outbound rule settles for its function."""

    tables: Tables
    argument: str = ""
    table: Table | None = None


WRITERS: dict[str, Callable[[WriteOptions], Write]] = {}


def writer(make: Callable[[WriteOptions], Write]) -> Callable[[WriteOptions], Write]:
    WRITERS[make.__name__] = make
    return make


@writer
def text(options: WriteOptions) -> Write:
    """The element as text."""
    return lambda element: str(element)


@writer
def time(options: WriteOptions) -> Write:
    """A date as YYYYMMDD; a moment as YYYYMMDDHHMMSS in China's time, which is what receivers without zones assume."""

    def write(element: Element) -> Value:
        if "T" not in element:
            return str(element).replace("-", "")
        moment = datetime.fromisoformat(element)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(CHINA).strftime("%Y%m%d%H%M%S")

    return write


@writer
def table_code(options: WriteOptions) -> Write:
    """The local code of a table: the first row that has this code."""
    back: dict[str, str] = {}
    for row in options.table.rows.values() if options.table is not None else ():
        back.setdefault(row["code"], row["from"])
    return lambda element: back.get(element, "")


@writer
def coded(options: WriteOptions) -> Write:
    """A CodeableConcept as code, text and system, as its sender wrote them."""
    systems = _system_names(options.tables)

    def write(element: Element) -> Value:
        for coding in element.get("coding", ()):
            if coding.get("system") != RECOGNITION_ITEM:
                display = element.get("text") or coding.get("display", "")
                return (coding.get("code", ""), display, systems(coding.get("system", "")))
        return ("", element.get("text", ""))

    return write


def _system_names(tables: Tables) -> Callable[[str], str]:
    names: dict[str, str] = {}
    for row in tables["code_systems"].rows.values():
        names.setdefault(row["code"], row["from"])

    def name(system: str) -> str:
        if system.startswith(_FACILITY_SYSTEM):
            # urn:hutong:facility:<facility>:code[:<name>]
            return ":".join(system.split(":")[5:]) or "L"
        return names.get(system, system)

    return name


@writer
def number(options: WriteOptions) -> Write:
    """The number of a type; `as` lists types in the order in which they are looked for."""

    def write(element: Element) -> Value:
        for wanted in options.argument.split():
            for identifier in element:
                if _type(identifier) == wanted:
                    return str(identifier["value"])
        return ""

    return write


def _type(identifier: dict[str, Any]) -> str:
    for coding in identifier.get("type", {}).get("coding", ()):
        return str(coding.get("code", ""))
    return ""


@writer
def patient_numbers(options: WriteOptions) -> Write:
    """A patient's identifiers: the facility's own with its authority, then 居民身份证."""

    def write(element: Element) -> Value:
        own: list[Repetition] = []
        cards: list[Repetition] = []
        for identifier in element:
            system = identifier.get("system", "")
            if system == ID_CARD:
                cards.append((identifier["value"], "", "", *_ID_CARD_AUTHORITY))
            elif system.startswith(_FACILITY_SYSTEM):
                authority = ":".join(system.split(":")[5:])
                kind = _type(identifier)
                own.append((identifier["value"], "", "", "" if authority == kind else authority, kind))
        return [*own, *cards]

    return write


@writer
def id_card_number(options: WriteOptions) -> Write:
    """The 居民身份证 number, unless it is known to be wrong."""

    def write(element: Element) -> Value:
        for identifier in element:
            if identifier.get("system") == ID_CARD and identifier.get("use") != "temp":
                return str(identifier["value"])
        return ""

    return write


@writer
def names(options: WriteOptions) -> Write:
    """A person's names (XPN), parts as their sender wrote them."""

    def write(element: Element) -> Value:
        return [_name(name) for name in element]

    return write


def _name(name: dict[str, Any]) -> tuple[Component, ...]:
    family, given = name.get("family", ""), name.get("given", [])
    if not family and not given:
        return (name.get("text", ""),)
    return (family, given[0] if given else "", " ".join(given[1:]))


def _numbered(reference: dict[str, Any]) -> tuple[str, str]:
    number = reference.get("identifier", {}).get("value", "")
    return str(number), str(reference.get("display", ""))


@writer
def person(options: WriteOptions) -> Write:
    """A referenced person as XCN: number and name."""
    return lambda element: _numbered(element)


@writer
def last_person(options: WriteOptions) -> Write:
    """The last of several references as XCN."""
    return lambda element: _numbered(element[-1])


@writer
def last_interpreter(options: WriteOptions) -> Write:
    """The last of several references as NDL: who answers for the report."""
    return lambda element: (_numbered(element[-1]),)


@writer
def other_interpreters(options: WriteOptions) -> Write:
    """All references but the last as NDL."""

    def write(element: Element) -> Value:
        return [(_numbered(reference),) for reference in element[:-1]]

    return write


@writer
def section(options: WriteOptions) -> Write:
    """The diagnostic service section among the categories."""

    def write(element: Element) -> Value:
        for category in element:
            for coding in category.get("coding", ()):
                if coding.get("system") == SERVICE_SECTION:
                    return str(coding["code"])
        return ""

    return write
