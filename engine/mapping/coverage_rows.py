"""Which rows does HL7's own v2-to-FHIR map ask for? Reads the distilled tables, and distils them from the originals.

`python -m engine.mapping.coverage_rows FOLDER` writes `mappings/requirements/v2_to_fhir.csv` from a checkout of
github.com/HL7/v2-to-fhir (`mappings/segments`, one CSV for each segment and resource).
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = "requirements"
OFFICIAL = "v2_to_fhir.csv"
OWN = "own.csv"
"""Segments that HL7 has no map for (IPC), or that are none of HL7's (ZDS)."""
COLUMNS = ("id", "field", "attribute", "constant", "condition")

_FILE = re.compile(r"R4_ (.+?) - ")
_FIELD, _COMPUTABLE, _NARRATIVE, _ATTRIBUTE, _ASSIGNMENT = 1, 6, 8, 9, 16
_HEADINGS = 2
_QUOTED = re.compile(r'"\s*([^"]+?)\s*"')
_ROW = re.compile(r"(?P<segment>[A-Z][A-Z0-9]{2})\[(?P<resource>[A-Za-z]+)(?:-[A-Za-z-]+)?\]/\d+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a map.

    id         `PV1[Encounter]/12`: the map it stands in, and which of its rows with a FHIR target it is
    field      `PV1-3`; the bare name of the segment where the segment itself is meant
    attribute  the element, as the map writes it: `location[1].location(Location)`
    constant   the value that the map prescribes; empty for none
    condition  when the row holds, as the map says it
    """

    id: str
    field: str
    attribute: str
    constant: str
    condition: str

    @property
    def map(self) -> str:
        return self.id.partition("/")[0]

    @property
    def segment(self) -> str:
        return self.id[:3]

    @property
    def resource(self) -> str:
        match = _ROW.fullmatch(self.id)
        return match["resource"] if match else ""


def read_rows(folder: Path) -> list[Row]:
    """Every row of both tables of a mappings folder, the official ones first."""
    rows: list[Row] = []
    for name in (OFFICIAL, OWN):
        with (folder / FOLDER / name).open(encoding="utf-8", newline="") as file:
            rows.extend(Row(*(line[column] for column in COLUMNS)) for line in csv.DictReader(file))
    wrong = [row.id for row in rows if not row.resource]
    if wrong:
        raise ValueError(f"expected rows such as PID[Patient]/1: {', '.join(wrong)}")
    return rows


def distilled(folder: Path) -> Iterator[Row]:
    """The rows that have a FHIR target, of every table in a folder, in the order of their names."""
    for path in sorted(folder.glob("*.csv")):
        named = _FILE.search(path.name)
        if named is None:
            continue
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line + [""] * (_ASSIGNMENT + 1 - len(line)) for line in csv.reader(file)][_HEADINGS:]
        targets = [line for line in lines if line[_ATTRIBUTE].strip()]
        for number, line in enumerate(targets, 1):
            attribute, _, equals = _one_line(line[_ATTRIBUTE]).partition("=")
            constant = _QUOTED.fullmatch(_one_line(line[_ASSIGNMENT]) or equals)
            yield Row(
                id=f"{named[1]}/{number}",
                field=_one_line(line[_FIELD]) or named[1][:3],
                attribute=attribute,
                constant=constant[1] if constant else "",
                condition=_one_line(line[_NARRATIVE]) or _one_line(line[_COMPUTABLE]),
            )


def _one_line(cell: str) -> str:
    return " ".join(cell.split())


def main(source: str, target: Path) -> None:
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in distilled(Path(source)):
            writer.writerow([getattr(row, column) for column in COLUMNS])


if __name__ == "__main__":
    main(sys.argv[1], Path(__file__).parents[2] / "mappings" / FOLDER / OFFICIAL)
