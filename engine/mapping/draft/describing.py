"""What is said of a column? How full and how long it is; codes by name, everything else by what it looks like."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from engine.mapping.draft.content import LIMIT_CODE, NUMBERS_OF_SOMEBODY, shape_of
from engine.mapping.draft.profile import Column
from engine.mapping.lens.structures import Structure
from engine.terminology import Tables

UNKNOWN = "?"
"""Stands for the rows of a field that none reads."""
_CODED = frozenset({"ID", "IS", "CE", "CWE", "CNE", "SI"})
"""Datatypes whose first component is a code."""
OF_A_PERSON = frozenset({"PID", "NK1", "GT1", "IN1", "IN2", "MRG"})
_CODESOF_A_PERSON = frozenset({"ID", "IS", "SI"})
"""Of segments about people, only what is certainly a code: systems write names and numbers where codes belong."""
SHOWN = 5
_ENOUGH_IN_TABLE = 0.6
_FEW_CODES = 2
"""A single code stands in some table or other."""
PERSON_CODE_LENGTH = 4
_COUNT_LENGTH = 2


@dataclass(frozen=True, slots=True)
class Described:
    """One field, described for a person.

    known  the rules that read it; `UNKNOWN` where none does
    table  the nearest code table with how many of the values it lists, where the column holds codes
    counts whether it holds small numbers and nothing else
    """

    field: str
    title: str
    known: str
    filled: str
    length: str
    holds: str
    table: str
    counts: bool = False


def described(
    segment: str,
    number: int,
    column: Column,
    structure: Structure,
    tables: Tables,
    known: str,
    *,
    keep_values: bool,
) -> Described:
    """Values are named only where the field holds codes, or where the caller asked to keep them."""
    coded = holds_codes(segment, number, column, structure)
    return Described(
        field=f"{segment}-{number}",
        title=structure.title(segment, number),
        known=known,
        filled=f"{column.filled} of {column.segments}" + (f", {column.nulls} deleted" if column.nulls else ""),
        length=str(column.longest) if column.shortest == column.longest else f"{column.shortest}-{column.longest}",
        holds=_holds(column, coded or keep_values),
        table=nearest_table(column.values, tables) if coded and known == UNKNOWN and not column.holds_times else "",
        counts=bool(column.values) and all(map(_is_small_number, column.values)),
    )


def _is_small_number(value: str) -> bool:
    return value.isdecimal() and len(value) <= _COUNT_LENGTH


def holds_codes(segment: str, number: int, column: Column, structure: Structure) -> bool:
    """Whether the values of a field may be shown: codes of few letters, by the standard's datatype."""
    datatype = structure.datatype(segment, number)
    longest = max((len(value) for value in column.values), default=0)
    if (
        NUMBERS_OF_SOMEBODY & column.kinds.keys() and datatype in _CODESOF_A_PERSON
    ):  # numbers of visits stand where codes belong
        return False
    if segment in OF_A_PERSON:
        return datatype in _CODESOF_A_PERSON and 0 < longest <= PERSON_CODE_LENGTH
    return datatype in _CODED and 0 < longest <= LIMIT_CODE and not column.many


def _holds(column: Column, shown: bool) -> str:
    said = []
    if column.holds_times:
        said.append("time " + ", ".join(form for form, _ in column.forms.most_common(3)))
    elif column.many:
        said.append("many values")
    elif shown:
        said.append(", ".join(f"{value} ×{count}" for value, count in column.values.most_common(SHOWN)))
        if len(column.values) > SHOWN:
            said[-1] += f" and {len(column.values) - SHOWN} more"
    elif column.values:
        shapes: Counter[str] = Counter()
        for value, count in column.values.items():
            shapes[shape_of(value)] += count
        said.append("like " + ", ".join(shape for shape, _ in shapes.most_common(3)))
    if column.repetitions > 1:
        said.append(f"up to {column.repetitions} repetitions")
    if column.components > 1:
        said.append(f"{column.components} components")
    return "; ".join(said)


def nearest_table(values: Counter[str], tables: Tables) -> str:
    """The table that lists most of the values: `sex (3 of 4)`; empty where none lists enough of them."""
    best, listed = "", 0
    for name in tables.names():
        found = sum(tables[name].find(value) is not None for value in values)
        if found > listed:
            best, listed = name, found
    enough = listed >= max(_FEW_CODES, _ENOUGH_IN_TABLE * len(values))
    return f"{best} ({listed} of {len(values)})" if enough else ""
