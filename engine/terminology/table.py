"""What does one code table say of a local code?"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

Row = Mapping[str, str]
"""One row by column name; empty cells are empty texts."""

ANY = "*"
"""The row that applies to every code the table does not list."""


BACK = "back"
"""The column that says, with `yes`, which of several rows for one code is written on the way back; `no`: never this."""

_OF_ONE_ROW = frozenset({"from", "code", BACK, "note"})


def fold(code: str) -> str:
    """The form codes are compared in: full-width letters and digits made narrow, no case, no blanks around."""
    return unicodedata.normalize("NFKC", code).strip().upper()


@dataclass(frozen=True)
class Table:
    """Rows by their `from` column."""

    name: str
    rows: Mapping[str, Row] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, rows: Iterable[Row]) -> Table:
        return cls(name, {fold(row["from"]): row for row in rows})

    def find(self, code: str) -> Row | None:
        """The row of a code, or None where it is not listed.."""
        row = self.rows.get(code)
        return row if row is not None else self.rows.get(fold(code))

    @property
    def fallback(self) -> Row | None:
        """The `*` row: what a code becomes that the table does not list; such a code is still a finding."""
        return self.rows.get(ANY)

    def with_rows(self, other: Table) -> Table:
        """This table, with the rows of another added or put in place of its own.

        A row that lacks columns of this table takes them from this one's rows of the same code, where those agree: who
        says `XP-01,DR-CHEST-PA` need not say again what is known of DR-CHEST-PA. Where the other marks the row to be
        written for a code, this one's own mark for it no longer counts.
        """
        added = {key: self._completed(row) for key, row in other.rows.items()}
        marked = {_code_key(row) for row in added.values() if _is_marked(row)}
        own = {
            key: {**row, BACK: ""} if _is_marked(row) and _code_key(row) in marked else row
            for key, row in self.rows.items()
        }
        return Table(self.name, {**own, **added})

    def _completed(self, row: Row) -> Row:
        lacking = self._columns - row.keys()
        if not lacking:
            return row
        alike = [known for known in self.rows.values() if known["code"] == row["code"]]
        return {**{column: _agreed(column, alike) for column in sorted(lacking)}, **row}

    @cached_property
    def _columns(self) -> frozenset[str]:
        """What is said of a code, whoever sends it."""
        return frozenset(column for row in self.rows.values() for column in row) - _OF_ONE_ROW

    def back(self, code: str, system: str = "") -> str:
        """The local code that is written for a code; empty where there is none, or where nobody chose among several."""
        return self._inverse.get((system, code), "")

    def ambiguous(self) -> list[str]:
        """The codes that several rows give, of which not exactly one is marked `yes` in the column `back`."""
        return sorted({code for (_, code), local in self._inverse.items() if not local})

    @cached_property
    def _inverse(self) -> Mapping[tuple[str, str], str]:
        rows_of: dict[tuple[str, str], list[Row]] = {}
        for key, row in self.rows.items():
            if key != ANY and row["code"] and row.get(BACK) != "no":
                rows_of.setdefault(_code_key(row), []).append(row)
        inverse: dict[tuple[str, str], str] = {}
        for key_of_code, rows in rows_of.items():
            marked = [row for row in rows if _is_marked(row)]
            chosen = marked if len(rows) > 1 else rows
            inverse[key_of_code] = chosen[0]["from"] if len(chosen) == 1 else ""
        return inverse


def _agreed(column: str, rows: Iterable[Row]) -> str:
    """What these rows say in a column when they all say the same; else nothing."""
    said = {row.get(column, "") for row in rows}
    return said.pop() if len(said) == 1 else ""


def _code_key(row: Row) -> tuple[str, str]:
    return row.get("system", ""), row["code"]


def _is_marked(row: Row) -> bool:
    return row.get(BACK) == "yes"
