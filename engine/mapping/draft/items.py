"""Which codes has a person still to explain? Those of the samples that no table lists, as rows of tables.

A row whose code is `?` counts as if it were not there, so nothing is taken for known before somebody completes it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from engine.mapping.draft.content import LIMIT_CODE, NUMBERS_OF_SOMEBODY, kind_of
from engine.mapping.draft.describing import OF_A_PERSON, PERSON_CODE_LENGTH
from engine.mapping.draft.hints import note_of
from engine.mapping.draft.profile import Column, Item
from engine.mapping.draft.survey import Survey
from engine.mapping.draft.trial import Trial, Unlisted
from engine.terminology import UNFINISHED, Tables
from engine.terminology.table import ANY

PROCEDURES = "imaging_procedures"
_SECTIONS = "diagnostic_services"
_ORDERS = ("ORM^", "OMI^", "OMG^")
"""Messages in which an item without a section (OBR-24) may be an image."""
_ALIKE = 0.5
_UNIT, _UNITS = ("OBX", 6), "units"
_USUAL_UNIT = "mmol/L"
_KINSHIP = frozenset("父母爸妈子女儿孙夫妻妇婿媳配偶兄弟哥姐妹姊嫂伯叔姑姨舅婶侄甥爷奶祖公婆友邻亲属监护同事")


@dataclass(frozen=True, slots=True)
class OpenCode:
    """A code that a table should list, and what helps to complete its row."""

    code: str
    note: str


def open_codes(surveys: Sequence[Survey], tables: Tables, trial: Trial) -> dict[str, list[OpenCode]]:
    """By table, each code once, the ones met most often first: those of fields of codes, and those a mapping missed."""
    met: dict[str, dict[str, int]] = {}
    said: dict[tuple[str, str], Unlisted] = {}
    items: dict[str, Item] = {}
    for table, missed in trial.unlisted.items():
        for one, count in missed.items():
            if _may_be_shown(one, surveys):
                known = met.setdefault(table, {})
                known[one.code] = known.get(one.code, 0) + count
                said.setdefault((table, one.code), one)
    for each in surveys:
        for table, values in each.unlisted.items():
            for value, count in values.items():
                known = met.setdefault(table, {})
                known[value] = max(known.get(value, 0), count)
        for code, item in each.profile.items.items():
            if _is_image(item, each, tables) and not _is_recognised(code, tables):
                items.setdefault(code, item)
    met.pop(PROCEDURES, None)
    found = {
        table: [
            OpenCode(code, note_of(code, count, said.get((table, code)), tables[table]))
            for code, count in _most_first(values)
        ]
        for table, values in sorted(met.items())
    }
    if items:
        found[PROCEDURES] = [OpenCode(code, _about(item, tables)) for code, item in sorted(items.items())]
    return found


def listed_codes(each: Survey, tables: Tables) -> dict[tuple[str, int], str]:
    """By field, a code of the samples that its table lists, else one of the table: what a made-up message says.

    So the drafted test stays right when somebody completes the tables.
    """
    found = {_UNIT: _unit(each, tables)}
    images = any(_is_image(item, each, tables) for item in each.profile.items.values())
    for field, name in each.tables.items():
        column = each.profile.columns.get(field, Column())
        if name == PROCEDURES and not images:
            continue
        rows = tables[name].rows
        known = [value for value, _ in column.values.most_common() if _is_known(value, name, tables)]
        known += [row["from"] for row in rows.values() if row["code"] and _is_known(row["from"], name, tables)]
        if known:
            found[field] = known[0]
    return found


def _unit(each: Survey, tables: Tables) -> str:
    met = each.profile.columns.get(_UNIT, Column()).values.most_common()
    known = tables.by_name.get(_UNITS)
    return next((unit for unit, _ in met if known is not None and known.find(unit) is not None), _USUAL_UNIT)


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


def _may_be_shown(one: Unlisted, surveys: Iterable[Survey]) -> bool:
    """Of segments about people only short codes, and words that name a kinship: names stand in wrong fields, too."""
    segment, _, number = one.field.partition("-")
    if not one.code or len(one.code) > LIMIT_CODE or kind_of([one.code]) in NUMBERS_OF_SOMEBODY:
        return False
    if segment not in OF_A_PERSON:
        columns = [each.profile.columns.get((segment, int(number))) for each in surveys]
        return not any(column.many for column in columns if column is not None)
    return len(one.code) <= PERSON_CODE_LENGTH and (one.code.isascii() or bool(_KINSHIP & set(one.code)))


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
