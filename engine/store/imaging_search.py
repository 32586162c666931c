"""Which patients, studies, series and instances answer an imaging query? C-FIND, C-GET, C-MOVE and QIDO-RS ask here.

Finding is one step, reading what was found another: `find_keys` says which entities match, and `read` gives what is
known of some of them, so that a long answer is never held whole. `find_page` is both, in one statement.
Contents that conflict with an earlier one under their SOP Instance UID are never found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.store.database import Connection
from engine.store.imaging_conditions import condition
from engine.store.imaging_query import Content, Found, ImagingQuery, Key, Level

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
    where, arguments, selective = condition(query)
    if selective and query.level is Level.STUDY:
        # Found by what is asked, then sorted: a walk in order of dates with that as a filter may read the whole index.
        statement = f"""
            with found as materialized (
                select facility, uid, study_date, study_time from {_FROM_STUDY} where {{condition}}
            )
            select facility, uid as study_uid, '' as series_uid, '' as sop_uid from found order by {_NEWEST_FIRST}
            """
    return statement.format(condition=where), arguments


async def kinds(connection: Connection, query: ImagingQuery) -> list[tuple[str, str]]:
    """The SOP classes and transfer syntaxes of the instances that match, each pair once."""
    where, arguments, _ = condition(query)
    rows = await connection.fetch(
        f"select distinct i.sop_class, i.transfer_syntax from {_FROM_INSTANCE} where {where} order by 1, 2",
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
