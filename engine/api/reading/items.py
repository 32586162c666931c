"""Which codes name the item that a doctor asks about? The code itself, and what the facility's tables make of it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from engine.terminology import Tables

_PROCEDURES = "imaging_procedures"


def codes_of(code: str, facility: str) -> frozenset[str]:
    """`code` may be a recognition code, or a procedure code as this configured facility writes it."""
    tables = _tables(facility)
    row = tables[_PROCEDURES].find(code) if _PROCEDURES in tables else None
    named = (row["code"], row.get("recognition", "")) if row is not None else ()
    return frozenset({code, *filter(None, named)})


@lru_cache(maxsize=256)
def _tables(facility: str) -> Tables:
    root = Path(str(files("mappings")))
    tables = Tables.load(root / "tables")
    return tables.with_tables(Tables.load(root / "facilities" / facility / "tables")) if facility else tables
