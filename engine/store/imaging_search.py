"""Which patients, studies, series and instances answer an imaging query? C-FIND, C-GET, C-MOVE and QIDO-RS ask here.

Finding is one step, reading what was found another: `find_keys` says which entities match, and `read` gives what is
known of some of them, so that a long answer is never held whole. `find_page` is both, in one statement.
Contents that conflict with an earlier one under their SOP Instance UID are never found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from engine.store import imaging_index
from engine.store.database import Connection
from engine.store.imaging_names import conditions_of
from engine.store.patterns import is_wild, like, literal_beginning

_ATTRIBUTES_REMEMBERED = 1000
"""Texts that need not be taken apart again; lists are asked for by many, and again every few seconds."""
_HIGHEST = "\U0010ffff"
"""Behind every text that goes on from a beginning, in the order of code points."""


class Level(StrEnum):
    """Query/retrieve levels of PS3.4 C.3, in the spelling of (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends belong to it; an empty one is open."""

    first: str = ""
    last: str = ""

    def __bool__(self) -> bool:
        return bool(self.first or self.last)


@dataclass(frozen=True, slots=True)
class ImagingQuery:
    """What is asked of one level. What is empty matches everything (PS3.4 C.2.2.2.3).

    facility      whose studies; None for everybody's
    patient_name  a pattern; case, width and punctuation do not count, pinyin and initials find Chinese (C.2.2.2.1)
    dates, times  YYYYMMDD and HHMMSS of the study
    together      date and time are one range from first to last, not one for each (C.2.2.2.5.3)
    modalities    patterns, of which the study at PATIENT and STUDY, the series below, has at least one
    texts         patterns by attribute of `ATTRIBUTES`, of its level or one above; one pattern of each must match
    """

    level: Level
    facility: str | None
    study_uids: tuple[str, ...] = ()
    series_uids: tuple[str, ...] = ()
    sop_uids: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = ()
    patient_name: str = ""
    dates: Range = Range()
    times: Range = Range()
    together: bool = False
    modalities: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """One match. A patient is named by the newest of the matching studies; UIDs below the level are empty."""

    facility: str
    study_uid: str
    series_uid: str = ""
    sop_uid: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """Where an instance is; of a patient, a study and a series the first that was stored.

    charset  JSON: declared, used, doubtful
    """

    sop_uid: str
    sop_class: str
    transfer_syntax: str
    location: str
    charset: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a match: attributes of its level and those above, and how much hangs below.

    A count is of what the caller may see. `content` is what else could be asked is read from.

    tags  of study, series and instance as the index has them: JSON, empty above the level
    """

    level: Level
    key: Key
    tags: tuple[str, str, str]
    content: Content
    modalities: tuple[str, ...] = ()
    studies: int = 0
    series: int = 0
    instances: int = 0

    @property
    def attributes(self) -> Mapping[str, str]:
        """By the names of `ATTRIBUTES`; shared by all who ask."""
        return _attributes(self.level, self.tags)


ATTRIBUTES: Mapping[str, Level] = {
    **dict.fromkeys(imaging_index.PATIENT_TAGS, Level.PATIENT),
    **dict.fromkeys(imaging_index.STUDY_TAGS, Level.STUDY),
    **dict.fromkeys(imaging_index.SERIES_TAGS, Level.SERIES),
    **dict.fromkeys(imaging_index.INSTANCE_TAGS, Level.IMAGE),
}
"""What is indexed, and at which level it stands; the names are those of `tags`."""

LEVELS = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
_COLUMNS = {"patient_id": "s.patient_id", "accession": "s.accession"}
_TABLES = {Level.PATIENT: "s", Level.STUDY: "s", Level.SERIES: "e", Level.IMAGE: "i"}

_NEWEST_FIRST = "study_date desc, study_time desc, uid, facility"
_FROM_STUDY = "study_search s"
_FROM_SERIES = "study_search s join series e on e.study_uid = s.uid and e.facility = s.facility"
_FROM_INSTANCE = (
    f"{_FROM_SERIES} join instance i on i.study_uid = s.uid and i.facility = s.facility "
    "and i.series_uid = e.uid and not i.conflict"
)
_KEYS = {
    # Without a Patient ID nothing says that two studies of one name are of one patient; the name is all there is.
    Level.PATIENT: f"""
        select facility, uid as study_uid, '' as series_uid, '' as sop_uid from (
            select distinct on (s.facility, s.patient_id, s.tags ->> 'issuer',
                                case when s.patient_id = '' then s.tags ->> 'patient_name' end) s.*
            from {_FROM_STUDY} where {{condition}}
            order by s.facility, s.patient_id, s.tags ->> 'issuer',
                     case when s.patient_id = '' then s.tags ->> 'patient_name' end, {_NEWEST_FIRST}
        ) one order by {_NEWEST_FIRST}
        """,
    Level.STUDY: f"""
        select facility, uid as study_uid, '' as series_uid, '' as sop_uid from {_FROM_STUDY}
        where {{condition}} order by {_NEWEST_FIRST}
        """,
    Level.SERIES: f"""
        select s.facility, s.uid as study_uid, e.uid as series_uid, '' as sop_uid from {_FROM_SERIES}
        where {{condition}}
        order by s.study_date desc, s.study_time desc, s.uid, s.facility, e.number nulls last, e.uid
        """,
    Level.IMAGE: f"""
        select s.facility, s.uid as study_uid, e.uid as series_uid, i.sop_uid from {_FROM_INSTANCE}
        where {{condition}}
        order by s.study_date desc, s.study_time desc, s.uid, s.facility, e.number nulls last, e.uid,
                 i.number nulls last, i.sop_uid
        """,
}
_CONTENT = "i.sop_uid, i.sop_class, i.transfer_syntax, i.location, i.charset, i.bytes"
_FIRST_CONTENT = f"""
    join lateral (
        select {_CONTENT} from instance i
        where i.study_uid = s.uid and i.facility = s.facility {{of_series}} and not i.conflict
        order by i.stored_at, i.sop_uid limit 1
    ) i on true
    """
_FIRST_CONTENTS = {
    Level.PATIENT: _FIRST_CONTENT.format(of_series=""),
    Level.STUDY: _FIRST_CONTENT.format(of_series=""),
    Level.SERIES: _FIRST_CONTENT.format(of_series="and i.series_uid = e.uid"),
    Level.IMAGE: "",
}
_NO_CONTENT = f"join (values ('', '', '', '', '{{}}', 0::bigint)) i ({_CONTENT.replace('i.', '')}) on true"
_OF_KEYS = """
    from {keys} k join study_search s on s.uid = k.study_uid and s.facility = k.facility
    """
_GIVEN_KEYS = """
    (select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
         as one (facility, study_uid, series_uid, sop_uid, place))
    """
_COUNTS_OF_STUDY = """
    (select count(*) from series e where e.study_uid = s.uid and e.facility = s.facility) as series,
    (select sum(e.instances) from series e where e.study_uid = s.uid and e.facility = s.facility) as instances
    """
_READ = {
    Level.PATIENT: f"""
        select k.*, s.tags as study_tags, s.modalities, {_CONTENT}, p.studies, p.series, p.instances
        {_OF_KEYS} {{content}} join lateral (
            select count(distinct o.uid) as studies, count(*) as series, sum(e.instances) as instances
            from study_search o join series e on e.study_uid = o.uid and e.facility = o.facility
            where o.facility = s.facility and o.patient_id = s.patient_id
              and o.tags ->> 'issuer' is not distinct from s.tags ->> 'issuer'
              and (s.patient_id <> '' or o.tags ->> 'patient_name' is not distinct from s.tags ->> 'patient_name')
        ) p on true order by k.place
        """,
    Level.STUDY: f"""
        select k.*, s.tags as study_tags, s.modalities, {_CONTENT}, {_COUNTS_OF_STUDY}
        {_OF_KEYS} {{content}} order by k.place
        """,
    Level.SERIES: f"""
        select k.*, s.tags as study_tags, s.modalities, e.tags as series_tags, {_CONTENT}, e.instances, 1 as series
        {_OF_KEYS} join series e on e.study_uid = s.uid and e.facility = s.facility and e.uid = k.series_uid
        {{content}} order by k.place
        """,
    Level.IMAGE: f"""
        select k.*, s.tags as study_tags, s.modalities, e.tags as series_tags, i.tags as instance_tags, {_CONTENT}
        {_OF_KEYS} join series e on e.study_uid = s.uid and e.facility = s.facility and e.uid = k.series_uid
        join instance i on i.sop_uid = k.sop_uid and i.facility = k.facility and not i.conflict order by k.place
        """,
}


async def find_page(connection: Connection, query: ImagingQuery, *, limit: int, offset: int = 0) -> list[Found]:
    """One page of the answer, the newest studies first; above instances without `content`, which costs a search each.

    Keys and what is known of them in one statement: a list of studies is asked for again and again.
    """
    statement, arguments = _keys_statement(query)
    keys = f"""
        (select one.*, row_number() over () as place from ({statement} limit {limit:d} offset {offset:d}) one)
        """
    rows = await connection.fetch(_READ[query.level].format(keys=keys, content=_NO_CONTENT), *arguments)
    return [_found(query.level, Key(*(row[name] for name in Key.__slots__)), row) for row in rows]


async def find_keys(connection: Connection, query: ImagingQuery, *, limit: int, offset: int = 0) -> list[Key]:
    """What matches, the newest studies first; within a study by the numbers of series and instances."""
    statement, arguments = _keys_statement(query)
    rows = await connection.fetch(f"{statement} limit {limit:d} offset {offset:d}", *arguments)
    return [Key(**row) for row in rows]


def _keys_statement(query: ImagingQuery) -> tuple[str, list[Any]]:
    statement = _KEYS[query.level]
    condition, arguments, selective = _condition(query)
    if selective and query.level is Level.STUDY:
        # Found by what is asked, then sorted: a walk in order of dates with that as a filter may read the whole index.
        statement = f"""
            with found as materialized (
                select facility, uid, study_date, study_time from {_FROM_STUDY} where {{condition}}
            )
            select facility, uid as study_uid, '' as series_uid, '' as sop_uid from found order by {_NEWEST_FIRST}
            """
    return statement.format(condition=condition), arguments


async def kinds(connection: Connection, query: ImagingQuery) -> list[tuple[str, str]]:
    """The SOP classes and transfer syntaxes of the instances that match, each pair once."""
    condition, arguments, _ = _condition(query)
    rows = await connection.fetch(
        f"select distinct i.sop_class, i.transfer_syntax from {_FROM_INSTANCE} where {condition} order by 1, 2",
        *arguments,
    )
    return [(row["sop_class"], row["transfer_syntax"]) for row in rows]


async def read(connection: Connection, level: Level, keys: Sequence[Key]) -> list[Found]:
    """What is known of them, in their order; of those that are gone nothing."""
    rows = await connection.fetch(
        _READ[level].format(keys=_GIVEN_KEYS, content=_FIRST_CONTENTS[level]),
        [key.facility for key in keys],
        [key.study_uid for key in keys],
        [key.series_uid for key in keys],
        [key.sop_uid for key in keys],
    )
    return [_found(level, keys[row["place"] - 1], row) for row in rows]


def _found(level: Level, key: Key, row: Mapping[str, Any]) -> Found:
    return Found(
        level=level,
        key=key,
        tags=(row["study_tags"], row.get("series_tags", ""), row.get("instance_tags", "")),
        content=Content(*(row[name] for name in Content.__slots__)),
        modalities=tuple(sorted(row["modalities"])),
        studies=row.get("studies") or 0,
        series=row.get("series") or 0,
        instances=row.get("instances") or 0,
    )


@lru_cache(_ATTRIBUTES_REMEMBERED)
def _attributes(level: Level, tags: tuple[str, str, str]) -> Mapping[str, str]:
    """Of an instance only what is its own: patient and study are told as the index has them, for all alike."""
    of_study, of_series, of_instance = (json.loads(text) if text else {} for text in tags)
    own = {name: of_instance[name] for name in imaging_index.INSTANCE_TAGS if name in of_instance}
    return {name: value for name, value in {**of_study, **of_series, **own}.items() if _is_of(name, level)}


def _is_of(name: str, level: Level) -> bool:
    return LEVELS.index(ATTRIBUTES[name]) <= LEVELS.index(level)


class _Clauses:
    """A where clause and its arguments; only numbers of arguments are ever written into the statement."""

    def __init__(self) -> None:
        self.clauses: list[str] = ["true"]
        self.arguments: list[Any] = []

    def add(self, clause: str, *values: Any) -> None:
        first = len(self.arguments) + 1
        self.arguments.extend(values)
        self.clauses.append(clause.format(*(f"${first + at}" for at in range(len(values)))))


def _condition(query: ImagingQuery) -> tuple[str, list[Any], bool]:
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
