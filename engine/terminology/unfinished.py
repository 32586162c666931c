"""Which rows of an installation's tables wait for a person? Those whose code is still `?`."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from engine.terminology.tables import UNFINISHED


def unfinished(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each table below a mappings folder with such rows, and the sender's codes in them; tables that load."""
    for path in sorted(folder.glob("**/tables/*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            codes = [row["from"] for row in csv.DictReader(stream) if (row["code"] or "").strip() == UNFINISHED]
        if codes:
            yield path, codes
