"""CE, CWE, CNE, IS and ID: coded values. A code that no table knows is kept as it came, and said."""

from __future__ import annotations

from typing import Any, NamedTuple

from engine.finding import Severity
from engine.mapping.functions.code_systems import code_system
from engine.mapping.registry import Apply, Options, function
from engine.mapping.scope import Scope
from engine.terminology import Row, Table

LIMIT_REMEMBERED = 8192
"""Distinct raw values each rule remembers; a feed has some hundred."""

FLAGS = "interpretation"
"""The table of abnormal flags (OBX-8)."""
LIMIT_FLAG = 8
"""A longer text, or one with digits, is no flag but something that belongs to another field."""

PARTS_OF_A_CODE = {"coding": 1, "text": 2}


_FIRST_WIDE = "\u2e80"
"""From here on stand the characters of Chinese: none of them is in a code that stands by itself."""


def is_words(code: str) -> bool:
    """Whether what stands where a code belongs, without a text and without a coding system, is words and no code.

    Systems that have no code for something write the words into the first component of CE and CWE.
    """
    return " " in code or (not code.isascii() and max(code) >= _FIRST_WIDE)


class Concept(NamedTuple):
    """A coded value."""

    codings: tuple[dict[str, str], ...]
    text: str
    unlisted: bool = False
    """The table it was looked up in does not list it."""

    def as_json(self) -> dict[str, Any]:
        if not self.codings:
            return {"text": self.text}
        return {"coding": [*self.codings], "text": self.text} if self.text else {"coding": [*self.codings]}


class Concepts:
    """Reads coded values for one facility, remembering what it read.

    numbers  whether the first component is a code even in words: the number of somebody or something, a role
    """

    __slots__ = ("_facility", "_known", "_numbers", "_systems", "_table")

    def __init__(self, options: Options, table: Table | None = None, *, numbers: bool = False) -> None:
        self._numbers = numbers
        self._facility = options.facility
        self._systems = options.tables["code_systems"]
        self._table = table
        self._known: dict[str, Concept] = {}

    def read(self, raw: str, scope: Scope) -> Concept:
        """The concept of one repetition; without codings and text when there is nothing in it."""
        known = self._known.get(raw)
        if known is None:
            if len(self._known) >= LIMIT_REMEMBERED:
                self._known.clear()
            known = self._known[raw] = self._concept(raw, scope)
        return known

    def _concept(self, raw: str, scope: Scope) -> Concept:
        parts = scope.components(raw)
        parts += [""] * (9 - len(parts))
        row = self._table.find(parts[0]) if self._table is not None and parts[0] else None
        codings, words = [], ""
        for at in (0, 3):
            code, display, system = parts[at : at + 3]
            code = single_blanks(code)
            if not code:
                continue
            alone = not display and not system and not self._numbers
            if alone and is_words(code) and (at or row is None or not row["code"]):
                words = words or code
                continue
            coding = {"system": code_system(system, self._facility, self._systems), "code": code}
            if display:
                coding["display"] = display
            codings.append(coding)
        text = parts[8] or parts[1] or words or parts[4]
        if self._table is None or not parts[0]:
            return Concept(tuple(codings), text)
        known = row if row is not None else self._table.fallback
        if known is not None and known["code"]:
            codings.insert(0, coding_of(known))
            # What the table calls its code stands in `display`: the text is what the sender wrote, 偏高 and not High.
            text = text or (parts[0] if is_words(parts[0]) or not known.get("display") else "")
        return Concept(tuple(codings), text, row is None)


@function(parts=PARTS_OF_A_CODE, remember=True)
def concept(options: Options) -> Apply:
    """A coded value (CodeableConcept). With a table, the table's code stands first and the sender's after it."""
    concepts = Concepts(options, options.table)

    def apply(raw: str, scope: Scope) -> dict[str, Any] | None:
        found = concepts.read(raw, scope)
        if found.unlisted and options.table is not None:
            if options.table.name == FLAGS:
                _doubt_flag(scope.first(raw), scope)
            else:
                doubt_unlisted(options.table, scope)
        return found.as_json() if found.codings or found.text else None

    return apply


@function(parts=PARTS_OF_A_CODE, remember=True)
def concepts(options: Options) -> Apply:
    """The same as concept, in a list of one."""
    one = concept(options)

    def apply(raw: str, scope: Scope) -> list[Any] | None:
        value = one(raw, scope)
        return [value] if value is not None else None

    return apply


@function(remember=True)
def coding(options: Options) -> Apply:
    """A single code with its system (Coding), from a table; a code the table does not know stays as it came."""
    reader = Concepts(options)
    table = options.table

    def apply(raw: str, scope: Scope) -> dict[str, str] | None:
        code = scope.first(raw)
        row = looked_up(table, code, scope) if table is not None and code else None
        if row is not None and row["code"]:
            return coding_of(row)
        found = reader.read(raw, scope)
        if found.codings:
            return found.codings[0]
        return {"display": found.text} if found.text else None

    return apply


@function(table=True, remember=True)
def code(options: Options) -> Apply:
    """A code of a table."""
    table = options.needed_table

    def apply(raw: str, scope: Scope) -> str | None:
        found = table.rows.get(raw)
        if found is not None:
            return found["code"] or None
        local = scope.first(raw)
        row = looked_up(table, local, scope) if local else None
        return (row["code"] or None) if row is not None else None

    return apply


def single_blanks(code: str) -> str:
    """A code as FHIR writes it: no blanks but single ones inside."""
    return " ".join(code.split())


def looked_up(table: Table, local: str, scope: Scope) -> Row | None:
    """The row of a local code; the `*` row and a finding where there is none."""
    row = table.find(local)
    if row is None:
        doubt_unlisted(table, scope)
        return table.fallback
    return row


def doubt_unlisted(table: Table, scope: Scope) -> None:
    scope.doubt("code-unmapped", f"a code that table {table.name} does not list", 1, Severity.INFORMATION)


def _doubt_flag(flag: str, scope: Scope) -> None:
    """Who does not know what a flag means takes a result for an ordinary one: a person must say it, once."""
    shown = flag if len(flag) <= LIMIT_FLAG and not any(each.isdigit() for each in flag) else ""
    text = f"a flag{f' ({shown})' if shown else ''} that table {FLAGS} does not list; it is kept, and nobody is warned"
    scope.doubt("code-unmapped", text, 1, once=f"{FLAGS} {shown}".strip())


def coding_of(row: Row) -> dict[str, str]:
    """The Coding of a row."""
    found = {"code": row["code"]}
    if row.get("system"):
        found = {"system": row["system"], "code": row["code"]}
    if row.get("display"):
        found["display"] = row["display"]
    return found
