"""Which codes has a person still to explain? Those of the samples that no table lists, as rows of tables.

A row whose code is `?` counts as if it were not there, so nothing is taken for known before somebody completes it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from engine.mapping.draft.profile import Item
from engine.mapping.draft.survey import Survey
from engine.terminology import UNFINISHED, Row, Tables
from engine.terminology.table import ANY, BACK

PROCEDURES = "imaging_procedures"
_SECTIONS = "diagnostic_services"
_ORDERS = ("ORM^", "OMI^", "OMG^")
"""Messages in which an item without a section (OBR-24) may be an image."""
_ALIKE = 0.5
_FEW = 12
"""A table with more codes than this is not repeated in a note."""


@dataclass(frozen=True, slots=True)
class OpenCode:
    """A code that a table should list, and what helps to complete its row."""

    code: str
    note: str


def open_codes(surveys: Iterable[Survey], tables: Tables) -> dict[str, list[OpenCode]]:
    """By table, each code once, the ones met most often first."""
    met: dict[str, dict[str, int]] = {}
    items: dict[str, Item] = {}
    for each in surveys:
        for table, values in each.unlisted.items():
            for value, count in values.items():
                known = met.setdefault(table, {})
                known[value] = known.get(value, 0) + count
        for code, item in each.profile.items.items():
            if _is_image(item, each, tables) and not _is_recognised(code, tables):
                items.setdefault(code, item)
    met.pop(PROCEDURES, None)
    found = {
        table: [OpenCode(code, _note(count, tables[table].rows.values())) for code, count in _most_first(values)]
        for table, values in sorted(met.items())
    }
    if items:
        found[PROCEDURES] = [OpenCode(code, _about(item, tables)) for code, item in sorted(items.items())]
    return found


def listed_codes(each: Survey, tables: Tables) -> dict[tuple[str, int], str]:
    """By field, a code of the samples that its table lists, else one of the table: what a made-up message says.

    So the drafted test stays right when somebody completes the tables.
    """
    found: dict[tuple[str, int], str] = {}
    images = any(_is_image(item, each, tables) for item in each.profile.items.values())
    for field, name in each.tables.items():
        column = each.profile.columns.get(field)
        if column is None or (name == PROCEDURES and not images):
            continue
        rows = tables[name].rows
        known = [value for value, _ in column.values.most_common() if _is_known(value, name, tables)]
        known += [row["from"] for row in rows.values() if row["code"] and _is_known(row["from"], name, tables)]
        if known:
            found[field] = known[0]
    return found


def _is_known(code: str, table: str, tables: Tables) -> bool:
    if table == PROCEDURES:
        return _is_recognised(code, tables)
    return code != ANY and tables[table].find(code) is not None


def table_text(codes: Iterable[OpenCode]) -> str:
    """A CSV of a facility's tables, to be completed."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["from", "code", "note"])
    writer.writerows([each.code, UNFINISHED, each.note] for each in codes)
    return stream.getvalue()


def _most_first(values: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(values.items(), key=lambda item: (-item[1], item[0]))


def _is_image(item: Item, each: Survey, tables: Tables) -> bool:
    if item.section:
        row = tables[_SECTIONS].find(item.section)
        return row is not None and bool(row["modality"])
    return any(kind.startswith(_ORDERS) for kind in each.message_types)


def _is_recognised(code: str, tables: Tables) -> bool:
    row = tables[PROCEDURES].find(code)
    return row is not None and bool(row["recognition"])


def _note(count: int, rows: Iterable[Row]) -> str:
    rows = list(rows)
    codes = sorted({row["code"] for row in rows if row["code"]})
    usual = sorted({row["code"] for row in rows if row.get(BACK) == "yes"})
    told = f"; one of {' '.join(codes)}" if len(codes) <= _FEW else f"; such as {' '.join(usual)}" if usual else ""
    return f"met {count} times{told}"


def _about(item: Item, tables: Tables) -> str:
    """Its words, its section, and the known examinations whose names are most like its own."""
    section = tables[_SECTIONS].find(item.section) if item.section else None
    modality = section["modality"] if section is not None else ""
    names = {
        row["code"]: row["display"]
        for row in tables[PROCEDURES].rows.values()
        if row["recognition"] and modality in ("", row["modality"])
    }
    alike = {code: SequenceMatcher(None, item.words, name).ratio() for code, name in names.items()}
    near = [code for code in sorted(alike, key=lambda code: -alike[code])[:2] if alike[code] >= _ALIKE]
    said = [item.words, item.section or "no section (OBR-24): an image?"]
    said += [f"perhaps {' or '.join(f'{code} {names[code]}' for code in near)}"] if near else []
    return "; ".join(each for each in said if each)
