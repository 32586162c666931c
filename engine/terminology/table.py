"""What does one code table say of a local code?"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Row = Mapping[str, str]
"""One row by column name; empty cells are empty texts."""

ANY = "*"
"""The row that applies to every code the table does not list."""


def fold(code: str) -> str:
    """The form codes are compared in: full-width letters and digits made narrow, no case, no blanks around."""
    return unicodedata.normalize("NFKC", code).strip().upper()


@dataclass(frozen=True, slots=True)
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
        """This table, with the rows of another added or put in place of its own."""
        return Table(self.name, {**self.rows, **other.rows})
