"""Which unit is that? What people write, from a table, as the code of UCUM, in which case matters."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from engine.mapping.functions.codes import Concept, Concepts
from engine.mapping.functions.powers import whole_unit
from engine.mapping.registry import Options
from engine.mapping.scope import Scope
from engine.terminology import Row, Table

UCUM = "http://unitsofmeasure.org"
TABLE = "units"
LIMIT_REMEMBERED = 8192
"""Distinct texts each rule remembers; a feed has some hundred."""
LIMIT_SHOWN = 16
"""A longer text, or one with a long number, is no unit but something that belongs to another field."""

_EXACT = "exact"
_LONG_NUMBER = re.compile(r"\d{5}")
_POWER_OF_TEN = re.compile(r"[x×*·]?10(?:\^|\*{1,2}|E\+?)?([1-9]\d?)(?=\D|$)", re.IGNORECASE)
_SIGNS = str.maketrans({"μ": "u", "∕": "/", "⁄": "/", "÷": "/", "−": "-"})

Unit = dict[str, str]
"""`unit` as people read it; `system` and `code` where they are known."""


def normal(text: str) -> str:
    """A unit as the table has it: narrow, without blanks, `u` for micro, `10*9` for any way to write a power of ten."""
    narrow = "".join(unicodedata.normalize("NFKC", text).split()).translate(_SIGNS)
    return _POWER_OF_TEN.sub(r"10*\1", narrow, count=1)


def ucum(text: str, table: Table) -> str:
    """The UCUM code of what somebody wrote; empty where no table lists it, or where it could mean two things."""
    row = table.find(text)
    if row is None or not _stands(text, row):
        row = table.find(normal(text))
    return row["code"] if row is not None and _stands(text, row) else ""


def _stands(text: str, row: Row) -> bool:
    """Where the case tells two units apart, only the unit as it stands in the table counts: s is no S (siemens)."""
    return row.get("case") != _EXACT or normal(text) == normal(row["from"])


class Units:
    """Reads units (CWE) for one facility, remembering what it read.

    local  whether a code of the sender's own stays where UCUM has none
    """

    __slots__ = ("_concepts", "_local", "_table", "_unlisted", "known")

    def __init__(self, options: Options, *, local: bool = False) -> None:
        self._concepts, self._table, self._local = Concepts(options), options.tables[TABLE], local
        self._unlisted: dict[str, Unit] = {}
        self.known: dict[str, Unit] = {}
        """What was read so far and leaves nothing to be said, by the text of the field."""

    def read(self, raw: str, scope: Scope) -> Unit:
        """Empty for no unit."""
        found = self.known.get(raw) or self._unlisted.get(raw)
        if found is None:
            found = self._unit(raw, scope)
            kept = self.known if "code" in found or not found else self._unlisted
            if len(kept) >= LIMIT_REMEMBERED:
                kept.clear()
            kept[raw] = found
        return found

    def told(self, raw: str, scope: Scope) -> Unit:
        """The same, and a person is told, once, of a unit that no table lists."""
        found = self.read(raw, scope)
        if found and "code" not in found:
            unit = found["unit"]
            shown = unit if len(unit) <= LIMIT_SHOWN and not _LONG_NUMBER.search(unit) else ""
            text = f"a unit{f' ({shown})' if shown else ''} that table {TABLE} does not list; it is kept as text"
            scope.doubt("unit-unmapped", text, once=f"{TABLE} {shown}".strip())
        return found

    def _unit(self, raw: str, scope: Scope) -> Unit:
        found = self._concepts.read(whole_unit(raw), scope) if raw else None
        if found is None or not (found.codings or found.text):
            return {}
        first: dict[str, Any] = found.codings[0] if found.codings else {}
        unit = {"unit": found.text or first.get("display") or first["code"]}
        if code := self._code(found):
            return {**unit, "system": UCUM, "code": code}
        named = len(parts := scope.components(raw)) > 2 and bool(parts[2])
        return {**unit, "system": first["system"], "code": first["code"]} if self._local and first and named else unit

    def _code(self, found: Concept) -> str:
        """What the sender says to be UCUM counts, spelt as UCUM spells it; else what the table lists."""
        for coding in found.codings:
            if coding["system"] == UCUM:
                listed = ucum(coding["code"], self._table)
                return listed if listed and listed.upper() != coding["code"].upper() else coding["code"]
        written = (*(coding["code"] for coding in found.codings), found.text)
        return next((code for text in written if text and (code := ucum(text, self._table))), "")
