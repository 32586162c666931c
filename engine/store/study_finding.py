"""Which studies does a person mean by a name, a number or a UID? Also those of which nothing is served any more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.store import imaging_search
from engine.store.database import Connection
from engine.store.imaging_names import name_matches
from engine.store.imaging_query import ImagingQuery, Key, Level
from engine.store.patterns import is_wild, literal_beginning, matches

_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_DECISIONS_LOOKED_AT = 1_000
"""The newest ones: an archive that was taken out of service leaves many decisions, and a UID finds each of them."""
_OBJECTS_LOOKED_AT = 30
"""Of each: where two patients are in one study, both are found."""
_WITHIN = 3
"""Letters by which a name is found from within; fewer would be in nearly every name."""


@dataclass(frozen=True, slots=True)
class StudySeen:
    """A study, whether it waits or not.

    kinds      why it waits, if it does
    objects    how many are served of it; of a study that is rejected none
    decisions  how many stand; the last of them, or one that was undone, at `decided_at`
    """

    facility: str
    study_uid: str
    kinds: list[str]
    last_stored_at: datetime
    patient_name: str
    patient_id: str
    accession: str
    study_date: str
    modalities: list[str]
    objects: int
    decisions: int
    decided_at: datetime | None


async def meant(connection: Connection, said: str, facility: str | None, limit: int) -> list[Key]:
    """By Study Instance UID, accession number, Patient ID and patient's name, in this order; each once.

    A number is found by its beginning, a name by any part of it, in Chinese, pinyin or initials; `*` and `?` stand for
    other characters. What objects said before somebody decided about them counts too.
    """
    found: dict[Key, None] = {}
    if _UID.fullmatch(said):
        rows = await connection.fetch(
            """
            select facility, uid from study where uid = $1 and ($2::text is null or facility = $2)
            union select facility, uid from study_state where uid = $1 and ($2::text is null or facility = $2)
            order by 1
            """,
            said,
            facility,
        )
        found |= {Key(row["facility"], row["uid"]): None for row in rows}
    number, name = _pattern_of_number(said), _pattern_of_name(said)
    queries = [ImagingQuery(Level.STUDY, facility, texts={of: (number,)}) for of in ("accession", "patient_id")]
    queries = (queries if number else []) + ([ImagingQuery(Level.STUDY, facility, patient_name=name)] if name else [])
    for query in queries:
        found |= dict.fromkeys(await imaging_search.find_keys(connection, query, limit=limit))
    found |= dict.fromkeys(await _as_they_were_sent(connection, number, name, facility))
    return list(found)[:limit]


async def decided(
    connection: Connection, facility: str | None, before: int | None, limit: int
) -> tuple[list[Key], int | None]:
    """Studies of which something was decided, the last decided first; and where the next page begins, if there is one.

    `before` is that place.
    """
    rows = await connection.fetch(
        """
        select id, facility, study_uid from study_statement
        where ($1::bigint is null or id < $1) and ($2::text is null or facility = $2) order by id desc limit $3
        """,
        before,
        facility,
        limit,
    )
    following = rows[-1]["id"] if len(rows) == limit else None
    return list(dict.fromkeys(Key(row["facility"], row["study_uid"]) for row in rows)), following


async def seen(connection: Connection, keys: Sequence[Key]) -> list[StudySeen]:
    """What is known of these studies, in their order; nothing of those of which no object ever came."""
    rows = await connection.fetch(
        """
        select k.facility, k.study_uid, s.last_stored_at, coalesce(q.tags, sent.tags, '{}') as tags,
               coalesce(q.modalities, array[sent.modality], '{}') as modalities,
               (select coalesce(array_agg(c.kind order by c.kind), '{}') from reconcile_case c
                where c.facility = k.facility and c.study_uid = k.study_uid) as kinds,
               (select coalesce(sum(e.instances), 0) from series e
                where e.study_uid = k.study_uid and e.facility = k.facility) as objects,
               told.decisions, told.decided_at
        from unnest($1::text[], $2::text[]) with ordinality as k (facility, study_uid, place)
        join study s on s.uid = k.study_uid and s.facility = k.facility
        left join study_search q on q.uid = k.study_uid and q.facility = k.facility
        left join lateral (
            select a.tags, a.modality from instance_as_sent a
            where (a.study_uid = k.study_uid or a.served_study_uid = k.study_uid) and a.facility = k.facility
              and q.uid is null
            order by a.stored_at, a.sop_uid limit 1
        ) sent on true
        join lateral (
            select count(*) filter (where undone_at is null) as decisions,
                   max(coalesce(undone_at, stated_at)) as decided_at
            from study_statement where facility = k.facility and studies @> array[k.study_uid]
        ) told on true
        order by k.place
        """,
        [key.facility for key in keys],
        [key.study_uid for key in keys],
    )
    names = ("patient_name", "patient_id", "accession", "study_date")
    return [
        StudySeen(
            **{name: value for name, value in row.items() if name not in ("tags", "modalities")},
            **{name: tags.get(name, "") for name in names},
            modalities=[one for one in row["modalities"] if one],
        )
        for row in rows
        for tags in [json.loads(row["tags"])]
    ]


def _pattern_of_number(said: str) -> str:
    """Nothing where a wildcard stands first: every number would be looked at."""
    return "" if not literal_beginning(said) else said if is_wild(said) else f"{said}*"


def _pattern_of_name(said: str) -> str:
    """Nothing where no letter is said, which every name would match."""
    if not any(character.isalnum() for character in said):
        return ""
    if is_wild(said):
        return said
    return f"*{said}*" if len(said) >= _WITHIN or not said.isascii() else f"{said}*"


async def _as_they_were_sent(connection: Connection, number: str, name: str, facility: str | None) -> Iterable[Key]:
    """Of studies about which something was decided lately, by what their objects said themselves."""
    rows = await connection.fetch(
        """
        select told.facility, told.uid, sent.* from (
            select facility, uid, max(id) as last from (
                select id, facility, unnest(studies) as uid from study_statement
                where $1::text is null or facility = $1 order by id desc limit $2
            ) newest group by facility, uid
        ) told
        cross join lateral (
            select distinct coalesce(tags ->> 'patient_name', '') as name,
                   coalesce(tags ->> 'patient_id', '') as patient_id, coalesce(tags ->> 'accession', '') as accession
            from (select tags from instance_as_sent a
                  where a.facility = told.facility and (a.study_uid = told.uid or a.served_study_uid = told.uid)
                  limit $3) some_of_it
        ) sent
        order by told.last desc, told.facility, told.uid
        """,
        facility,
        _DECISIONS_LOOKED_AT,
        _OBJECTS_LOOKED_AT,
    )
    return [
        Key(row["facility"], row["uid"])
        for row in rows
        if (number and any(matches(number, row[of]) for of in ("patient_id", "accession")))
        or (name and name_matches(name, row["name"]))
    ]
