"""Which codes of the tables does FHIR not allow where they go? A status is one of few words, and no others are taken.

A table is held to the words of an element where a row puts its codes there as they are, or where a function that looks
into it gives the element and all codes of the common table are among its words.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from engine.mapping.definition import Rule
from engine.mapping.mapping_set import MappingSet
from engine.mapping.registry import FUNCTIONS, Options
from engine.mapping.results_of_tests import TestResult
from engine.mapping.rules import CODE_FROM_TABLE
from engine.terminology import UNFINISHED, Table, Tables

TITLE = "every code of a table is one that FHIR allows where it goes"
_CUT_OFF = "+"
"""Stands in the models for the words that a page of the standard leaves out of its summary."""
_IN_FULL = {
    "DiagnosticReport.status": "registered partial preliminary final amended corrected appended cancelled "
    "entered-in-error unknown",
    "Encounter.status": "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
    "Observation.status": "registered preliminary final amended corrected cancelled entered-in-error unknown",
}
"""FHIR R4: value sets diagnostic-report-status, encounter-status and observation-status."""
_TYPE = re.compile(r"\b([A-Z]\w+)Type\b")


@dataclass(frozen=True)
class _Asked(Tables):
    """Tables that note which of them a function asks for."""

    names_asked: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> Table:
        self.names_asked.add(name)
        return super().__getitem__(name)


def codes_not_allowed(mappings: MappingSet, places: Sequence[tuple[Path, Path]]) -> Iterator[TestResult]:
    """A failed test for each row of a table with such a code; `places` are folders of mappings with their roots."""
    bound = _bound(mappings)
    for folder, root in places:
        for path in sorted({*folder.glob("tables/*.csv"), *folder.glob("facilities/*/tables/*.csv")}):
            if path.stem in bound:
                yield from _rows(path, path.relative_to(root).as_posix(), bound[path.stem])


def _rows(path: Path, file: str, allowed: Mapping[str, tuple[str, ...]]) -> Iterator[TestResult]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, restval="")
        for row in reader:
            code = row["code"].strip()
            element = next((name for name, words in allowed.items() if code not in words), None)
            if code and code != UNFINISHED and element is not None:
                words = allowed[element]
                text = f"{row['from']}: {element} is one of {', '.join(words)}; found '{code}'"
                yield TestResult(file, reader.line_num, "", TITLE, (text,))


def _bound(mappings: MappingSet) -> dict[str, dict[str, tuple[str, ...]]]:
    """By table, the elements that its codes go to, with the words that each of them takes."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    tables = mappings.tables("")
    for definition in mappings.definitions_of_all():
        for entry in definition.resources:
            for rule in entry.rules:
                words = words_of(entry.resource, rule.to) if rule.function is not None else ()
                for table in _asked(rule, tables) if words else ():
                    direct = rule.function == CODE_FROM_TABLE and table == rule.table
                    if direct or _are_all_among(tables.by_name.get(table), words):
                        found.setdefault(table, {}).setdefault(f"{entry.resource}.{rule.to}", words)
    return found


def _asked(rule: Rule, tables: Tables) -> set[str]:
    """The tables that a row's function looks into. Of a table that only a facility has, just its name is known."""
    asked = _Asked(tables.by_name)
    own = asked[rule.table] if rule.table is not None and rule.table in tables else None
    if rule.table is not None and own is None:
        return {rule.table}
    FUNCTIONS[rule.function or ""].make(Options("", asked, rule.argument, own))
    return asked.names_asked


def _are_all_among(table: Table | None, words: Sequence[str]) -> bool:
    codes = {row["code"] for row in table.rows.values() if row["code"]} if table is not None else set()
    return bool(codes) and codes <= set(words)


def words_of(resource: str, path: str) -> tuple[str, ...]:
    """The words that FHIR R4 requires of an element; none where it leaves them open, or where they are not known."""
    words = _words(resource, path)
    if any(_CUT_OFF in word for word in words):
        return tuple(_IN_FULL.get(f"{resource}.{path}", "").split())
    return words


@cache
def _words(resource: str, path: str) -> tuple[str, ...]:
    """As the models have them."""
    from fhir.resources.R4B import get_fhir_model_class  # only who checks mappings waits for the models to be built

    here: str | None = resource
    words: tuple[str, ...] = ()
    for step in path.split("."):
        if here is None:
            return ()
        name = re.sub(r"\[\d+\]", "", step)
        fields: dict[str, Any] = get_fhir_model_class(here).model_fields
        info = next((info for key, info in fields.items() if (info.alias or key) == name), None)
        if info is None:
            return ()
        extra = info.json_schema_extra or {}
        words = tuple(extra.get("enum_values", ()))
        found = _TYPE.search(str(info.annotation))
        here = found[1] if found is not None and found[1] != "FHIRPrimitiveExtension" else None
    return words
