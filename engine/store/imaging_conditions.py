"""Which rows does an imaging query mean? Its where clause, and whether it names few of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.store.imaging_names import conditions_of
from engine.store.imaging_query import ATTRIBUTES, ImagingQuery, Level, Range
from engine.store.patterns import is_wild, like, literal_beginning

_COLUMNS = {"patient_id": "s.patient_id", "accession": "s.accession"}
_TABLES = {Level.PATIENT: "s", Level.STUDY: "s", Level.SERIES: "e", Level.IMAGE: "i"}
_HIGHEST = "\U0010ffff"
"""Behind every text that goes on from a beginning, in the order of code points."""


class _Clauses:
    """A where clause and its arguments; only numbers of arguments are ever written into the statement."""

    def __init__(self) -> None:
        self.clauses: list[str] = ["true"]
        self.arguments: list[Any] = []

    def add(self, clause: str, *values: Any) -> None:
        first = len(self.arguments) + 1
        self.arguments.extend(values)
        self.clauses.append(clause.format(*(f"${first + at}" for at in range(len(values)))))


def condition(query: ImagingQuery) -> tuple[str, list[Any], bool]:
    """Condition, its arguments, and whether it names few studies by something that has an index of its own."""
    where = _Clauses()
    selective = False
    if query.facility is not None:
        where.add("s.facility = {}", query.facility)
    if query.study_uids:
        where.add("s.uid = any({}::text[])", list(query.study_uids))
        selective = True
    if query.series_uids:
        where.add("e.uid = any({}::text[])", list(query.series_uids))
    if query.sop_uids:
        where.add("i.sop_uid = any({}::text[])", list(query.sop_uids))
    if query.sop_classes:
        where.add("i.sop_class = any({}::text[])", list(query.sop_classes))
    if query.patient_name:
        selective |= _add_name(where, query.patient_name)
    for name, patterns in query.texts.items():
        selective |= _add_text(where, name, patterns)
    for name, wanted in query.ranges.items():
        _add_range(where, name, wanted)
    _add_modalities(where, query)
    _add_dates(where, query)
    return " and ".join(where.clauses), where.arguments, selective


def _add_name(where: _Clauses, pattern: str) -> bool:
    selective = False
    for condition in conditions_of(pattern):
        if condition.tokens:
            where.add("s.tokens @> {}::text[]", list(condition.tokens))
            selective = True
        if condition.patterns:
            likes = [like(one) for one in condition.patterns]
            where.add("exists (select 1 from unnest(s.names) n where n like any({}::text[]))", likes)
    return selective


def _add_text(where: _Clauses, name: str, patterns: Sequence[str]) -> bool:
    """Patterns of which one must match; a beginning is also told as a range, which an index can use."""
    if not patterns or "*" in patterns:
        return False
    column = _COLUMNS.get(name)
    wild = [pattern for pattern in patterns if is_wild(pattern)]
    if column is None:
        table = _TABLES[ATTRIBUTES[name]]
        where.add(f"coalesce({table}.tags ->> {{}}, '') like any({{}}::text[])", name, [like(p) for p in patterns])
        return False
    if not wild:
        where.add(f"{column} = any({{}}::text[])", list(patterns))
        return True
    where.add(f"{column} like any({{}}::text[])", [like(pattern) for pattern in patterns])
    beginnings = [literal_beginning(pattern) for pattern in patterns]
    if not all(beginnings):
        return False
    where.add(f"{column} >= {{}} and {column} < {{}}", min(beginnings), max(beginnings) + _HIGHEST)
    return True


def _add_range(where: _Clauses, name: str, wanted: Range) -> None:
    """What has no value, or none that is a date, is in no range."""
    if not wanted:
        return
    said = f"translate({_TABLES[ATTRIBUTES[name]]}.tags ->> {{}}, '.:', '')"
    where.add(f"{said} ~ '^[0-9]{{{{4}}}}'", name)
    if wanted.first:
        where.add(f"{said} >= {{}}", name, wanted.first)
    if wanted.last:
        where.add(f"left({said}, {len(wanted.last):d}) <= {{}}", name, wanted.last)


def _add_modalities(where: _Clauses, query: ImagingQuery) -> None:
    if not query.modalities or "*" in query.modalities:
        return
    if query.level in (Level.SERIES, Level.IMAGE):
        where.add("e.modality like any({}::text[])", [like(pattern) for pattern in query.modalities])
    elif any(map(is_wild, query.modalities)):
        patterns = [like(pattern) for pattern in query.modalities]
        where.add("exists (select 1 from unnest(s.modalities) m where m like any({}::text[]))", patterns)
    else:
        where.add("s.tokens && {}::text[]", [f"@{modality}" for modality in query.modalities])


def _add_dates(where: _Clauses, query: ImagingQuery) -> None:
    """A study without a date, or a time, matches no range of them."""
    if query.dates:
        where.add("s.study_date between {} and {}", query.dates.first or "0", query.dates.last or "9")
    if query.together and query.dates and query.times:
        first, last = query.times.first, query.times.last
        where.add("(s.study_date > {} or s.study_time >= {})", query.dates.first, first)
        where.add("(s.study_date < {} or s.study_time <= {})", query.dates.last or "9", last or "9")
    elif query.times:
        where.add("s.study_time between {} and {}", query.times.first or "0", query.times.last or "9")
