"""Which codes may a sender's code be? Each with its words, Chinese first, as a note beside the row to be completed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.mapping.draft.trial import Unlisted
from engine.mapping.functions.codes import is_words
from engine.terminology import Row, Table
from engine.terminology.table import ANY, BACK

_FEW = 12
"""A table with more codes than this is not repeated in a note: only what is usual, and what is worded alike."""


def note_of(code: str, count: int, met: Unlisted | None, table: Table) -> str:
    """How often it was met, where and with which words, and the codes that it may be."""
    words = met.words if met is not None and met.words != code else ""
    where = f" in {met.field}" if met is not None else ""
    rows = by_code(table.rows.values())
    offered = list(rows) if len(rows) <= _FEW else _near(f"{code}{words}", rows)
    told = [f"{each} {words_of(rows[each])}".rstrip() for each in offered]
    choice = f"{'one of' if len(rows) <= _FEW else 'such as'} {', '.join(told)}" if told else ""
    stays = "leave the code empty to keep it as words" if is_words(code) and _names_concepts(table) else ""
    return "; ".join(each for each in (words, f"met {count} times{where}", choice, stays) if each)


def _names_concepts(table: Table) -> bool:
    """Whether its codes stand beside words, in a CodeableConcept: an element that is a code alone takes no words."""
    return any(row.get("system") for row in table.rows.values())


def by_code(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows of each code, the codes in their order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row["code"] and row["from"] != ANY:
            found.setdefault(row["code"], []).append(row)
    return dict(sorted(found.items()))


def words_of(rows: Sequence[Row]) -> str:
    """What a code means: in Chinese where some row says so, then what it is called."""
    written = [*(row["from"] for row in rows), *(row.get("note", "") for row in rows)]
    chinese = next(filter(_is_chinese, written), "")
    called = next((row["display"] for row in rows if row.get("display")), "")
    return " ".join(each for each in (chinese, called if called != chinese else "") if each)


def _near(local: str, rows: dict[str, list[Row]]) -> list[str]:
    """The codes that share a Chinese character with the sender's, first; then those that are usual."""
    sought = {each for each in local if _is_chinese(each)}
    alike = {code: len(sought & set(words_of(those))) for code, those in rows.items()}
    near = [code for code in sorted(rows, key=lambda code: (-alike[code], code)) if alike[code]]
    usual = [code for code, those in rows.items() if any(row.get(BACK) == "yes" for row in those)]
    return list(dict.fromkeys([*near, *usual]))[:_FEW]


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= each <= "\u9fff" for each in text)
