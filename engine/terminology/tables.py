"""Which code tables are there? Reads folders of CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.config.problems import InvalidConfiguration, Problem
from engine.terminology.table import Table, fold

_REQUIRED = ("from", "code")
UNFINISHED = "?"
"""The code of a row that a person has still to complete: it is read as if it were not there."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables by name, which is the name of the file without `.csv`."""

    by_name: Mapping[str, Table] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, root: Path | None = None) -> Tables:
        """Reads every CSV file of a folder; a folder that is not there holds no tables. Files are named from `root`.

        UTF-8, with or without a byte order mark (spreadsheet programs write one); the first line names the columns, of
        which `from` and `code` are required. Raises InvalidConfiguration with file and line.
        """
        problems: list[Problem] = []
        tables = {
            path.stem: _read(path, path.relative_to(root or folder.parent).as_posix(), problems)
            for path in sorted(folder.glob("*.csv"))
        }
        if problems:
            raise InvalidConfiguration(problems)
        return cls(tables)

    def __getitem__(self, name: str) -> Table:
        """Raises InvalidConfiguration when there is no such table."""
        if name not in self.by_name:
            raise InvalidConfiguration(
                [Problem(f"tables/{name}.csv", 0, "", "expected this table; functions look into it")]
            )
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def names(self) -> list[str]:
        return sorted(self.by_name)

    def with_tables(self, other: Tables) -> Tables:
        """These tables, with the rows of others of the same name laid over them."""
        return Tables(
            {
                **self.by_name,
                **{
                    name: self.by_name[name].with_rows(table) if name in self.by_name else table
                    for name, table in other.by_name.items()
                },
            }
        )


def _read(path: Path, file: str, problems: list[Problem]) -> Table:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.append(Problem(file, 0, "", f"expected UTF-8 text; byte {error.start} is not: save it as CSV UTF-8"))
        return Table(path.stem)
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    missing = [column for column in _REQUIRED if column not in (reader.fieldnames or ())]
    if missing:
        problems.append(
            Problem(file, 1, "", f"expected the columns {', '.join(_REQUIRED)}; missing: {', '.join(missing)}")
        )
        return Table(path.stem)
    rows: list[dict[str, str]] = []
    seen: dict[str, int] = {}
    for row in reader:
        if row.pop("", None):
            problems.append(Problem(file, reader.line_num, "", "expected no more cells than columns; quote a comma"))
            continue
        cells = {column: (cell or "").strip() for column, cell in row.items()}
        key = fold(cells["from"])
        if not key:
            problems.append(Problem(file, reader.line_num, "from", "expected a code"))
        elif key in seen:
            problems.append(
                Problem(file, reader.line_num, "from", f"expected every code once; it stands on line {seen[key]}")
            )
        else:
            seen[key] = reader.line_num
            if cells["code"] != UNFINISHED:
                rows.append(cells)
    return Table.of(path.stem, rows)
