"""Coded values as CE and CWE, as their sender wrote them; a code of a table as the local code it writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.identifiers import facility_system
from engine.mapping.lens.back import Back, Field
from engine.mapping.registry import Options, Put, puts
from engine.terminology import Table

_HL7_TABLE = re.compile(r"http://terminology\.hl7\.org/CodeSystem/v2-(\d{4})")
_OID = "urn:oid:"

Coding = Mapping[str, Any]


def system_names(options: Options) -> Callable[[str], str]:
    """The name under which HL7 v2 knows the URI of a coding system; none for the facility's own codes."""
    own = facility_system(options.facility, "code")
    known = options.tables["code_systems"]

    def name(system: str) -> str:
        if system == own:
            return ""
        if system.startswith(f"{own}:"):
            return system.removeprefix(f"{own}:")
        if local := known.back(system):
            return local
        if match := _HL7_TABLE.fullmatch(system):
            return f"HL7{match[1]}"
        return system.removeprefix(_OID)

    return name


def written_coded(codings: Sequence[Coding], text: str, names: Callable[[str], str]) -> tuple[str, ...] | None:
    """A coded value: two codes with their words and systems, and the words as they were written (CWE.9)."""
    parts = [""] * 9
    for at, coding in zip((0, 3), codings, strict=False):
        parts[at : at + 3] = coding["code"], coding.get("display", ""), names(coding.get("system", ""))
    if text and not codings:
        parts[1] = text
    elif text and text != (parts[1] or parts[4]):
        parts[8] = text
    return tuple(parts) if any(parts) else None


class Written:
    """Writes coded values for one facility and, where there is one, by one table."""

    def __init__(self, options: Options, table: Table | None) -> None:
        self._names = system_names(options)
        self._own = facility_system(options.facility, "code")
        self._table = table

    def of(self, concept: Any) -> tuple[str, ...] | None:
        codings = [each for each in concept.get("coding", ()) if each.get("code")]
        text = concept.get("text", "")
        table = self._table
        if table is not None and codings:
            first, rest = codings[0], codings[1:]
            row = table.find(rest[0]["code"]) if rest else None
            row = row if row is not None else table.fallback if rest else None
            if row is not None and _is_of(first, row):
                # The table put its code before the sender's, which says it again.
                return written_coded(rest, "" if text in (row.get("display"), rest[0]["code"]) else text, self._names)
            local = table.back(first["code"], first.get("system", ""))
            if local:
                said = first.get("display", ""), local
                return written_coded(
                    [{"code": local, "system": self._own}, *rest], "" if text in said else text, self._names
                )
        return written_coded(codings, text, self._names)


def _is_of(coding: Coding, row: Mapping[str, str]) -> bool:
    return bool(coding["code"] == row["code"]) and coding.get("system", "") == row.get("system", "")


@puts("concept", inverts=True)
def write_concept(options: Options) -> Put:
    written = Written(options, options.table)
    return lambda value, back: written.of(value)


@puts("concepts", inverts=True)
def write_concepts(options: Options) -> Put:
    written = Written(options, options.table)
    return lambda value, back: written.of(value[0]) if value else None


@puts("described_code")
def write_described_code(options: Options) -> Put:
    written = Written(options, None)

    def put(value: Any, back: Back) -> dict[int, Field] | None:
        found = written.of(value)
        return {0: found} if found is not None else None

    return put


@puts("coding", inverts=True)
def write_coding(options: Options) -> Put:
    names, table = system_names(options), options.table

    def put(value: Any, back: Back) -> Field | None:
        local = table.back(value.get("code", ""), value.get("system", "")) if table is not None else ""
        if local or value.get("code"):
            return local or written_coded([value], "", names)
        return ("", value["display"]) if value.get("display") else None

    return put


@puts("code", inverts=True)
def write_code(options: Options) -> Put:
    table = options.needed_table
    locals_ = {row["code"]: table.back(row["code"], row.get("system", "")) for row in table.rows.values()}
    return lambda value, back: locals_.get(value) or None


@puts("coded_part")
def write_coded_part(options: Options) -> Put:
    written = Written(options, None)

    def put(value: Any, back: Back) -> Field | None:
        found = written.of(value)
        return (found,) if found is not None else None

    return put


@puts("language", inverts=True)
def write_language(options: Options) -> Put:
    written = Written(options, options.table)
    return lambda value, back: written.of(value.get("language", {}))
